"""How a reward's file describes its raters: name, options, members of an ensemble or cascade, calibration, streams.

raters:
  agav: ./agav-checkpoint                                     # a name that load_rater loads
  other: {rater: caoyuqin/AGAV-Rater, dtype: bfloat16}        # with options
  on_scale:
    rater: signals
    calibration: {audio_quality: {linear: [0.04, 1.0, 1.0, 5.0]}}     # kind → numbers of `Calibration.state`
  audio_alone:
    rater: agav
    streams: {audio_quality: [audio]}                         # the argument of `restricted`
  careful:
    ensemble: [./seed0, {rater: ./seed1, name: second}]       # members, each as above
    value: lower
    k: 2.0
  quick:
    cascade: [signals, ./agav-checkpoint]                         # cheap and expensive rater, each as above
    rule: {dimensions: [overall, audio_quality], low: 41.5, …}    # what `calibrate_cascade` found
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from avreward._serving.guard import LOCAL
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters import hub, registry
from avreward.raters._user_file import names_code
from avreward.raters.base import Rater
from avreward.raters.wrappers._calibrated import calibrated
from avreward.raters.wrappers._cascade_rule import rule_from
from avreward.raters.wrappers._restricted import restricted
from avreward.raters.wrappers.calibration_curves import Calibration, calibration_from
from avreward.raters.wrappers.cascade import CascadeRater
from avreward.raters.wrappers.ensemble import EnsembleRater

CURVE = "{audio_quality: {linear: [0.04, 1.0, 1.0, 5.0]}}"
STREAMS = "{audio_quality: [audio]}"
OPTIONS = ("value", "k", "dimensions")  # of an ensemble
MEMBERS = ("ensemble", "cascade")  # keys of raters made of several
MOST = 256  # raters that the record of one may hold, ensembles in ensembles included


def record_of(source: Mapping[str, Any], folder: Path) -> object:
    """Return the record, in a file in `folder`, of the rater with this `source`."""
    record = {
        key: [record_of(member, folder) for member in value]
        if key in MEMBERS
        else _relative(value, folder)
        if key in ("rater", *hub.PATH_OPTIONS)
        else value
        for key, value in source.items()
    }
    return record if len(record) > 1 else next(iter(record.values()))


def rater_from(path: Path, alias: object, record: object) -> Rater:
    """Load the rater that the file `path` describes by `record`, named `alias`; errors name the file and the rater."""
    try:
        _check_size(alias, record)
        rater = _made(path.parent, alias, record)
    except (AvrewardError, TypeError, KeyError) as error:
        reason = error.args[0] if type(error) is KeyError else error  # a KeyError's text would be in quotes
        raise AvrewardError(f"{path}: the rater {alias}: {reason}") from error
    rater.name = str(alias)
    return rater


def _check_size(alias: object, record: object) -> None:
    """Raise an `ArgumentError` for a rater that contains itself (YAML's ``*`` can say so), or too many raters."""
    waiting, count = [(record, frozenset[int]())], 0
    while waiting:
        one, around = waiting.pop()
        members = next((one[key] for key in MEMBERS if key in one), None) if isinstance(one, dict) else None
        if not isinstance(members, list):
            continue
        count += len(members)
        if id(one) in around:
            raise ArgumentError("members", "other raters as members", Described(f"{alias}, which contains itself"))
        if count > MOST:
            raise ArgumentError("members", f"at most {MOST} raters in all", Described("more"), "name fewer members")
        waiting += [(member, around | {id(one)}) for member in members]


def _made(folder: Path, alias: object, record: object) -> Rater:
    options: dict[str, Any] = dict(record) if isinstance(record, dict) else {"rater": record}
    called, curves, streams = (options.pop(key, None) for key in ("name", "calibration", "streams"))
    makers = {"ensemble": _ensemble, "cascade": _cascade}
    rater = next((makers[key] for key in MEMBERS if key in options), _loaded)(folder, alias, options)
    if called is not None:
        rater.name = str(called)
    if streams is not None:
        rater = restricted(rater, _streams(streams))
    return rater if curves is None else calibrated(rater, _curves(curves))


def _loaded(folder: Path, alias: object, options: dict[str, Any]) -> Rater:
    name = options.pop("rater", None)
    if not isinstance(name, str) or not all(isinstance(key, str) for key in options):
        remedy = f"write {alias}: FOLDER, or {alias}: {{rater: FOLDER, dtype: bfloat16}}"
        raise ArgumentError("rater", "a folder or name as text", Described("none"), remedy)
    by_hand = f"pass it with raters={{{str(alias)!r}: …}}, or on the command line with --rater {alias}=FILE.py:NAME"
    if names_code(name):
        raise AvrewardError(f"{name} is Python code, which a reward's file never imports; {by_hand}")
    if (card := registry.card_for(name)) is not None and not _local(name):
        told = f"{alias} of this reward is a {card.name} rater: clips are sent to {name}"
        warnings.warn(f"{told}; use it only if you trust that machine with them", UserWarning, stacklevel=2)
    where = {key: _inside(folder, str(options[key]), key) for key in hub.PATH_OPTIONS if options.get(key)}
    try:
        return hub.load_rater(_inside(folder, name), **options | where)
    except hub.UnknownRater as error:
        raise AvrewardError(f"{error}. Or {by_hand}" if name.isidentifier() else str(error)) from error


def _local(address: str) -> bool:
    return urlsplit(address).hostname in LOCAL


def _ensemble(folder: Path, alias: object, options: dict[str, Any]) -> EnsembleRater:
    members = options.pop("ensemble")
    if not isinstance(members, list):
        raise ArgumentError("ensemble", "a list of raters", members, "write ensemble: [FOLDER, FOLDER]")
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise unknown_name("option of ensemble", unknown[0], OPTIONS)
    return EnsembleRater([_made(folder, alias, member) for member in members], **options)


def _cascade(folder: Path, alias: object, options: dict[str, Any]) -> CascadeRater:
    members, rule = options.pop("cascade"), options.pop("rule", None)
    if not isinstance(members, list) or len(members) != 2:
        remedy = "write cascade: [FOLDER, FOLDER]"
        raise ArgumentError("cascade", "a list of the cheap and the expensive rater", members, remedy)
    if options:
        raise unknown_name("option of cascade", next(iter(options)), ["rule"])
    cheap, expensive = (_made(folder, alias, member) for member in members)
    return CascadeRater(cheap, expensive, rule_from(rule))


def _curves(record: object) -> dict[str, Calibration]:
    """Return dimension → curve, from dimension → kind → numbers."""
    try:
        return {
            str(name): calibration_from({kind: torch.tensor(numbers, dtype=torch.float64)})
            for name, own in dict(record).items()  # type: ignore[call-overload]  # a file may hold anything
            for kind, numbers in dict(own).items()
        }
    except (TypeError, ValueError, RuntimeError) as error:
        got = Described(f"something else ({error})")
        raise ArgumentError("calibration", "curves", got, f"write it as in calibration: {CURVE}") from error


def _streams(record: object) -> dict[str, list[str]]:
    """Return dimension → tracks, checked."""
    if not isinstance(record, dict) or not all(isinstance(tracks, list) for tracks in record.values()):
        raise ArgumentError("streams", "a list of tracks per dimension", record, f"write it as in streams: {STREAMS}")
    return {str(name): tracks for name, tracks in record.items()}


def _inside(folder: Path, name: str, option: str = "rater") -> str:
    """Return a folder in or below that of the file as its full path, and any other name unchanged."""
    if name in registry.names() or Path(name).expanduser().is_absolute():
        return name
    inside = folder / name
    climbs = os.path.normpath(name).split(os.sep)[0] == os.pardir
    if not climbs and inside.is_dir():
        return str(inside)
    if (
        climbs or name.startswith(".") or Path(name).is_dir()
    ):  # the last: it is in the working directory, not beside the file
        got = f"{name}, which is outside that folder" if climbs else f"{name}, which does not exist ({inside})"
        raise ArgumentError(option, "a folder in that of the file", Described(got), "write its absolute path")
    return name


def _relative(name: Any, folder: Path) -> Any:
    inside = isinstance(name, str) and os.path.isabs(name) and Path(name).is_relative_to(folder.resolve())
    return f"./{Path(name).relative_to(folder.resolve()).as_posix()}" if inside else name
