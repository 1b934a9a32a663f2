"""Cards: dimensions, needs, licence and checkpoint of a rater, known before it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.scores import Dimension

UNKNOWN = "unknown"
SAME_AS_CHECKPOINT = "the checkpoint's own"


@dataclass(frozen=True)
class Layout:
    """A layout of checkpoint folders that a system reads.

    Args:
        description: of such a folder, for the error that lists the known layouts: ``"AGAV-Rater (…)"``.
        recognises: (folder, its ``config.json``) → whether it is such a folder.
        loader: returns the function that reads it, ``load(folder, config, loading, **options)``; imports are made when
            it is called.
    """

    description: str
    recognises: Callable[[Path, Mapping[str, Any]], bool]
    loader: Callable[[], Callable[..., Rater]]


@dataclass(frozen=True)
class RaterCard:
    """A rater or a family of raters, described without importing it.

    Args:
        name: as in ``load_rater("signals")``, or the kind of checkpoint, such as ``"agav"``.
        dimensions: of its scores; empty where they are known only after loading.
        licence: of the weights, or of the code where there are none; ``"unknown"`` where it is not stated.
        checkpoint: where its weights come from; empty if it has none.
        make: makes the rater without a checkpoint (*optional*).
        layout: the checkpoint folders that it reads (*optional*).
        make_from: makes the rater at an address, given whole as its only positional argument (*optional*).
        schemes: what such addresses begin with: ``("http", "https")`` for ``http://…``.
    """

    name: str
    dimensions: tuple[Dimension, ...] = ()
    licence: str = UNKNOWN
    checkpoint: str = ""
    make: Callable[..., Rater] | None = None
    layout: Layout | None = None
    make_from: Callable[..., Rater] | None = None
    schemes: tuple[str, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """What a clip must have for every dimension: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``."""
        return frozenset[str]().union(*(dimension.needs for dimension in self.dimensions))

    def __repr__(self) -> str:
        names = ", ".join(d.name for d in self.dimensions if not d.detail) or "known after loading"
        needs = ", ".join(sorted(self.needs)) or UNKNOWN
        text = f"dimensions: {names}; needs: {needs}; licence: {self.licence}; checkpoint: {self.checkpoint or 'none'}"
        return f"RaterCard({self.name}; {text})"
