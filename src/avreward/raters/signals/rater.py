"""The embedded default rater: measures video and audio, without prompt and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

from torch import Tensor

from avreward.clip import Clip
from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest
from avreward.raters.scores import Dimension, Scores
from avreward.raters.signals._card import HEADLINE
from avreward.raters.signals._explain import Explanation, explain
from avreward.raters.signals._fusion import Fusion, shipped
from avreward.raters.signals._gates import soft
from avreward.raters.signals._measurement import MEASUREMENTS, NEEDS
from avreward.raters.signals._version import VERSION
from avreward.raters.signals._windows import HIGHEST_RATE, PLANS, WindowViews, load_audio, load_video, views_of

_DETAILS = tuple(
    Dimension(
        m.name, float("-inf"), float("inf"), NEEDS[m.view], m.unit, m.higher_is_better,
        detail=True, description=m.description,
    )
    for m in MEASUREMENTS
)  # fmt: skip


class SignalsRater(Rater):
    """Measured properties of video and audio, fused into the papers' dimensions, 0 … 100.

    Six dimensions (`audio_quality`, `av_consistency`, `static_quality`, `temporal_smoothness`, `dynamic_degree`,
    `overall`) and every measurement behind them (``rater["signals.clipping"]``). A measurement is a smooth
    form of a published one; scores, tables and `explain` show the same value. A clip of up to 30 s is measured as a
    whole, a longer one in three to six windows of 5 s. The constants aim at 90 for a clean synthesized scene, and at
    70, 50 and 30 with a mild, medium and strong defect.

    It does not read the prompt, does not recognise content, and cannot distinguish a fitting sound from another sound
    with the same timing.

    >>> import torch
    >>> from avreward import Clip
    >>> noise = torch.rand(1, 16000, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> scores = SignalsRater()([Clip(audio=noise, sample_rate=16000)])
    >>> float(scores["audio_quality"]) < 40, scores.reasons[0]["static_quality"]
    (True, 'no video was given')
    """

    name = "signals"
    dimensions = HEADLINE + _DETAILS
    per_clip = True
    travels = True
    versions = MappingProxyType({**Rater.versions, "signals": VERSION})

    def __init__(self, fusion: Fusion | None = None) -> None:
        self.fusion = fusion or shipped()

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed late
        """Fingerprint of the versions of the code and the constants: ``signals:`` and 16 hex digits."""
        return f"{self.name}:{digest(self.versions, str(self.fusion))}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the inputs and origin of the constants, for reports."""
        return {
            "frames": "; ".join(map(repr, PLANS)),
            "sound": f"own rate up to {HIGHEST_RATE} Hz, at most two channels, in the same windows",
            "constants": self.fusion.made_by,
        }

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the tracks that a score may depend on: those that it needs, for `overall` all."""
        return super().reads() if dimension is None else self.dimension(dimension).tracks

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Return a `WindowedVideo`, or a tuple of `AudioWindow`."""
        with no_autocast():
            return load_video(clip) if track == "video" else load_audio(clip)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded; a track shared by several clips is measured once."""
        work = work or Work()
        rows = []
        for sample in samples:
            with no_autocast():
                values, reasons = self.measure(sample, work)
                fused, basis = self.fusion.fuse(values)
            rows.append(({**fused, **values}, self._missing(fused, reasons), {"overall": basis} if basis else {}))
        return Scores.collect(rows, self.dimensions)

    def measure(self, sample: Sample, work: Work | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the measurements (scalars) of a sample, and for missing ones the reason."""
        work = work or Work()
        values: dict[str, Tensor] = {}
        reasons: dict[str, str] = {}
        for needs, views in views_of(sample).items():
            absent = needs & sample.missing.keys()
            key = (self.fingerprint, *(sample.clip.work_key(track) for track in sorted(needs - absent)))
            found = {} if absent else work.results.get(key, partial(_measured, views))
            values |= found
            reasons |= {m.name: views[m.view].why for m in MEASUREMENTS if m.view in views and m.name not in found}
        return values, reasons

    def explain(self, clip: Clip) -> Explanation:
        """Return each measurement as scored, its penalty, its source, and the figure as published.

        >>> import torch
        >>> from avreward import Clip
        >>> rows = SignalsRater().explain(Clip(audio=torch.zeros(1, 16000), sample_rate=16000))
        >>> round(rows["silence"].value), rows["sharpness"].note
        (100, 'no video was given')
        """
        return explain(self, clip)

    def _missing(self, fused: dict[str, Tensor], reasons: dict[str, str]) -> dict[str, str]:
        """Return the reasons for dimensions too: those of the measurements behind them."""
        for dimension in HEADLINE:
            if dimension.name not in fused:
                why = [reasons[m.name] for m in MEASUREMENTS if m.feeds == dimension.name and m.name in reasons]
                every = why or sorted(set(reasons.values()))
                reasons = {**reasons, dimension.name: "; ".join(dict.fromkeys(every))}
        return reasons


def _measured(views: Mapping[str, WindowViews]) -> dict[str, Tensor]:
    """Return the measurements of the available views, in the form of the scores."""
    return {m.name: views[m.view].mean(m, soft) for m in MEASUREMENTS if m.view in views and views[m.view].views}
