"""Rewards on disk: a YAML file, or a folder that holds what was fitted as well."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from avreward.errors import AvrewardError
from avreward.raters import hub
from avreward.raters.base import Rater
from avreward.rewards.base import Reward
from avreward.rewards.expression import ExpressionError, parse_reward
from avreward.rewards.nodes import State, state_hash, states_of

REWARD, STATE = "reward.yaml", "state.safetensors"
ENDINGS = (".yaml", ".yml")
KEYS = ("reward", "raters", "fingerprint")

Source = Rater | str | PathLike[str]


def save_reward(reward: Reward, path: str | PathLike[str]) -> Path:
    """Writes `reward` so that `load_reward` reads it back; returns the path.

    A name that ends in ``.yaml`` or ``.yml`` becomes a file; any other a folder with ``reward.yaml`` and, where
    something was fitted, ``state.safetensors``. The file names each rater as `load_rater` was asked for it, by a path
    relative to the file where it lies beside it. A rater that was made otherwise is left out: give it to `load_reward`.
    A reward that was there before is replaced; nothing is left half-written.

    Raises `AvrewardError` for a reward with fitted parts under the name of a file, for one with a Python function in
    it, and where `path` can't be written.

    >>> (0.4 * rater["audio_quality"] - 2 * rater["clipping"]).save("mine.yaml")
    PosixPath('mine.yaml')
    >>> print(Path("mine.yaml").read_text())
    reward: 0.4*signals.audio_quality - 2*signals.clipping
    raters:
      signals: signals
    fingerprint: 5f0c2be1a1b3c0c0a9d0c8f6f6a3e1b2
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
    named = {rater.name: _named(rater, place.parent) for rater in reward.raters if rater.source}
    content = {"reward": repr(reward), **({"raters": named} if named else {}), "fingerprint": reward.fingerprint}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=float("inf"))
    with _writing(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        if states:  # first: a reward without its state can be told, by the hash
            _write_states(states, place.with_name(STATE))
        stale = not is_file and not states and place.is_file()
        _replace(place, text.encode())
        if stale:
            place.with_name(STATE).unlink(missing_ok=True)
    return path


def load_reward(source: str | PathLike[str], raters: Mapping[str, Source] | None = None) -> Reward:
    """The reward in a file or folder, or the one that an expression writes.

    Args:
        source: a YAML file (a name that ends in ``.yaml`` or ``.yml``), a folder that holds a ``reward.yaml``, or else
            an expression, see `parse_reward`.
        raters: name in the expression → rater, or what `load_rater` loads, which then goes by that name. For an
            expression by default ``signals``; for a file they stand in for those that it names.

    A file holds ``reward``, the expression, and ``raters``: name → what `load_rater` loads, alone or as a mapping with
    ``rater`` and options. Folders in it are relative to the file, and beside or below it; others need absolute paths.
    Warns where a file was saved with other raters or other settings than are loaded.

    Raises `AvrewardError`, one line that names the file or the place in the expression, the problem and the remedy.

    >>> load_reward("min(audio_quality, 2*av_consistency)")
    min(signals.audio_quality, 2*signals.av_consistency)
    """
    place = reward_file(source)
    if place is not None:
        return _read(place, raters or {})
    try:
        return parse_reward(str(source), _loaded(raters or {"signals": "signals"}))
    except ExpressionError as error:
        if str(source) and os.path.exists(source):
            raise AvrewardError(f"{source}: holds no {REWARD}, and is no expression; name a reward's folder") from error
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
    raters = _loaded(given) | {alias: _load(path, alias, told) for alias, told in listed.items()}
    try:
        reward = parse_reward(content["reward"], raters, _states(path.with_name(STATE)))
    except ExpressionError as error:
        hint = "" if raters else "; it names no raters: write them under raters, or pass raters={name: rater}"
        raise ExpressionError(f"{path}: {error}{hint}") from error
    if content.get("fingerprint", reward.fingerprint) != reward.fingerprint:
        told = "its raters or their settings are others than when it was saved: values may differ; save it anew"
        warnings.warn(f"{path}: {told}", UserWarning, stacklevel=3)
    return reward


def _content(path: Path) -> dict[str, Any]:
    """What a file holds, checked."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AvrewardError(f"{path}: can't be read ({error.strerror or error}); name a reward's file") from error
    except UnicodeDecodeError as error:
        raise AvrewardError(f"{path}: isn't text in UTF-8; save it as that") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or "it can't be parsed"
        raise AvrewardError(f"{path}: isn't YAML ({where}{why}); correct it there") from error
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


def _load(path: Path, alias: object, told: object) -> Rater:
    """The rater that a file names: a text, or a mapping with `rater` and options."""
    options: dict[str, Any] = dict(told) if isinstance(told, dict) else {"rater": told}
    name = options.pop("rater", None)
    if not isinstance(name, str) or not all(isinstance(key, str) for key in options):
        remedy = f"write {alias}: FOLDER, or {alias}: {{rater: FOLDER, dtype: bfloat16}}"
        raise AvrewardError(f"{path}: the rater {alias} has no name; {remedy}")
    where = {key: _inside(path, alias, str(options[key])) for key in hub.PATH_OPTIONS if options.get(key)}
    try:
        rater = hub.load_rater(_inside(path, alias, name), **options | where)
    except (AvrewardError, TypeError) as error:
        raise AvrewardError(f"{path}: the rater {alias}: {error}") from error
    rater.name = str(alias)
    return rater


def _inside(path: Path, alias: object, name: str) -> str:
    """A folder beside or below the file by its whole path; any other name as it is."""
    if name in hub.RATERS or Path(name).expanduser().is_absolute():
        return name
    inside = path.parent / name
    climbs = os.path.normpath(name).split(os.sep)[0] == os.pardir
    if not climbs and inside.is_dir():
        return str(inside)
    if climbs or name.startswith(".") or Path(name).is_dir():  # the last: where we happen to be, not where the file is
        problem = "lies outside the folder of the file" if climbs else f"isn't there ({inside})"
        raise AvrewardError(f"{path}: the rater {alias}: the folder {name} {problem}; write its absolute path")
    return name


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


def _named(rater: Rater, folder: Path) -> object:
    """What a file in `folder` says of a rater."""
    assert rater.source is not None
    told = {key: _relative(v, folder) if key in ("rater", *hub.PATH_OPTIONS) else v for key, v in rater.source.items()}
    return told if len(told) > 1 else told["rater"]


def _relative(name: Any, folder: Path) -> Any:
    inside = isinstance(name, str) and os.path.isabs(name) and Path(name).is_relative_to(folder.resolve())
    return f"./{Path(name).relative_to(folder.resolve()).as_posix()}" if inside else name


def _write_states(states: Mapping[str, State], path: Path) -> None:
    from safetensors.torch import save

    _replace(path, save({f"{name}.{key}": v.clone() for name, own in states.items() for key, v in own.items()}))


def _replace(path: Path, content: bytes) -> None:
    """Writes a file at one stroke."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error
