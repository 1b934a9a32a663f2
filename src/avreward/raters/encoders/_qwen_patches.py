"""Preprocess frames for Qwen's vision towers: resize to whole tokens, normalise, cut into patches."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described, MediaError
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media.rounding import Rounding, to_uint8_levels

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
STEP = 2  # frames that one patch covers, in every model of the family
_LONGEST = 200  # at most this ratio of the longer side to the shorter
_AT_ONCE = 16  # frames resized at a time, to bound the memory of intermediate results


@dataclass(frozen=True)
class QwenPatches:
    """Cut frames into patches, as `fetch_video` of qwen-vl-utils and ``Qwen2VLVideoProcessor`` of `transformers` do.

    A patch covers two frames; with an odd number of frames the last one counts twice. The `merge` × `merge` patches
    of one token follow each other.

    Frames are resized by an antialiased bicubic filter on 8-bit values, rounded once, as in `torchvision` on tensors.
    Both sides become multiples of patch·merge. The aspect ratio is nearly kept, and the area becomes

    - at least `least` pixels (small frames are enlarged), and
    - at most `most` pixels, less for long videos: all steps share `total` pixels, but a frame gets at least
      1.05·`least`.

    Args:
        least: pixels of a frame, at least.
        most: pixels of a frame, at most.
        total: pixels of all steps together, at most.
        patch: side of a patch, in pixels.
        merge: patches along each side of a token.
        mean: of the red, green and blue values; subtracted.
        std: of the red, green and blue values; divided by.

    Raises:
        ArgumentError: unless 0 < `least` ≤ `most`.

    Example:
        >>> QwenPatches(least=100352, most=200704, total=90316800).size(720, 1280, frames=16)
        (336, 588)
    """

    least: int
    most: int
    total: int
    patch: int = 14
    merge: int = 2
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most:
            got = Described(f"min_pixels={self.least} and max_pixels={self.most}")
            raise ArgumentError("min_pixels", "0 < min_pixels ≤ max_pixels", got)

    def size(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Return the (height, width) that `frames` frames of `height` × `width` pixels are resized to.

        Raises:
            MediaError: if one side is more than 200 times the other, as in the original.
        """
        if max(height, width) > _LONGEST * min(height, width):
            problem = f"expected an aspect ratio of {_LONGEST} at most, got {width} × {height} pixels"
            raise MediaError("video", problem, "crop it")
        most = min(self.most, max(self.total * STEP / frames, int(self.least * 1.05)))
        factor, area = self.patch * self.merge, height * width
        rounded = [max(factor, round(side / factor) * factor) for side in (height, width)]
        if rounded[0] * rounded[1] > most:
            scale = sqrt(area / most)
            rounded = [max(factor, floor(side / scale / factor) * factor) for side in (height, width)]
        elif rounded[0] * rounded[1] < self.least:
            scale = sqrt(self.least / area)
            rounded = [ceil(side * scale / factor) * factor for side in (height, width)]
        return rounded[0], rounded[1]

    def __call__(self, frames: Tensor, rounding: Rounding) -> tuple[Tensor, tuple[int, int, int]]:
        """Return the patches, float (n, 3·2·patch²), and their grid (steps, rows, columns), n = steps·rows·columns.

        Args:
            frames: float (k, 3, height, width) in [0, 1].
            rounding: how to apply the steps that round to 8 bits; see `avreward.media.rounding`.
        """
        size = self.size(frames.shape[-2], frames.shape[-1], len(frames))
        resized = torch.cat([self._resized(few, size, rounding) for few in frames.split(_AT_ONCE)])
        mean, std = (resized.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return patchify((resized - mean) / std, self.patch, self.merge)

    def _resized(self, frames: Tensor, size: tuple[int, int], rounding: Rounding) -> Tensor:
        eight_bit = to_uint8_levels(widened(frames), rounding)
        return to_uint8_levels(resize(eight_bit, size, "bicubic"), rounding)


def patchify(frames: Tensor, patch: int, merge: int) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut `frames`, float (k, 3, height, width), into patches (n, 3·2·patch²); return them and their grid.

    Both sides must be multiples of patch·merge. Within a patch the order is colour, frame, row, column.

    Example:
        >>> patches, grid = patchify(torch.zeros(3, 3, 8, 16), patch=4, merge=2)
        >>> patches.shape, grid
        (torch.Size([16, 96]), (2, 2, 4))
    """
    frames = torch.cat([frames, frames[-1:].expand(-len(frames) % STEP, -1, -1, -1)])
    steps, rows, columns = len(frames) // STEP, frames.shape[-2] // patch, frames.shape[-1] // patch
    cut = frames.reshape(steps, STEP, 3, rows // merge, merge, patch, columns // merge, merge, patch)
    return cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(-1, 3 * STEP * patch**2), (steps, rows, columns)
