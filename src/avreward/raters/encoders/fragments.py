"""Grid mini-patch sampling (fragments): small pieces at native scale from every place of a frame, put side by side.

Wu et al., FAST-VQA, ECCV 2022, arXiv:2207.02595, section 3.1. Used by DOVER, FasterVQA and AIGVEval.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import ArgumentError

Offsets = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fragments:
    """Samples one patch from each cell of a grid over the frames.

    Args:
        rows, columns: cells of the grid.
        height, width: of a patch, in pixels.
        aligned: frames in a row that are cut at the same places; a still image counts as one frame.
        stale_size: whether a video that had to be enlarged is cut by its size from before, as the published code does:
            its patches then overlap and miss the right and the lower border.

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
            video: (channels, frames, height, width); smaller ones than the fragments are enlarged first (bilinear).
            offsets: of each patch within its cell, down and to the right, int64 (rows, columns, groups of frames).
            generator: draws the offsets as the published code does (down first, then to the right).

        Raises:
            ArgumentError: for a video or offsets of another shape.
        """
        if video.ndim != 4 or not video.numel():
            raise ArgumentError("video", "a tensor (channels, frames, height, width)", tuple(video.shape))
        aligned = 1 if video.shape[1] == 1 else self.aligned
        groups = max(1, video.shape[1] // aligned)
        size = tuple(video.shape[2:])
        video = self._enlarged(video)
        height, width = size if self.stale_size else tuple(video.shape[2:])
        down, right = offsets if offsets is not None else self._drawn(height, width, groups, generator)
        self._check(down, right, groups)
        tops = [min(height // self.rows * i, height - self.height) for i in range(self.rows)]
        lefts = [min(width // self.columns * j, width - self.width) for j in range(self.columns)]
        pieces = torch.split(video, aligned, 1)
        if len(pieces) > groups:  # frames left over go with the last group
            pieces = (*pieces[: groups - 1], torch.cat(pieces[groups - 1 :], 1))
        return torch.cat(
            [self._cut(piece, tops, lefts, down[..., t], right[..., t]) for t, piece in enumerate(pieces)], 1
        )

    def _enlarged(self, video: Tensor) -> Tensor:
        ratio = min(video.shape[2] / (self.rows * self.height), video.shape[3] / (self.columns * self.width))
        if ratio >= 1:
            return video
        frames = torch.nn.functional.interpolate(video.movedim(1, 0), scale_factor=1 / ratio, mode="bilinear")
        return frames.movedim(0, 1)

    def _drawn(self, height: int, width: int, groups: int, generator: torch.Generator | None) -> Offsets:
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

    def _cut(self, piece: Tensor, tops: list[int], lefts: list[int], down: Tensor, right: Tensor) -> Tensor:
        rows = []
        for i, top in enumerate(tops):
            row = []
            for j, left in enumerate(lefts):
                y, x = max(0, top) + int(down[i, j]), max(0, left) + int(right[i, j])
                row.append(piece[..., y : y + self.height, x : x + self.width])
            rows.append(torch.cat(row, -1))
        return torch.cat(rows, -2)
