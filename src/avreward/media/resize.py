"""Differentiable resizing of frames, antialiased when shrinking."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, prod
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import MediaError
from avreward.media.precision import widened
from avreward.media.rounding import Rounding, rounded, to_uint8_levels

Mode = Literal["area", "bilinear", "bicubic", "nearest"]
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
_FIXED_POINT = 2.0**22  # Pillow multiplies 8-bit pixels with weights of 22 binary places


def resize(frames: Tensor, size: tuple[int, int], mode: Mode = "area", rounding: Rounding = "none") -> Tensor:
    """Resize `frames`, float (…, h, w), to (…, *size), differentiably.

    Modes:

    - ``"area"``: the mean over the source area that a pixel covers, border pixels in proportion.
    - ``"bilinear"``, ``"bicubic"`` (Keys' kernel, a = −1/2): as Pillow and torch's ``antialias=True``; the kernel is
      widened by the scale when shrinking.
    - ``"nearest"``: source pixel ⌊i·scale⌋, as torch's ``"nearest"``; no antialiasing.

    `rounding` is for originals that resize 8-bit frames with values in [0, 1]: each of the two passes, across and down,
    rounds to k/255, which makes ``"bilinear"`` and ``"bicubic"`` those of Pillow 13 bit for bit. (Earlier releases go
    across first where Pillow 13 goes down first, because the height loses more than twice what the width does; natural
    pictures then differ by a level here and there.) For what the gradient sees, see `avreward.media.rounding`.

    Half precision is computed in float32. `MediaError` if frames aren't floating or have no pixels, if a side isn't
    positive or if the mode is unknown.

    >>> resize(torch.eye(4)[None], (2, 2))
    tensor([[[0.5000, 0.0000],
             [0.0000, 0.5000]]])
    """
    _check(frames, size, mode)
    if frames.numel() == 0:  # no frames at all
        return frames.new_zeros(*frames.shape[:-2], *size)
    if mode == "nearest":
        flat = frames.reshape(1, -1, *frames.shape[-2:])  # the batch holds any leading dimensions, even none
        picked = F.interpolate(flat, size, mode="nearest").reshape(*frames.shape[:-2], *size)
        return to_uint8_levels(picked, rounding)
    wide = widened(frames)
    if rounding != "none":
        wide = rounded(wide.double() * 255, lambda x: x.round().clamp(0, 255), rounding)
    (height, width), (new_height, new_width) = wide.shape[-2:], size
    down_first = height > new_height and height - new_height > 2 * (width - new_width)  # Pillow 13's rule, as observed
    passes = ((-2, new_height), (-1, new_width))
    # without rounding the order makes no difference but in speed
    for dim, new in passes if down_first or rounding == "none" else passes[::-1]:
        if wide.shape[dim] != new:
            wide = _pass(wide, dim, new, mode, rounding)
    return (wide if rounding == "none" else wide / 255).to(frames.dtype)


def _pass(image: Tensor, dim: int, new: int, mode: Mode, rounding: Rounding) -> Tensor:
    """Resize along one dimension: every output is a weighted sum of a few neighbours."""
    sums = _sums(image.shape[dim], new, mode, rounding != "none")
    # sums of whole rows are many times faster than sums along them
    out = _WeightedRows.apply(image.transpose(-1, -2) if dim == -1 else image, *sums)
    out = out.transpose(-1, -2) if dim == -1 else out
    if rounding == "none":
        return out
    return rounded(out / _FIXED_POINT, lambda x: (x + 0.5).floor().clamp(0, 255), rounding)


class _Sums(NamedTuple):
    """A sparse matrix by rows: output i is the sum of weight·source from starts[i] to starts[i + 1]."""

    sources: Tensor  # int64 (entries,)
    weights: Tensor  # float64 (entries,)
    starts: Tensor  # int64 (outputs,)


class _WeightedRows(torch.autograd.Function):
    """Rows (…, h, w) to sums of rows (…, outputs, w); its gradient is the same operation with the matrix transposed."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, sums: _Sums, transposed: _Sums) -> Tensor:
        ctx.sums, ctx.transposed = sums, transposed
        *lead, height, width = image.shape
        sources, weights, starts = (part.to(image.device) for part in sums)
        planes = torch.arange(prod(lead), device=image.device)[:, None]
        # torch has no fused gather-and-add by another name
        out = F.embedding_bag(
            (sources + planes * height).flatten(),
            image.reshape(-1, width).contiguous(),  # other strides take another path, and other last digits
            (starts + planes * len(sources)).flatten(),
            mode="sum",
            per_sample_weights=weights.to(image.dtype).repeat(len(planes)),
        )
        return out.reshape(*lead, len(starts), width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _WeightedRows.apply(gradients[0], ctx.transposed, ctx.sums), None, None


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _sums(old: int, new: int, mode: Mode, fixed_point: bool) -> tuple[_Sums, _Sums]:
    """Return the matrix (new, old) that resizes, and its transpose."""
    sources, weights = _area(old, new) if mode == "area" else _convolution(old, new, mode)
    weights = weights / weights.sum(dim=1, keepdim=True)
    if fixed_point:
        weights = (weights * _FIXED_POINT).round()
    output, tap = weights.nonzero(as_tuple=True)
    source, weight = sources[output, tap], weights[output, tap]
    by_source = source.argsort(stable=True)
    return (
        _Sums(source, weight, torch.searchsorted(output, torch.arange(new))),
        _Sums(output[by_source], weight[by_source], torch.searchsorted(source[by_source], torch.arange(old))),
    )


def _area(old: int, new: int) -> tuple[Tensor, Tensor]:
    """Return sources and the length of each that an output covers, both (new, taps), in units of 1/new of a source."""
    output = torch.arange(new)[:, None]
    sources = output * old // new + torch.arange(ceil(old / new) + 1)
    covered = torch.minimum((sources + 1) * new, (output + 1) * old) - torch.maximum(sources * new, output * old)
    return sources, covered.clamp(min=0).double()


def _convolution(old: int, new: int, mode: Mode) -> tuple[Tensor, Tensor]:
    """Return sources and the kernel at each, both (new, taps), the kernel stretched by the scale when shrinking."""
    scale = old / new
    stretch = max(scale, 1.0)
    support = _SUPPORT[mode] * stretch
    centre = (torch.arange(new, dtype=torch.float64)[:, None] + 0.5) * scale
    first = (centre - support + 0.5).clamp(min=0).long()
    end = (centre + support + 0.5).clamp(max=old).long()
    sources = first + torch.arange(ceil(2 * support) + 1)
    return sources, _kernel((sources - centre + 0.5) / stretch, mode) * (sources < end)


def _kernel(x: Tensor, mode: Mode) -> Tensor:
    x = x.abs()
    if mode == "bilinear":
        return (1 - x).clamp(min=0)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _check(frames: Tensor, size: tuple[int, int], mode: str) -> None:
    if mode not in get_args(Mode):
        raise MediaError("mode", f"{mode!r} isn't a mode", f"use one of {', '.join(get_args(Mode))}")
    if not frames.is_floating_point():
        raise MediaError("frames", f"{frames.dtype} isn't floating", "convert to float in [0, 1]")
    if frames.ndim < 2 or 0 in frames.shape[-2:]:
        raise MediaError("frames", f"shape {tuple(frames.shape)} has no pixels", "give frames (…, height, width)")
    if min(size) < 1:
        raise MediaError("size", f"{size} isn't positive", "give (height, width) in pixels")
