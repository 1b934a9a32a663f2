"""What AIGVEval judges, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

DIMENSIONS = (
    Dimension("quality", 1.0, 5.0, frozenset({"video"}), description="visual quality, whatever the prompt was"),
)


def published_files(folder: Path) -> list[str]:
    """Return the names of the files in `folder` that may hold the published weights."""
    return sorted(path.name for path in folder.glob("*.pth") if "aigveval" in path.name.lower())


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return bool(published_files(folder))


def _loader() -> Callable[..., Rater]:
    from avreward.raters.aigveval.rater import load

    return load


CARD = RaterCard(
    "aigveval",
    DIMENSIONS,
    licence=UNKNOWN,
    checkpoint="a folder with aigveval.pth, as the code of QiZelu/AIGVEval writes it",
    layout=Layout("AIGVEval (aigveval.pth)", _recognises, _loader),
)
