"""Card of distilled students, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import SAME_AS_CHECKPOINT, Layout, RaterCard

if TYPE_CHECKING:
    from avreward.raters.base import Rater

MODEL_TYPE = "avreward_student"


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == MODEL_TYPE


def _loader() -> Callable[..., Rater]:
    from avreward.raters.listener.student import load

    return load


CARD = RaterCard(
    "student",
    (),
    licence=SAME_AS_CHECKPOINT,
    checkpoint="a folder that avreward distill wrote",
    layout=Layout("a distilled rater (avreward distill)", _recognises, _loader),
)
