"""The features of the clips of some judgments, as they are and in degraded copies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.listener._encoders import ALWAYS, feature_names
from avreward.raters.scores import Scores
from avreward.training.rater._conditional_logit import ChoiceSets, Numbers
from avreward.training.rater.teach_choices import Judgment

RATES = (8000, 11025, 16000, 22050)  # Hz, of degraded copies
BASELINES = ("overall", "audio_quality")
Step = Callable[[str], None]
Row = tuple[Numbers, dict[str, float]] | None


@dataclass
class Table:
    """What was measured.

    Attributes:
        columns: (encoder, dimension) of each feature.
        features: a row a clip; after them, in the same order, those of the degraded copies, if there are any.
        baselines: dimension of `signals` → its score of each clip.
        sets: the choices among the clips as they are.
        degraded: the same choices among the degraded copies (*optional*).
        systems: of each row, or `None`.
        groups: names of the groups by number.
        left_out: (name, why) of each clip that could not be used; clips may have the same name.
    """

    columns: list[tuple[str, str]]
    features: Numbers
    baselines: dict[str, Numbers]
    sets: ChoiceSets
    degraded: ChoiceSets | None
    systems: list[str] | None
    groups: list[str]
    left_out: tuple[tuple[str, str], ...] = ()


def table_of(
    judgments: Sequence[Judgment], encoders: Mapping[str, Rater], degrade: bool, seed: int, step: Step
) -> Table:
    """Return the features of all clips; clips that can't be rated are left out, with the judgments they are in."""
    clips: list[Clip] = []
    systems: list[str | None] = []
    first_group: list[str] = []
    place: dict[int, int] = {}
    for one in judgments:
        for k, clip in enumerate(one.clips):
            if id(clip) not in place:
                place[id(clip)] = len(clips)
                clips.append(clip)
                systems.append(None if one.systems is None else one.systems[k])
                first_group.append(one.group)
    columns = [(key, name) for key, rater in encoders.items() for name in feature_names(rater)]
    reasons: dict[int, str] = {}  # place of a clip → why it, or its degraded copy, has no features
    of_group: dict[str, list[int]] = {}
    for i, group in enumerate(first_group):
        of_group.setdefault(group, []).append(i)
    rows: dict[int, Row] = {}
    copies: dict[int, Row] = {}
    for number, own in enumerate(of_group.values()):  # together, since they share tracks
        given = [clips[i] for i in own]
        made = [_degraded(clip, seed + 7919 * number) if clip.has_audio else clip for clip in given] if degrade else []
        found, why = _measured([*given, *made], encoders, columns)
        reasons |= {own[i % len(own)]: text for i, text in reversed(why.items())}
        rows |= dict(zip(own, found[: len(own)], strict=True))
        copies |= dict(zip(own, found[len(own) :], strict=True)) if degrade else {}
        for clip in given:
            step(clip.name)
    nothing = np.full(len(columns), np.nan)
    order = range(len(clips))
    whole = [nothing if found is None else found[0] for found in [rows[i] for i in order] + [copies[i] for i in copies]]
    baselines = {
        name: np.array([np.nan if found is None else found[1].get(name, np.nan) for found in (rows[i] for i in order)])
        for name in BASELINES
    }
    usable = np.array([rows[i] is not None and copies.get(i, rows[i]) is not None for i in order])
    kept = [one for one in judgments if all(usable[place[id(clip)]] for clip in one.clips)]
    names = list(dict.fromkeys(one.group for one in kept))
    sets = _sets(kept, place, names, 0)
    degraded = _sets(kept, place, names, len(clips)) if degrade and any(clip.has_audio for clip in clips) else None
    known = None if any(system is None for system in systems) else [str(s) for s in systems] * (2 if degrade else 1)
    used = np.isfinite(np.stack(whole)[np.concatenate([usable, usable] if degrade else [usable])]).all(0)
    features = np.stack(whole)
    features[:, ~used] = np.nan
    left_out = tuple((clips[i].name, reasons[i]) for i in sorted(reasons))
    return Table(columns, features, baselines, sets, degraded, known, names, left_out)


def _measured(
    clips: Sequence[Clip], encoders: Mapping[str, Rater], columns: Sequence[tuple[str, str]]
) -> tuple[list[Row], dict[int, str]]:
    """Return each clip's features (NaN where there is none) and scores by `signals`, or `None`; and number → why."""
    try:
        with torch.no_grad():
            found = {key: rater(clips) for key, rater in encoders.items()}
    except AvrewardError as error:  # none of them can be rated
        return [None] * len(clips), dict.fromkeys(range(len(clips)), str(error))
    rows: list[Row] = []
    reasons: dict[int, str] = {}
    for i in range(len(clips)):
        row = np.array([_value(found[key], i, name) for key, name in columns])
        if np.isfinite(row).any():
            rows.append((row, {name: _value(found[ALWAYS], i, name) for name in BASELINES}))
        else:
            reasons[i] = "; ".join(dict.fromkeys(found[ALWAYS].reasons[i].values()))
            rows.append(None)
    return rows, reasons


def _value(scores: Scores, row: int, name: str) -> float:
    column = scores.column(name)
    return float(scores.values[row, column]) if bool(scores.present[row, column]) else float("nan")


def _sets(judgments: Sequence[Judgment], place: Mapping[int, int], groups: Sequence[str], offset: int) -> ChoiceSets:
    """Return judgments as arrays; a tie is half a choice each way."""
    number = {name: i for i, name in enumerate(groups)}
    most = max((len(one.clips) for one in judgments), default=2)
    rows, chosen, weight, group = [], [], [], []
    for one in judgments:
        own = [place[id(clip)] + offset for clip in one.clips]
        for choice, share in [(one.chosen, 1.0)] if one.chosen is not None else [(0, 0.5), (1, 0.5)]:
            rows.append(own + [-1] * (most - len(own)))
            chosen.append(choice)
            weight.append(one.weight * share)
            group.append(number[one.group])
    return ChoiceSets(
        np.array(rows, dtype=np.int64).reshape(-1, most),
        np.array(chosen, dtype=np.int64),
        np.array(weight, dtype=np.float64),
        np.array(group, dtype=np.int64),
    )


def _degraded(clip: Clip, seed: int) -> Clip:
    """Return the clip with its audio mono, at a rate that `seed` draws, and for every second seed through a codec.

    The candidates of a group get the same, so that neither bandwidth nor format says who made a clip.
    """
    generator = torch.Generator().manual_seed(seed)
    rate = RATES[int(torch.randint(len(RATES), (), generator=generator))]
    sound = clip.sound(rate, 1)
    if bool(torch.rand((), generator=generator) < 0.5):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.m4a"
            Clip(audio=sound, sample_rate=rate).save(path)
            sound = Clip.open(path).sound(rate, 1)[:, : sound.shape[1]]
    return clip.with_audio(sound, rate)
