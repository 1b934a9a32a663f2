"""Save and load rewards: a YAML file, or a folder that also holds fitted states."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from avreward._locks import claimed
from avreward._whole_files import private_name, publish
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters import hub, registry
from avreward.raters.base import Rater
from avreward.rewards._rater_records import rater_from, record_of
from avreward.rewards._reward_yaml import read_content
from avreward.rewards.base import Reward
from avreward.rewards.expression import ExpressionError, named_raters, parse_reward
from avreward.rewards.function_base import State, state_hash, states_of

REWARD, STATE = "reward.yaml", "state.safetensors"
ENDINGS = (".yaml", ".yml")
WAIT = 30.0  # seconds for another run that saves to the same place

PATH = re.compile(r"\s*(?:/|~|\.(?!\d)).*", re.DOTALL)  # only paths start like this
NAMES = re.compile(r"[\w.-]+(?:/[\w.-]*)*/(?!\d+\.?\d*$)[\w.-]*")  # names and slashes; before a number, / divides

Source = Rater | str | PathLike[str]


def save_reward(reward: Reward, path: str | PathLike[str]) -> Path:
    """Save `reward` so that `load_reward` reads it back, and return the path.

    A path that ends in ``.yaml`` or ``.yml`` becomes a file; any other becomes a folder with ``reward.yaml`` and, if
    the reward has fitted parts, ``state.safetensors``. The file describes each rater by the arguments that `load_rater`
    got, with a relative path if it is beside the file; an ensemble by its members, a calibrated rater also by its
    curves. A rater that was created in another way is left out: pass it to `load_reward`. An existing reward is
    replaced, and never left half-written.

    Args:
        reward: the reward to save.
        path: the file or folder to write.

    Raises:
        ArgumentError: if a reward with fitted parts gets the name of a file, or it has a Python function in it.
        AvrewardError: if `path` can't be written, or another run is saving to it.

    Example:
        >>> (0.4 * rater["audio_quality"] - 2 * rater["clipping"]).save("mine.yaml")
        PosixPath('mine.yaml')
        >>> print(Path("mine.yaml").read_text())
        reward: 0.4*signals.audio_quality - 2*signals.clipping
        raters:
          signals: signals
        fingerprint: ...
    """
    import yaml

    if not isinstance(path, str | PathLike):
        raise ArgumentError("path", "the file or folder to write", path)
    path = Path(path)
    states = states_of(reward)
    is_file = path.suffix.lower() in ENDINGS
    if is_file and states:
        got, remedy = Described(f"the file {path}"), f"pass a folder, such as {path.stem}"
        raise ArgumentError("path", "a folder, as the reward has fitted parts", got, remedy)
    place = path if is_file else path / REWARD
    if path.exists() and path.is_dir() == is_file:
        got = Described(f"{path}, which is a {'folder' if is_file else 'file'}")
        raise ArgumentError("path", f"a {'file' if is_file else 'folder'} to write", got, "choose another name")
    if parse_reward(repr(reward), {rater.name: rater for rater in reward.raters}, states) != reward:
        got = Described(f"{reward}, which is read back as another reward")
        raise ArgumentError("reward", "an expression that parses", got, "correct the __repr__ of its class")
    named = {rater.name: record_of(rater.source, place.parent) for rater in reward.raters if rater.source}
    content = {"reward": repr(reward), **({"raters": named} if named else {}), "fingerprint": reward.fingerprint}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=float("inf"))
    with _writing(path), claimed(path, wait=WAIT):
        place.parent.mkdir(parents=True, exist_ok=True)
        if is_file:
            _put([(place, text.encode())])
        else:
            _put_folder(place, text.encode(), states)
    return path


def load_reward(source: str | PathLike[str], raters: Mapping[str, Source] | None = None) -> Reward:
    """Load a reward from a file or folder, or parse an expression.

    A file holds ``reward``, the expression, and ``raters``: name → argument of `load_rater`, alone or as a mapping with
    ``rater`` and options; docs/guides/rewards.md shows ensembles and calibration curves. Folders in it are relative to
    the file and must be beside or below it; others need absolute paths. A `UserWarning` says if the raters or their
    settings have changed since the file was saved.

    Args:
        source: a YAML file (a name that ends in ``.yaml`` or ``.yml``), a folder that holds a ``reward.yaml``, or an
            expression, see `parse_reward`.
        raters: name in the expression → rater, or the argument with which `load_rater` loads it (*optional*). The
            default for an expression is ``signals``; for a file, these replace the ones that it describes. Registered
            raters that the expression names need not be given.

    Raises:
        ArgumentError: if an argument has the wrong type.
        AvrewardError: if the file can't be read or is wrong; one line names the file, the problem and what to do.
        ExpressionError: if the expression is wrong.

    Example:
        >>> load_reward("min(audio_quality, 2*av_consistency)")
        min(signals.audio_quality, 2*signals.av_consistency)
    """
    if not isinstance(source, str | PathLike):
        raise ArgumentError("source", "an expression, or a reward's file or folder", source)
    if raters is not None and not isinstance(raters, Mapping):
        raise ArgumentError("raters", "a mapping of names to raters", raters, "pass {name: rater}")
    place = reward_file(source)
    if place is not None:
        return _read(place, raters or {})
    given = _loaded(raters or {"signals": "signals"})
    try:
        return parse_reward(str(source), {**_registered(str(source), given), **given})
    except ExpressionError as error:
        if str(source) and os.path.exists(os.path.expanduser(source)):
            got = Described(f"{source} without {REWARD}")
            raise ArgumentError("reward", "a reward's file or folder, or an expression", got) from error
        if PATH.fullmatch(str(source)) or (NAMES.fullmatch(str(source)) and "unknown score" in str(error)):
            raise AvrewardError(
                f"{source}: file or folder not found; correct the path, or write an expression"
            ) from error
        raise


def reward_file(source: str | PathLike[str]) -> Path | None:
    """Return the YAML file that `source` names, directly or as its folder; `None` for an expression."""
    path = Path(os.path.expanduser(source))
    if path.suffix.lower() in ENDINGS:
        return path
    inside = os.path.join(path, REWARD)
    return Path(inside) if os.path.isfile(inside) or not isinstance(source, str) else None


def _read(path: Path, given: Mapping[str, Source]) -> Reward:
    content = read_content(path)
    listed = {alias: record for alias, record in content.get("raters", {}).items() if alias not in given}
    raters = _loaded(given) | {alias: rater_from(path, alias, record) for alias, record in listed.items()}
    raters |= _registered(content["reward"], raters)
    try:
        reward = parse_reward(content["reward"], raters, _states(path.with_name(STATE)))
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}{_how_to_pass(content['reward'], raters)}") from error
    if content.get("fingerprint", reward.fingerprint) != reward.fingerprint:
        change = "its raters or their settings have changed since it was saved, so values may differ; save it again"
        warnings.warn(f"{path}: {change}", UserWarning, stacklevel=3)
    return reward


def _registered(expression: str, known: Mapping[str, Rater]) -> dict[str, Rater]:
    """Load the registered raters that `expression` names and that are not `known`."""
    there = registry.names()
    return _loaded({name: name for name in named_raters(expression) if name not in known and name in there})


def _how_to_pass(expression: str, raters: Mapping[str, Rater]) -> str:
    """Return what to do about raters in a file's expression that neither the file nor the registry has."""
    absent = [name for name in named_raters(expression) if name not in raters]
    if not absent:
        return "" if raters else "; the file has no raters: write them under raters, or pass raters={name: rater}"
    name = absent[0]
    return (
        f"; the file has no rater {name}: write it under raters, register it, pass raters={{{name!r}: rater}}, or "
        f"use --rater {name}=FILE.py:NAME"
    )


def _loaded(raters: Mapping[str, Source]) -> dict[str, Rater]:
    """Load each source that is not a rater yet, and name it by its key."""
    loaded: dict[str, Rater] = {}
    for alias, source in raters.items():
        if not isinstance(source, Rater | str | PathLike):
            raise ArgumentError(f"raters[{alias!r}]", "a rater, or the name or folder of one", source)
        rater = source if isinstance(source, Rater) else hub.load_rater(source)
        if rater is not source:
            rater.name = alias  # nobody else has this rater, and two checkpoints of one kind need different names
        loaded[alias] = rater
    return loaded


def _states(path: Path) -> Mapping[str, State]:
    """Load hash → fitted state from the file beside a reward; empty if there is none."""
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
            raise AvrewardError(f"{path}: the state {name} has changed since it was saved; save the reward again")
    return found


def _put_folder(place: Path, text: bytes, states: Mapping[str, State]) -> None:
    """Write ``reward.yaml`` and its states so that the old reward or the new one loads at every moment.

    States are named by their hashes, so one file can hold those of both rewards until the expression is replaced.
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
    """Return the existing states; empty if they can't be read, since then the old reward is lost anyway."""
    try:
        return _states(path)
    except AvrewardError:
        return {}


def _bytes(states: Mapping[str, State]) -> bytes:
    from safetensors.torch import save

    return save({f"{name}.{key}": v.clone() for name, own in states.items() for key, v in own.items()})


def _put(steps: Sequence[tuple[Path, bytes]]) -> None:
    """Write temporary files, then move them into place one after the other, so that a full disk changes nothing."""
    parts = [private_name(path) for path, _ in steps]
    try:
        for part, (_, content) in zip(parts, steps, strict=True):
            part.write_bytes(content)
        for part, (path, _) in zip(parts, steps, strict=True):
            publish(part, path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error
