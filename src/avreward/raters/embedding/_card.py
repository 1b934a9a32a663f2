"""Embedding models and the inputs that they compare, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from avreward.raters.card import SAME_AS_CHECKPOINT, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.embedding.base import EmbeddingRater

Side = Literal["video", "audio", "prompt"]
PAIRS: Mapping[str, tuple[Side, Side]] = MappingProxyType({
    "audio_video": ("audio", "video"),
    "audio_text": ("audio", "prompt"),
    "video_text": ("video", "prompt"),
})  # fmt: skip
"""Dimension → the two sides that it compares."""


def dimensions_of(pairs: Mapping[str, tuple[Side, Side]], low: float = -1.0) -> tuple[Dimension, ...]:
    """Return the dimensions of a model that compares `pairs`; scores go from `low` to 1."""
    return tuple(
        Dimension(name, low, 1.0, frozenset(sides), description=f"how well {sides[0]} and {sides[1]} go together")
        for name, sides in pairs.items()
    )


def _clap() -> type[EmbeddingRater]:
    from avreward.raters.embedding.clap import ClapRater

    return ClapRater


def _image_text() -> type[EmbeddingRater]:
    from avreward.raters.embedding.image_text import ImageTextRater

    return ImageTextRater


def _pe_av() -> type[EmbeddingRater]:
    from avreward.raters.embedding.pe_av import PeAvRater

    return PeAvRater


MODELS: Mapping[str, Callable[[], type[EmbeddingRater]]] = MappingProxyType({
    "clap": _clap,
    "clip": _image_text,
    "siglip": _image_text,
    "siglip2": _image_text,
    "pe_audio_video": _pe_av,
})  # fmt: skip
"""`model_type` of a checkpoint → the function that returns its rater's class, imported when called."""


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in MODELS


def _loader() -> Callable[..., Rater]:
    from avreward.raters.embedding._models import load

    return load


CARD = RaterCard(
    "embedding",
    dimensions_of(PAIRS),
    licence=SAME_AS_CHECKPOINT,
    checkpoint="CLAP, CLIP, SigLIP or PE-AV, such as google/siglip2-base-patch16-224",
    layout=Layout(f"an embedding model of type {', '.join(sorted(MODELS))}", _recognises, _loader),
)
