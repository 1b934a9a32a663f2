"""Frames as Qwen's vision towers take them in: sized in whole tokens, normalised, cut into patches."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

import torch
from torch import Tensor

from avreward.errors import AvrewardError, MediaError
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media.rounding import Rounding, to_uint8_levels

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
STEP = 2  # frames that one patch covers, in every model of the family
_LONGEST = 200  # times as long as wide, at most
_AT_ONCE = 16  # frames resized at a time, so that the steps on the way stay small in memory


@dataclass(frozen=True)
class QwenPatches:
    """From frames to patches, as `fetch_video` of qwen-vl-utils and ``Qwen2VLVideoProcessor`` of `transformers` do.

    Called with `frames`, float (k, 3, height, width) in [0, 1], it gives patches, float (n, 3·2·patch²), and their
    grid (steps, rows, columns) with n = steps·rows·columns. A patch covers two frames; of an odd number of frames the
    last one counts twice. The patches that one token is made of (`merge` × `merge`) follow each other.

    Frames are resized by an antialiased bicubic filter on 8-bit values, rounded once, as `torchvision` does it on
    tensors. Both sides become multiples of patch·merge; the aspect is kept nearly, and the area becomes

    - at least `least` pixels (small frames are enlarged), and
    - at most `most` pixels, less for long videos: `total` pixels are shared by all steps, but never so that less than
      1.05·`least` would be left for a frame.

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
            raise AvrewardError(f"min_pixels {self.least} and max_pixels {self.most} leave nothing; give 0 < min ≤ max")

    def size(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Return the (height, width) that `frames` frames of `height` × `width` pixels are resized to.

        Raise `MediaError` if one side is more than 200 times the other, as the original does.
        """
        if max(height, width) > _LONGEST * min(height, width):
            problem = f"{width} × {height} pixels are more than {_LONGEST} times as long as wide"
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
        """Return the patches and their grid."""
        size = self.size(frames.shape[-2], frames.shape[-1], len(frames))
        resized = torch.cat([self._resized(few, size, rounding) for few in frames.split(_AT_ONCE)])
        mean, std = (resized.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return patchify((resized - mean) / std, self.patch, self.merge)

    def _resized(self, frames: Tensor, size: tuple[int, int], rounding: Rounding) -> Tensor:
        eight_bit = to_uint8_levels(widened(frames), rounding)
        return to_uint8_levels(resize(eight_bit, size, "bicubic"), rounding)


def patchify(frames: Tensor, patch: int, merge: int) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut `frames`, float (k, 3, height, width), into patches (n, 3·2·patch²); return them and their grid.

    Sides are multiples of patch·merge. Within a patch the order is colour, frame, row, column.

    >>> patches, grid = patchify(torch.zeros(3, 3, 8, 16), patch=4, merge=2)
    >>> patches.shape, grid
    (torch.Size([16, 96]), (2, 2, 4))
    """
    frames = torch.cat([frames, frames[-1:].expand(-len(frames) % STEP, -1, -1, -1)])
    steps, rows, columns = len(frames) // STEP, frames.shape[-2] // patch, frames.shape[-1] // patch
    cut = frames.reshape(steps, STEP, 3, rows // merge, merge, patch, columns // merge, merge, patch)
    return cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(-1, 3 * STEP * patch**2), (steps, rows, columns)
