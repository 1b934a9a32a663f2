"""Configuration files of training: YAML, with changes by place and named lists of changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_yaml
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name


def read_entries(
    path: str | PathLike[str], changes: Sequence[str], *, lists: str, chosen: str | None, such_as: str
) -> dict[str, Any]:
    """Return the entries of a YAML file after the changes.

    Args:
        path: the file.
        changes: such as ``"output=out"`` or ``"settings.learning_rate=1e-4"``; each value is read as YAML.
        lists: the entry that names lists of changes, such as ``"ablations"``; it is taken out.
        chosen: one of their names (*optional*), applied before `changes`.
        such_as: entries that a file has, for an error.

    Raises:
        ArgumentError: for an unknown list of changes, or a change that fits nowhere.
        AvrewardError: if the file can't be read.
    """
    import yaml

    try:
        content = parsed_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        raise AvrewardError(f"{path}: this configuration can't be read ({why}); write YAML") from error
    if not isinstance(content, dict):
        raise ArgumentError(str(path), f"entries such as {such_as}", Described(type(content).__name__))
    named = content.pop(lists, None) or {}
    if chosen is not None and chosen not in named:
        raise unknown_name(lists.removesuffix("s"), chosen, named)
    for change in [*(named[chosen] if chosen is not None else ()), *changes]:
        _change(content, str(change))
    return content


def check_entries(path: str | PathLike[str], content: dict[str, Any], kind: type) -> None:
    """Raise `ArgumentError` for an entry that is not a field of the dataclass `kind`."""
    known = [entry.name for entry in fields(kind)]
    unknown = next((name for name in content if name not in known), None)
    if unknown is not None:
        raise unknown_name(f"{path}: entry", unknown, known)


def _change(content: dict[str, Any], change: str) -> None:
    import yaml

    place, equals, value = change.partition("=")
    *parents, last = place.split(".")
    at: Any = content
    try:
        for name in parents:
            at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
        at[int(last) if isinstance(at, list) else last] = parsed_yaml(value)
    except (LookupError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        got = Described(repr(change))
        raise ArgumentError("set", "PLACE=VALUE such as stages.0.loss=l1", got, "name an entry of the file") from error
    if not equals:
        raise ArgumentError("set", "PLACE=VALUE such as stages.0.loss=l1", change)
