"""What AIGV-Assessor judges, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

Range = tuple[float, float]

_VIDEO, _PROMPTED = frozenset({"video"}), frozenset({"video", "prompt"})
_ABOUT = (  # after section 3.2 of the paper
    ("static_quality", _VIDEO, "clarity, sharpness, colors and appeal of the frames, each by itself"),
    ("temporal_smoothness", _VIDEO, "coherence of the frames over time, without flicker, jitter or jumps"),
    ("dynamic_degree", _VIDEO, "large motion and dynamic scenes"),
    ("tv_correspondence", _PROMPTED, "whether the video is what the prompt says"),
)


def dimensions(mos_range: Range | None = None) -> tuple[Dimension, ...]:
    """Return the four scores and, as details, the level that the language model would name for each.

    Args:
        mos_range: lowest and highest mean opinion score of the training data, whose fifths are the levels (*optional*,
            scores without ends or levels).
    """
    low, high = mos_range or (-inf, inf)
    scores = [
        Dimension(name, low, high, needs, unit="MOS", calibrated=mos_range is not None, description=text)
        for name, needs, text in _ABOUT
    ]
    levels = [
        Dimension(f"{name}_level", 1, 5, needs, calibrated=True, detail=True,
                  description=f"{name} by the level words, bad 1 to excellent 5")
        for name, needs, _ in _ABOUT
    ]  # fmt: skip
    return (*scores, *levels)


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "internvl_chat"


def _loader() -> Callable[..., Rater]:
    from avreward.raters.aigv_assessor._load import load

    return load


CARD = RaterCard(
    "aigv_assessor",
    dimensions(),
    licence=UNKNOWN,
    checkpoint="a folder that AIGV-Assessor's training code wrote; its authors published no weights",
    layout=Layout("AIGV-Assessor (model_type 'internvl_chat')", _recognises, _loader),
)
