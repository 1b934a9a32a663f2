"""What a language model reads: text, the feature tokens of a track, and where answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """Where a track stands in a text.

    Args:
        track: ``"video"`` or ``"audio"``.
        of: which clip's, where a text compares several.
    """

    track: str
    of: int = 0


@dataclass(frozen=True)
class Read:
    """Text at whose last token an answer is read."""

    text: str


Prompt = Sequence[str | Slot | Read]
"""A text with slots. ``{prompt}`` and ``{texts.NAME}`` in its strings stand for the clip's own texts.

Strings that follow each other are one text, tokenized together; a slot or a `Read` ends it.
"""


@dataclass(frozen=True)
class Text:
    """Token ids as they stand, and at which of them answers are read.

    >>> Text((5, 6, 7), reads=(2,)).length
    3
    """

    ids: tuple[int, ...]
    reads: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """How many positions it takes."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Feature tokens of a track, as the language model reads them.

    Args:
        values: (n, width of the language model).
        grid: (steps, rows, columns) with n = steps·rows·columns, for models whose positions have three axes.
        seconds: between two steps of the grid, for models that count time in their positions.
        deep: (n, width) each, added to the hidden states after the first decoder layers (DeepStack, arXiv:2406.04334).
    """

    values: Tensor
    grid: tuple[int, int, int] | None = None
    seconds: float | None = None
    deep: tuple[Tensor, ...] = field(default=())

    @property
    def length(self) -> int:
        """How many positions it takes."""
        return len(self.values)


Encoded = Sequence[str | Tokens]
"""What stands in a slot: feature tokens, with the texts that a model puts around and between them."""
