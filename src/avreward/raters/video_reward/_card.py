"""Card of VideoReward, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_VIDEO, _PROMPTED = frozenset({"video"}), frozenset({"video", "prompt"})
DIMENSIONS = tuple(
    Dimension(name, -inf, inf, needs, description=text)
    for name, needs, text in (
        ("VQ", _VIDEO, "visual quality: clarity, detail, aesthetics, no implausible content in a frame"),
        ("MQ", _VIDEO, "motion quality: stable, natural, smooth, and enough of it"),
        ("TA", _PROMPTED, "text alignment: whether the video matches the prompt"),
        ("overall", _PROMPTED, "VQ + MQ + TA"),
    )
)


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return (folder / "model_config.json").is_file()


def _loader() -> Callable[..., Rater]:
    from avreward.raters.video_reward.rater import load

    return load


CARD = RaterCard(
    "video_reward",
    DIMENSIONS,
    licence=UNKNOWN,
    checkpoint="KwaiVGI/VideoReward",
    layout=Layout("VideoReward (model_config.json)", _recognises, _loader),
)
