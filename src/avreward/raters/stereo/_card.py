"""Card of `signals.stereo`, without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avreward.raters.card import RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_NEEDS = frozenset({"video", "audio"})
_SCORES = (
    ("panning", "whether the sound is on the side on which something moves: 1 it is, -1 the channels are swapped"),
    ("level_panning", "the same by the difference of level between the channels alone"),
    ("time_panning", "the same by the difference of time between the channels alone"),
)
DIMENSIONS = tuple(Dimension(name, -1, 1, _NEEDS, detail=name != "panning", description=text) for name, text in _SCORES)


def _make() -> Rater:
    from avreward.raters.stereo.rater import StereoRater

    return StereoRater()


CARD = RaterCard("signals.stereo", DIMENSIONS, licence="Apache-2.0", make=_make)
