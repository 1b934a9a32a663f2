"""Rewards on disk: a YAML file, or a folder that holds what was fitted as well."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from avreward.errors import AvrewardError
from avreward.raters import hub, registry
from avreward.raters.base import Rater
from avreward.rewards._rater_records import rater_from, told_of
from avreward.rewards.base import Reward
from avreward.rewards.expression import ExpressionError, named_raters, parse_reward
from avreward.rewards.function_base import State, state_hash, states_of

REWARD, STATE = "reward.yaml", "state.safetensors"
ENDINGS = (".yaml", ".yml")
KEYS = ("reward", "raters", "fingerprint")

PATH = re.compile(r"\s*(?:/|~|\.(?!\d)).*", re.DOTALL)  # what starts as only paths do
NAMES = re.compile(r"[\w.-]+(?:/[\w.-]*)*/(?!\d+\.?\d*$)[\w.-]*")  # names and slashes; by a number one divides

Source = Rater | str | PathLike[str]


def save_reward(reward: Reward, path: str | PathLike[str]) -> Path:
    """Writes `reward` so that `load_reward` reads it back; returns the path.

    A name that ends in ``.yaml`` or ``.yml`` becomes a file; any other a folder with ``reward.yaml`` and, where
    something was fitted, ``state.safetensors``. The file names each rater as `load_rater` was asked for it, by a path
    relative to the file where it lies beside it; of an ensemble its members, of a calibrated rater its curves. A rater
    that was made otherwise is left out: give it to `load_reward`. A reward that was there before is replaced; nothing
    is left half-written.

    Raises `AvrewardError` for a reward with fitted parts under the name of a file, for one with a Python function in
    it, and where `path` can't be written.

    >>> (0.4 * rater["audio_quality"] - 2 * rater["clipping"]).save("mine.yaml")
    PosixPath('mine.yaml')
    >>> print(Path("mine.yaml").read_text())
    reward: 0.4*signals.audio_quality - 2*signals.clipping
    raters:
      signals: signals
    fingerprint: ...
    """
    import yaml

    path = Path(path)
    states = states_of(reward)
    is_file = path.suffix.lower() in ENDINGS
    if is_file and states:
        raise AvrewardError(f"{path}: the reward has fitted parts, which need a folder; name one, such as {path.stem}")
    place = path if is_file else path / REWARD
    if path.exists() and path.is_dir() == is_file:
        raise AvrewardError(f"{path}: is a {'folder' if is_file else 'file'} already; choose another name")
    if parse_reward(repr(reward), {rater.name: rater for rater in reward.raters}, states) != reward:
        raise AvrewardError(f"{reward}: isn't read back as it was written; correct the __repr__ of its class")
    named = {rater.name: told_of(rater.source, place.parent) for rater in reward.raters if rater.source}
    content = {"reward": repr(reward), **({"raters": named} if named else {}), "fingerprint": reward.fingerprint}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=float("inf"))
    with _writing(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        if is_file:
            _put([(place, text.encode())])
        else:
            _put_folder(place, text.encode(), states)
    return path


def load_reward(source: str | PathLike[str], raters: Mapping[str, Source] | None = None) -> Reward:
    """The reward in a file or folder, or the one that an expression writes.

    Args:
        source: a YAML file (a name that ends in ``.yaml`` or ``.yml``), a folder that holds a ``reward.yaml``, or else
            an expression, see `parse_reward`.
        raters: name in the expression → rater, or what `load_rater` loads, which then goes by that name. For an
            expression by default ``signals``; for a file they stand in for those that it names. Registered raters that
            the expression names need not be given.

    A file holds ``reward``, the expression, and ``raters``: name → what `load_rater` loads, alone or as a mapping with
    ``rater`` and options; see `avreward.rewards._rater_records` for ensembles and curves. Folders in it are relative to
    the file, and beside or below it; others need absolute paths. Warns where a file was saved with other raters or
    other settings than are loaded.

    Raises `AvrewardError`, one line that names the file or the place in the expression, the problem and the remedy.

    >>> load_reward("min(audio_quality, 2*av_consistency)")
    min(signals.audio_quality, 2*signals.av_consistency)
    """
    place = reward_file(source)
    if place is not None:
        return _read(place, raters or {})
    given = _loaded(raters or {"signals": "signals"})
    try:
        return parse_reward(str(source), {**_registered(str(source), given), **given})
    except ExpressionError as error:
        if str(source) and os.path.exists(os.path.expanduser(source)):
            raise AvrewardError(f"{source}: holds no {REWARD}, and is no expression; name a reward's folder") from error
        if PATH.fullmatch(str(source)) or (NAMES.fullmatch(str(source)) and "unknown score" in str(error)):
            told = "there is no such file or folder; correct the path, or write an expression"
            raise AvrewardError(f"{source}: {told}") from error
        raise


def reward_file(source: str | PathLike[str]) -> Path | None:
    """The YAML file that `source` names, itself or as the folder that it is in; `None` for an expression."""
    path = Path(os.path.expanduser(source))
    if path.suffix.lower() in ENDINGS:
        return path
    inside = os.path.join(path, REWARD)
    return Path(inside) if os.path.isfile(inside) or not isinstance(source, str) else None


def _read(path: Path, given: Mapping[str, Source]) -> Reward:
    content = _content(path)
    listed = {alias: told for alias, told in content.get("raters", {}).items() if alias not in given}
    raters = _loaded(given) | {alias: rater_from(path, alias, told) for alias, told in listed.items()}
    raters |= _registered(content["reward"], raters)
    try:
        reward = parse_reward(content["reward"], raters, _states(path.with_name(STATE)))
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}{_how_to_pass(content['reward'], raters)}") from error
    if content.get("fingerprint", reward.fingerprint) != reward.fingerprint:
        told = "its raters or their settings are others than when it was saved: values may differ; save it anew"
        warnings.warn(f"{path}: {told}", UserWarning, stacklevel=3)
    return reward


def _registered(expression: str, known: Mapping[str, Rater]) -> dict[str, Rater]:
    """The raters that `expression` names, that are not `known` and that load by their name alone."""
    there = registry.names()
    return _loaded({name: name for name in named_raters(expression) if name not in known and name in there})


def _how_to_pass(expression: str, raters: Mapping[str, Rater]) -> str:
    """What to do about raters that a file's expression uses and that neither it nor the registry knows."""
    absent = [name for name in named_raters(expression) if name not in raters]
    if not absent:
        return "" if raters else "; it names no raters: write them under raters, or pass raters={name: rater}"
    name = absent[0]
    return (
        f"; the file names no rater {name}: write it under raters, register it, pass raters={{{name!r}: rater}}, or "
        f"give --rater {name}=FILE.py:NAME"
    )


def _content(path: Path) -> dict[str, Any]:
    """What a file holds, checked."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        twice = _twice(yaml.compose(text, yaml.SafeLoader))
    except FileNotFoundError as error:
        raise AvrewardError(f"{path}: there is no such file; name a reward's file or folder") from error
    except OSError as error:
        raise AvrewardError(f"{path}: can't be read ({error.strerror or error}); name a reward's file") from error
    except UnicodeDecodeError as error:
        raise AvrewardError(f"{path}: isn't text in UTF-8; save it as that") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or "it can't be parsed"
        raise AvrewardError(f"{path}: isn't YAML ({where}{why}); correct it there") from error
    if twice is not None:
        line, key = twice.start_mark.line + 1, twice.value
        raise AvrewardError(f"{path}: line {line}: the key {key!r} stands there a second time; keep one of them")
    if not isinstance(content, dict) or not isinstance(content.get("reward"), str | int | float):
        raise AvrewardError(f"{path}: holds no expression; write such as reward: 0.5*signals.overall")
    for key in content:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
            raise AvrewardError(f"{path}: unknown key {key!r}; {remedy}")
    if not isinstance(content.get("raters") or {}, dict):
        raise AvrewardError(f"{path}: raters isn't a mapping; write a line for each, such as signals: signals")
    return {**content, "reward": str(content["reward"]), "raters": content.get("raters") or {}}


def _twice(root: Any) -> Any:
    """The first key of a mapping that stands in it before, as YAML's node; `None` if there is none.

    YAML would take the last one and say nothing.
    """
    todo, met = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in met or not isinstance(getattr(node, "value", None), list):
            continue
        met.add(id(node))  # a node may hold itself
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


def _loaded(raters: Mapping[str, Source]) -> dict[str, Rater]:
    """Loads what is no rater yet; what is loaded goes by the name it has here."""
    loaded: dict[str, Rater] = {}
    for alias, source in raters.items():
        rater = source if isinstance(source, Rater) else hub.load_rater(source)
        if rater is not source:
            rater.name = alias  # ours alone, and two checkpoints of one kind are told apart by it
        loaded[alias] = rater
    return loaded


def _states(path: Path) -> Mapping[str, State]:
    """Hash → fitted state, from the file beside a reward; empty if there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        return MappingProxyType({})
    found: dict[str, dict[str, Tensor]] = {}
    try:
        for key, tensor in load_file(path).items():
            name, _, part = key.partition(".")
            found.setdefault(name, {})[part] = tensor
    except (SafetensorError, OSError) as error:
        raise AvrewardError(f"{path}: can't be read ({error}); save the reward again") from error
    for name, state in found.items():
        if state_hash(state) != name:
            raise AvrewardError(f"{path}: the state {name} isn't what was saved; save the reward again")
    return found


def _put_folder(place: Path, text: bytes, states: Mapping[str, State]) -> None:
    """Writes ``reward.yaml`` and its states so that at every moment the old reward or the new one loads.

    States go by their hashes, so one file can hold those of both until the expression is the new one.
    """
    beside = place.with_name(STATE)
    steps = [(place, text)]
    if states:
        steps.append((beside, _bytes(states)))
        old = _old_states(beside) if place.is_file() else {}
        steps.insert(0, (beside, _bytes({**old, **states})))
    replaced = place.is_file()
    _put(steps)
    if replaced and not states:
        beside.unlink(missing_ok=True)


def _old_states(path: Path) -> Mapping[str, State]:
    """The states that are there, none where they can't be read: then there is no old reward to keep."""
    try:
        return _states(path)
    except AvrewardError:
        return {}


def _bytes(states: Mapping[str, State]) -> bytes:
    from safetensors.torch import save

    return save({f"{name}.{key}": v.clone() for name, own in states.items() for key, v in own.items()})


def _put(steps: Sequence[tuple[Path, bytes]]) -> None:
    """Writes files beside their places, then puts them in place one after the other: a full disk changes nothing."""
    parts = [path.with_name(f".{path.name}.{i}.part") for i, (path, _) in enumerate(steps)]
    try:
        for part, (_, content) in zip(parts, steps, strict=True):
            part.write_bytes(content)
        for part, (path, _) in zip(parts, steps, strict=True):
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error
