"""Read and check the YAML file of a reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avreward._parsing import parsed_yaml
from avreward.errors import AvrewardError, unknown_name

KEYS = ("reward", "raters", "fingerprint")


def read_content(path: Path) -> dict[str, Any]:
    """Return the content of a file, checked."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = parsed_yaml(text)
        duplicate = _duplicate_key(yaml.compose(text, yaml.SafeLoader))
    except FileNotFoundError as error:
        raise AvrewardError(f"{path}: file not found; pass a reward's file or folder") from error
    except OSError as error:
        raise AvrewardError(f"{path}: can't be read ({error.strerror or error}); pass a reward's file") from error
    except UnicodeDecodeError as error:
        raise AvrewardError(f"{path}: expected text in UTF-8, got other bytes; save it in UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or "it can't be parsed"
        raise AvrewardError(f"{path}: not valid YAML ({where}{why}); correct it there") from error
    if duplicate is not None:
        line, key = duplicate.start_mark.line + 1, duplicate.value
        raise AvrewardError(f"{path}: line {line}: the key {key!r} occurs a second time; keep one of them")
    if not isinstance(content, dict) or not isinstance(content.get("reward"), str | int | float):
        raise AvrewardError(f"{path}: expected an expression, got none; write it as in reward: 0.5*signals.overall")
    for key in content:
        if key not in KEYS:
            raise AvrewardError(f"{path}: {unknown_name('key', key, KEYS)}")
    if not isinstance(content.get("raters") or {}, dict):
        got = type(content["raters"]).__name__
        raise AvrewardError(
            f"{path}: raters: expected a mapping, got {got}; write a line for each, as in signals: signals"
        )
    return {**content, "reward": str(content["reward"]), "raters": content.get("raters") or {}}


def _duplicate_key(root: Any) -> Any:
    """Return the first duplicate key of a mapping, as a YAML node, or `None`.

    YAML itself would silently use the last one.
    """
    todo, met = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in met or not isinstance(getattr(node, "value", None), list):
            continue
        met.add(id(node))  # a node may contain itself
        keys = set[tuple[str, str]]()
        for part in node.value:
            if isinstance(part, tuple):
                key, held = part
                if isinstance(key.value, str):
                    if (key.tag, key.value) in keys:
                        return key
                    keys.add((key.tag, key.value))
                todo += [key, held]
            else:
                todo.append(part)
    return None
