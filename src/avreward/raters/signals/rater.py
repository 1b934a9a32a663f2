"""The embedded default rater: measures picture and sound, reads no prompt, needs no weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.signals.fusion import Fusion, shipped
from avreward.raters.signals.measurement import MEASUREMENTS, NEEDS, Measurement
from avreward.raters.signals.smooth import Gate, soft
from avreward.raters.signals.sound import Sound
from avreward.raters.signals.together import SHORTEST, Together
from avreward.raters.signals.views import SHORTEST_SOUND, Picture, load_picture, load_sound

_FUSED = (
    ("audio_quality", {"audio"}, "noise, clipping, bandwidth, drop-outs, loudness of the sound"),
    ("av_consistency", {"video", "audio"}, "whether sounds come when something moves"),
    ("static_quality", {"video"}, "sharpness, noise, blockiness, exposure of the frames"),
    ("temporal_smoothness", {"video"}, "freedom from flicker, freezes and jerks"),
    ("dynamic_degree", {"video"}, "how much moves; more is not better, so it is no part of overall"),
    ("overall", set[str](), "made of the quality dimensions that the clip has"),
)
_HEADLINE = tuple(
    Dimension(name, 0, 100, frozenset(needs), calibrated=True, description=text) for name, needs, text in _FUSED
)
_DETAILS = tuple(
    Dimension(
        m.name, float("-inf"), float("inf"), NEEDS[m.view], m.unit, m.higher_is_better,
        detail=True, description=m.description,
    )
    for m in MEASUREMENTS
)  # fmt: skip


class SignalsRater(Rater):
    """Measured properties of picture and sound, fused into the papers' dimensions, 0 … 100.

    Six dimensions (`audio_quality`, `av_consistency`, `static_quality`, `temporal_smoothness`, `dynamic_degree`,
    `overall`) and every measurement behind them (``rater["signals.clipping"]``). The scores use a smooth form of each
    measurement; `explain` shows the figure of the literature beside it. A clip of up to 30 s is watched whole, a longer
    one in six windows of 5 s. 90 is a clean synthesized scene, 70, 50, 30 one with a mild, medium, strong defect.

    It does not read the prompt, knows nothing of what is shown, and can't tell a fitting sound from a sound of another
    thing that happens at the same moments.

    >>> import torch
    >>> from avreward import Clip
    >>> noise = torch.rand(1, 16000, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> scores = SignalsRater()([Clip(audio=noise, sample_rate=16000)])
    >>> float(scores["audio_quality"]) < 40, scores.reasons[0]["static_quality"]
    (True, 'no picture track')
    """

    name = "signals"
    dimensions = _HEADLINE + _DETAILS
    per_clip = True

    def __init__(self, fusion: Fusion | None = None) -> None:
        self.fusion = fusion or shipped()

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed late
        """Names the code and the constants: ``signals:`` and 16 hex digits."""
        return "signals:" + hashlib.blake2b(f"{_code()}{self.fusion}".encode(), digest_size=8).hexdigest()

    def load_track(self, clip: Clip, track: Track) -> Any:
        """A `Picture`, or a tuple of `Sound` stretches."""
        return load_picture(clip) if track == "video" else load_sound(clip)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Scores for what `load` decoded; a picture or sound shared by several clips is measured once."""
        work = work or Work()
        rows = []
        for sample in samples:
            values, reasons = self.measure(sample, work)
            fused, basis = self.fusion.fuse(values)
            rows.append(({**fused, **values}, self._missing(fused, reasons), {"overall": basis} if basis else {}))
        return Scores.collect(rows, self.dimensions)

    def measure(self, sample: Sample, work: Work | None = None, gate: Gate = soft) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Each measurement that the sample allows (scalars), and for the others measurement → why it is missing."""
        work = work or Work()
        values: dict[str, Tensor] = {}
        reasons: dict[str, str] = {}
        for tracks, prepare in ((("video",), _picture_views), (("audio",), _sound_views), (("video", "audio"), _both_views)):
            absent = [sample.missing[t] for t in tracks if t in sample.missing]
            key = (self.fingerprint, gate, *(sample.clip.work_key(t) for t in tracks if not absent))
            found, why = ({}, {}) if absent else work.results.get(key, lambda p=prepare: _measured(p(sample), gate))
            values |= found
            reasons |= why
            if absent:
                reasons |= {m.name: "; ".join(absent) for m in MEASUREMENTS if NEEDS[m.view] == frozenset(tracks)}
        return values, reasons

    def _missing(self, fused: dict[str, Tensor], reasons: dict[str, str]) -> dict[str, str]:
        """Reasons for the dimensions too: those of the measurements that feed them."""
        for dimension in _HEADLINE:
            if dimension.name not in fused:
                why = [reasons[m.name] for m in MEASUREMENTS if m.feeds == dimension.name and m.name in reasons]
                every = why or sorted(set(reasons.values()))
                reasons = {**reasons, dimension.name: "; ".join(dict.fromkeys(every))}
        return reasons


Views = dict[str, tuple[list[Any], str]]
"""For each kind of view: the stretches to measure, and why there are none."""


def _picture_views(sample: Sample) -> Views:
    picture: Picture = sample.tracks["video"]
    moving = [m for m in picture.stretches if len(m.times) >= 3]
    return {"frames": ([picture.frames], ""), "motion": (moving, "fewer than three frames: no motion to judge")}


def _sound_views(sample: Sample) -> Views:
    long = [s for s in sample.tracks["audio"] if s.seconds >= SHORTEST_SOUND]
    return {"sound": (long, f"less than {SHORTEST_SOUND} s of sound")}


def _both_views(sample: Sample) -> Views:
    sounds: tuple[Sound, ...] = sample.tracks["audio"]
    pairs = [Together(m, s) for m, s in zip(sample.tracks["video"].stretches, sounds, strict=False)]
    enough = [p for p in pairs if len(p.motion.times) >= 3 and p.seconds >= SHORTEST]
    return {"together": (enough, f"picture and sound have less than {SHORTEST} s in common")}


def _measured(views: Views, gate: Gate) -> tuple[dict[str, Tensor], dict[str, str]]:
    values: dict[str, Tensor] = {}
    reasons: dict[str, str] = {}
    for m in MEASUREMENTS:
        if m.view in views:
            stretches, why = views[m.view]
            if stretches:
                values[m.name] = measured(m, stretches, gate)
            else:
                reasons[m.name] = why
    return values, reasons


def measured(measurement: Measurement, stretches: Sequence[Any], gate: Gate) -> Tensor:
    """The mean of a measurement over stretches."""
    return torch.stack([measurement.measure(view, gate) for view in stretches]).mean()


@cache
def _code() -> str:
    """A hash of this package's source: a changed measurement is another fingerprint."""
    folder = files(__package__)
    digest = hashlib.blake2b(digest_size=16)
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".py"):
            digest.update(entry.read_bytes())
    return digest.hexdigest()
