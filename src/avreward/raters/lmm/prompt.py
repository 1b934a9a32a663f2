"""Prompts with slots for video and audio, and the text and feature tokens that a language model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """The place of a track in a prompt.

    Args:
        track: ``"video"`` or ``"audio"``.
        of: index of the clip, in a prompt that compares several.
    """

    track: str
    of: int = 0


@dataclass(frozen=True)
class Read:
    """Text at whose last token an answer is read."""

    text: str


Prompt = Sequence["str | Slot | Read | Text"]
"""Text with slots. ``{prompt}`` and ``{texts.NAME}`` in its strings are replaced by the clip's own texts.

Consecutive strings are tokenized together, up to a slot, a `Read` or a `Text`.
"""


@dataclass(frozen=True)
class Text:
    """Token ids, and the indices at which answers are read.

    Example:
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
        seconds: between two steps of the grid, for models whose positions count time.
        deep: features (n, width) that are added to the hidden states after the first decoder layers (DeepStack,
            arXiv:2406.04334).
    """

    values: Tensor
    grid: tuple[int, int, int] | None = None
    seconds: float | None = None
    deep: tuple[Tensor, ...] = field(default=())

    @property
    def length(self) -> int:
        """How many positions it takes."""
        return len(self.values)


Encoded = Sequence[str | Text | Tokens]
"""The content of a slot: feature tokens, and the texts and time stamps around and between them."""
