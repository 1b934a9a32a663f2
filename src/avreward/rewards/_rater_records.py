"""What a reward's file says of its raters: a name, options, the members of an ensemble, curves, streams.

raters:
  agav: ./agav-checkpoint                                     # what load_rater loads
  other: {rater: caoyuqin/AGAV-Rater, dtype: bfloat16}        # with options
  on_scale:
    rater: signals
    calibration: {audio_quality: {linear: [0.04, 1.0, 1.0, 5.0]}}     # kind → numbers of `Calibration.state`
  audio_alone:
    rater: agav
    streams: {audio_quality: [audio]}                         # what `restricted` is given
  careful:
    ensemble: [./seed0, {rater: ./seed1, name: second}]       # members, each as above
    value: lower
    k: 2.0
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from avreward.errors import AvrewardError
from avreward.raters import hub, registry
from avreward.raters._user_file import names_code
from avreward.raters.base import Rater
from avreward.raters.wrappers._calibrated import calibrated
from avreward.raters.wrappers._restricted import restricted
from avreward.raters.wrappers.calibration_curves import Calibration, calibration_from
from avreward.raters.wrappers.ensemble import EnsembleRater

CURVE = "{audio_quality: {linear: [0.04, 1.0, 1.0, 5.0]}}"
STREAMS = "{audio_quality: [audio]}"


def told_of(source: Mapping[str, Any], folder: Path) -> object:
    """What a file in `folder` says of the rater whose `source` this is."""
    told = {
        key: [told_of(member, folder) for member in value]
        if key == "ensemble"
        else _relative(value, folder)
        if key in ("rater", *hub.PATH_OPTIONS)
        else value
        for key, value in source.items()
    }
    return told if len(told) > 1 else next(iter(told.values()))


def rater_from(path: Path, alias: object, told: object) -> Rater:
    """The rater of which the file `path` says `told`, called `alias`; errors name both."""
    try:
        rater = _made(path.parent, alias, told)
    except (AvrewardError, TypeError, KeyError) as error:
        reason = error.args[0] if type(error) is KeyError else error  # whose text would be in quotes
        raise AvrewardError(f"{path}: the rater {alias}: {reason}") from error
    rater.name = str(alias)
    return rater


def _made(folder: Path, alias: object, told: object) -> Rater:
    options: dict[str, Any] = dict(told) if isinstance(told, dict) else {"rater": told}
    called, curves, streams = (options.pop(key, None) for key in ("name", "calibration", "streams"))
    rater = _ensemble(folder, alias, options) if "ensemble" in options else _loaded(folder, alias, options)
    if called is not None:
        rater.name = str(called)
    if streams is not None:
        rater = restricted(rater, _streams(streams))
    return rater if curves is None else calibrated(rater, _curves(curves))


def _loaded(folder: Path, alias: object, options: dict[str, Any]) -> Rater:
    name = options.pop("rater", None)
    if not isinstance(name, str) or not all(isinstance(key, str) for key in options):
        remedy = f"write {alias}: FOLDER, or {alias}: {{rater: FOLDER, dtype: bfloat16}}"
        raise AvrewardError(f"it has no name; {remedy}")
    by_hand = f"pass it by raters={{{str(alias)!r}: …}}, or on the command line by --rater {alias}=FILE.py:NAME"
    if names_code(name):
        raise AvrewardError(f"{name} is Python code, which a reward's file never imports; {by_hand}")
    where = {key: _inside(folder, str(options[key])) for key in hub.PATH_OPTIONS if options.get(key)}
    try:
        return hub.load_rater(_inside(folder, name), **options | where)
    except hub.UnknownRater as error:
        raise AvrewardError(f"{error}. Or {by_hand}" if name.isidentifier() else str(error)) from error


def _ensemble(folder: Path, alias: object, options: dict[str, Any]) -> EnsembleRater:
    members = options.pop("ensemble")
    if not isinstance(members, list):
        raise AvrewardError("ensemble isn't a list of raters; write ensemble: [FOLDER, FOLDER]")
    unknown = [key for key in options if key not in ("value", "k", "dimensions")]
    if unknown:
        raise AvrewardError(f"an ensemble has no option {unknown[0]!r}; there are value, k and dimensions")
    return EnsembleRater([_made(folder, alias, member) for member in members], **options)


def _curves(told: object) -> dict[str, Calibration]:
    """Dimension → curve, from dimension → kind → numbers."""
    try:
        return {
            str(name): calibration_from({kind: torch.tensor(numbers, dtype=torch.float64)})
            for name, own in dict(told).items()  # type: ignore[call-overload]  # whatever the file holds
            for kind, numbers in dict(own).items()
        }
    except (TypeError, ValueError, RuntimeError) as error:
        raise AvrewardError(f"calibration: holds no curves ({error}); write such as calibration: {CURVE}") from error


def _streams(told: object) -> dict[str, list[str]]:
    """Dimension → tracks, checked."""
    if not isinstance(told, dict) or not all(isinstance(tracks, list) for tracks in told.values()):
        raise AvrewardError(f"streams: expected a list of tracks a dimension, got {told!r}; write such as {STREAMS}")
    return {str(name): tracks for name, tracks in told.items()}


def _inside(folder: Path, name: str) -> str:
    """A folder in or below that of the file by its whole path; any other name as it is."""
    if name in registry.names() or Path(name).expanduser().is_absolute():
        return name
    inside = folder / name
    climbs = os.path.normpath(name).split(os.sep)[0] == os.pardir
    if not climbs and inside.is_dir():
        return str(inside)
    if climbs or name.startswith(".") or Path(name).is_dir():  # the last: where we happen to be, not where the file is
        problem = "lies outside the folder of the file" if climbs else f"isn't there ({inside})"
        raise AvrewardError(f"the folder {name} {problem}; write its absolute path")
    return name


def _relative(name: Any, folder: Path) -> Any:
    inside = isinstance(name, str) and os.path.isabs(name) and Path(name).is_relative_to(folder.resolve())
    return f"./{Path(name).relative_to(folder.resolve()).as_posix()}" if inside else name
