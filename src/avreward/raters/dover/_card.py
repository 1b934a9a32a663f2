"""What DOVER judges, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

Variant = Literal["dover", "dover++"]


def dimensions_of(variant: Variant) -> tuple[Dimension, ...]:
    """Return the dimensions of a variant: scores from 0 to 1, or to 100 for DOVER++."""
    high = 100.0 if variant == "dover++" else 1.0
    described = {
        "technical": "technical quality: noise, blur, compression, shake",
        "aesthetic": "aesthetic quality: content, composition, colour",
        "overall": "technical and aesthetic quality, weighted 0.6104 and 0.3896",
    }
    return tuple(
        Dimension(name, 0.0, high, frozenset({"video"}), description=about) for name, about in described.items()
    )


def published_files(folder: Path) -> list[str]:
    """Return the names of the files in `folder` that may hold the published weights."""
    return sorted(path.name for path in folder.glob("*.pth") if path.name.lower().startswith("dover"))


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    others = ("model*.safetensors", "pytorch_model*.bin")  # config.json is theirs
    return bool(published_files(folder)) and not (config and any(any(folder.glob(other)) for other in others))


def _loader() -> Callable[..., Rater]:
    from avreward.raters.dover.rater import load

    return load


CARD = RaterCard(
    "dover",
    dimensions_of("dover"),
    licence=UNKNOWN,
    checkpoint="a folder with DOVER.pth or DOVER_plus_plus.pth",
    layout=Layout("DOVER (DOVER.pth, DOVER_plus_plus.pth)", _recognises, _loader),
)
