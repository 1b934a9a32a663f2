"""The card of AGAV-Rater: its dimensions and checkpoint, available without importing the rater."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

Task = Literal["v2a", "tta", "ttm"]

_AV = frozenset({"video", "audio"})
_TEXT = frozenset({"audio", "prompt"})
_EXPERIMENTAL = "; experimental: the wording was never published and follows section 4.2"


def _dimension(name: str, needs: frozenset[str], description: str) -> Dimension:
    return Dimension(name, -inf, inf, needs, description=description)


DIMENSIONS: Mapping[Task, tuple[Dimension, ...]] = {
    "v2a": (
        _dimension("audio_quality", _AV, "quality and realism of the audio"),
        _dimension("av_consistency", _AV, "whether audio and video match"),
        _dimension("overall", _AV, "overall audio-visual quality"),
    ),
    "tta": (
        _dimension("audio_quality", _TEXT, f"quality and realism of the audio{_EXPERIMENTAL}"),
        _dimension("audio_text", _TEXT, f"whether the audio matches the prompt{_EXPERIMENTAL}"),
    ),
    "ttm": (
        _dimension("music_quality", _TEXT, f"quality and realism of the music{_EXPERIMENTAL}"),
        _dimension("music_text", _TEXT, f"whether the music matches the prompt{_EXPERIMENTAL}"),
    ),
}


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return "mm_projector_type" in config and "mm_projector_a_type" in config


def _loader() -> Callable[..., Rater]:
    from avreward.raters.agav.rater import load

    return load


CARD = RaterCard(
    "agav",
    DIMENSIONS["v2a"],
    licence=UNKNOWN,
    checkpoint="caoyuqin/AGAV-Rater",
    layout=Layout("AGAV-Rater (mm_projector_type)", _recognises, _loader),
)
