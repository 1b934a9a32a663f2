"""Card of raters that were taught, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import SAME_AS_CHECKPOINT, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

MODEL_TYPE = "avreward_listener"
WHAT = "what the person who taught it prefers: a difference of two scores is the log-odds of a choice"


def preference(needs: frozenset[str]) -> Dimension:
    """Return the only dimension of a rater that reads `needs`."""
    return Dimension("preference", -inf, inf, needs, "log-odds", True, description=WHAT)


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == MODEL_TYPE


def _loader() -> Callable[..., Rater]:
    from avreward.raters.listener.rater import load

    return load


CARD = RaterCard(
    "listener",
    (),
    licence=SAME_AS_CHECKPOINT,
    checkpoint="a folder that avreward teach wrote",
    layout=Layout("a rater that was taught (avreward teach)", _recognises, _loader),
)
