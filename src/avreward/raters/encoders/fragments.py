"""Grid mini-patch sampling (fragments): small patches at native scale from each cell of a grid, joined to a frame.

Wu et al., FAST-VQA, ECCV 2022, arXiv:2207.02595, section 3.1. Used by DOVER, FasterVQA and AIGVEval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import torch
from torch import Tensor

from avreward.errors import ArgumentError

Offsets = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fragments:
    """Sample one patch from each cell of a grid over the frames.

    Args:
        rows, columns: cells of the grid.
        height, width: of a patch, in pixels.
        aligned: number of consecutive frames that are cut at the same positions; a still image counts as one frame.
        stale_size: whether an enlarged video is cut by its size before enlarging, as in the published code: the
            patches then overlap and miss the right and lower borders.

    Example:
        >>> video = torch.rand(3, 8, 300, 340)
        >>> Fragments()(video).shape
        torch.Size([3, 8, 224, 224])
    """

    rows: int = 7
    columns: int = 7
    height: int = 32
    width: int = 32
    aligned: int = 32
    stale_size: bool = False

    def __call__(
        self, video: Tensor, offsets: Offsets | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the fragments (channels, frames, rows · height, columns · width).

        Without `offsets` and `generator` each patch is cut from the middle of its cell.

        Args:
            video: (channels, frames, height, width); videos smaller than the fragments are enlarged first (bilinear).
            offsets: (down, right) of each patch within its cell, int64 (rows, columns, groups of frames) each.
            generator: draws the offsets as in the published code (down first, then right).

        Raises:
            ArgumentError: if the video or the offsets have another shape.
        """
        if video.ndim != 4 or not video.numel():
            raise ArgumentError("video", "a tensor (channels, frames, height, width)", tuple(video.shape))
        aligned = 1 if video.shape[1] == 1 else self.aligned
        groups = max(1, video.shape[1] // aligned)
        scale = self.enlargement(*video.shape[2:])
        large = (floor(video.shape[2] * scale), floor(video.shape[3] * scale))
        height, width = tuple(video.shape[2:]) if self.stale_size else large
        down, right = offsets if offsets is not None else self._offsets(height, width, groups, generator)
        self._check(down, right, groups)
        tops = [min(height // self.rows * i, height - self.height) for i in range(self.rows)]
        lefts = [min(width // self.columns * j, width - self.width) for j in range(self.columns)]
        pieces = torch.split(video, aligned, 1)
        if len(pieces) > groups:  # the remaining frames join the last group
            pieces = (*pieces[: groups - 1], torch.cat(pieces[groups - 1 :], 1))
        return torch.cat(
            [self._cut(piece, scale, tops, lefts, down[..., t], right[..., t]) for t, piece in enumerate(pieces)], 1
        )

    def enlargement(self, height: int, width: int) -> float:
        """Return by how much a video of `height` × `width` pixels is enlarged: 1 where it holds the fragments."""
        ratio = min(height / (self.rows * self.height), width / (self.columns * self.width))
        return 1.0 if ratio >= 1 else 1 / ratio

    def offsets(self, height: int, width: int, groups: int, generator: torch.Generator | None = None) -> Offsets:
        """Return offsets for a video of `height` × `width` pixels: drawn, or without a generator the middle ones."""
        scale = 1.0 if self.stale_size else self.enlargement(height, width)
        return self._offsets(floor(height * scale), floor(width * scale), groups, generator)

    def _offsets(self, height: int, width: int, groups: int, generator: torch.Generator | None) -> Offsets:
        shape = (self.rows, self.columns, groups)
        spare = (height // self.rows - self.height, width // self.columns - self.width)
        if generator is None:
            return tuple(torch.full(shape, max(0, room) // 2) for room in spare)  # type: ignore[return-value]
        draws = [torch.randint(room, shape, generator=generator) if room > 0 else torch.zeros(shape, dtype=torch.long)
                 for room in spare]  # fmt: skip
        return draws[0], draws[1]

    def _check(self, down: Tensor, right: Tensor, groups: int) -> None:
        for name, offset in (("down", down), ("right", right)):
            if tuple(offset.shape) != (self.rows, self.columns, groups) or offset.is_floating_point():
                wanted = f"integers of shape {(self.rows, self.columns, groups)}"
                raise ArgumentError(f"offsets ({name})", wanted, f"{offset.dtype} {tuple(offset.shape)}")

    def _cut(
        self, piece: Tensor, scale: float, tops: list[int], lefts: list[int], down: Tensor, right: Tensor
    ) -> Tensor:
        rows = []
        for i, top in enumerate(tops):
            row = []
            for j, left in enumerate(lefts):
                y, x = max(0, top) + int(down[i, j]), max(0, left) + int(right[i, j])
                if scale == 1:
                    row.append(piece[..., y : y + self.height, x : x + self.width])
                else:
                    row.append(_enlarged(piece, scale, (y, y + self.height), (x, x + self.width)))
            rows.append(torch.cat(row, -1))
        return torch.cat(rows, -2)


def _enlarged(piece: Tensor, scale: float, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return rows and columns of the bilinear enlargement of `piece`, which as a whole may be too large to hold."""
    (top, bottom, down), (left, right, across) = (
        _neighbours(span, side, scale, piece) for span, side in ((rows, piece.shape[-2]), (columns, piece.shape[-1]))
    )
    upper, lower = (
        piece[..., at[:, None], left] * (1 - across) + piece[..., at[:, None], right] * across for at in (top, bottom)
    )
    return upper * (1 - down[:, None]) + lower * down[:, None]


def _neighbours(span: tuple[int, int], side: int, scale: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two source pixels of each pixel in `span`, and the weight of the second, as torch interpolates."""
    dtype = torch.promote_types(like.dtype, torch.float32)  # positions in half precision are off by whole pixels
    step = torch.tensor(1 / scale, dtype=dtype, device=like.device)  # in single precision, where pixels are
    at = ((torch.arange(*span, device=like.device) + 0.5).to(dtype) * step - 0.5).clamp(min=0)
    first = at.long().clamp(max=side - 1)
    return first, (first + 1).clamp(max=side - 1), (at - first).clamp(max=1)
