"""Card of `signals`, without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avreward.raters.card import RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_FUSED = (
    ("audio_quality", {"audio"}, "noise, clipping, bandwidth, drop-outs, silence of the audio"),
    ("av_consistency", {"video", "audio"}, "whether sounds come when something moves"),
    ("static_quality", {"video"}, "sharpness, noise, blockiness, exposure of the frames"),
    ("temporal_smoothness", {"video"}, "freedom from flicker, freezes and jerks"),
    ("dynamic_degree", {"video"}, "amount of motion; more is not better, so overall leaves it out"),
    ("overall", set[str](), "combination of the quality dimensions that the clip has"),
)
HEADLINE = tuple(
    Dimension(name, 0, 100, frozenset(needs), calibrated=True, description=text) for name, needs, text in _FUSED
)
"""The dimensions; the measurements behind them are listed with their code."""


def _make() -> Rater:
    from avreward.raters.signals.rater import SignalsRater

    return SignalsRater()


CARD = RaterCard("signals", HEADLINE, licence="Apache-2.0", make=_make)
