"""Card of the sync evaluator, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

WEIGHTS = "avsync_eval_weights.pt"
DIMENSIONS = (
    Dimension(
        "sync",
        -inf,
        inf,
        frozenset({"video", "audio"}),
        description="how well audio and video are synchronized, by the choices of people",
    ),
)


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return (folder / WEIGHTS).is_file()


def _loader() -> Callable[..., Rater]:
    from avreward.raters.sync.rater import load

    return load


CARD = RaterCard(
    "sync",
    DIMENSIONS,
    licence=UNKNOWN,
    checkpoint="qianyijie/avsync-evaluator",
    layout=Layout(f"the sync evaluator ({WEIGHTS})", _recognises, _loader),
)
