"""Positions on three axes (time, row, column) for the multimodal rotary embedding of the Qwen families."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avreward.raters.lmm.prompt import Text, Tokens


def mrope(parts: Sequence[Text | Tokens], per_second: float | None = None) -> Tensor:
    """Return the positions of a sequence, int64 (3, length): time, row, column (Qwen2-VL, arXiv:2409.12191, 2.1).

    Text, and tokens without a grid, have the same consecutive positions on all axes. Tokens with a grid have one
    position for each step, row and column, all from the same start. The next part starts after the largest position so
    far on any axis.

    Args:
        parts: text and feature tokens, in order.
        per_second: positions that a second takes, for models whose time axis counts seconds (Qwen2.5-VL and its
            successors); it needs `seconds` of the tokens. Without it every step takes one (*optional*).

    Example:
        >>> video = Tokens(torch.zeros(4, 8), grid=(2, 1, 2), seconds=1.0)
        >>> mrope([Text((7,)), video, Text((8, 9))], per_second=4)
        tensor([[0, 1, 1, 5, 5, 6, 7],
                [0, 1, 1, 1, 1, 6, 7],
                [0, 1, 2, 1, 2, 6, 7]])
    """
    pieces, start = [torch.zeros(3, 0, dtype=torch.long)], 0
    for part in parts:
        if not part.length:
            continue
        piece = start + _grid(part, per_second)
        start = int(piece.max()) + 1
        pieces.append(piece)
    return torch.cat(pieces, dim=1)


def _grid(part: Text | Tokens, per_second: float | None) -> Tensor:
    """Return the positions of one part, starting at 0, int64 (3, length)."""
    if isinstance(part, Text) or part.grid is None:
        return torch.arange(part.length).expand(3, -1)
    steps, rows, columns = (torch.arange(count) for count in part.grid)
    if per_second is not None and part.seconds is not None:
        steps = (steps.float() * part.seconds * per_second).long()  # single precision, as the original truncates it
    return torch.stack(torch.meshgrid(steps, rows, columns, indexing="ij")).reshape(3, -1)
