"""Differentiable resizing of frames, antialiased when shrinking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError, unknown_name
from avreward.media._precision import widened
from avreward.media.rounding import Rounding, to_uint8_levels

Mode = Literal["area", "bilinear", "bicubic", "nearest"]
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
_BITS = 22  # Pillow multiplies 8-bit pixels with weights of so many binary places
_FIXED_POINT, _SPLIT = 2**_BITS, 2 ** (_BITS // 2)


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
    images then differ by a level in places.) For the gradients see `avreward.media.rounding`.

    Half precision is computed in float32.

    Raises:
        ArgumentError: if a side of `size` is not positive, or the mode is unknown.
        MediaError: if frames are not floating or have no pixels.

    Example:
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
    passes = _passes(frames.shape[-2:], size, rounding)
    if rounding == "none":
        return _linear(widened(frames), passes, mode).to(frames.dtype)
    return _Levels.apply(frames, passes, mode, rounding == "straight_through")


def _passes(old: Sequence[int], new: tuple[int, int], rounding: Rounding) -> tuple[tuple[int, int], ...]:
    """Return the (dimension, new length) of each pass, in order; without rounding the order affects speed only."""
    down_first = old[0] > new[0] and old[0] - new[0] > 2 * (old[1] - new[1])  # Pillow 13's rule, as observed
    both = ((-2, new[0]), (-1, new[1])) if down_first or rounding == "none" else ((-1, new[1]), (-2, new[0]))
    return tuple((dim, length) for dim, length in both if old[dim] != length)


def _linear(image: Tensor, passes: Sequence[tuple[int, int]], mode: Mode) -> Tensor:
    """Resize along one dimension after the other: every output is a weighted sum of a few neighbours."""
    for dim, length in passes:
        sums = _sums(image.shape[dim], length, mode)
        # sums of whole rows are many times faster than sums along them
        out = _WeightedRows.apply(image.transpose(-1, -2) if dim == -1 else image, *sums)
        image = out.transpose(-1, -2) if dim == -1 else out
    return image


class _Levels(torch.autograd.Function):
    """Frames in [0, 1] to frames in steps of 1/255, with whole numbers in between; its gradient is that of `_linear`.

    Without `straight` the gradient is zero, as that of a rounding step is.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, passes: tuple[tuple[int, int], ...], mode: Mode, straight: bool) -> Tensor:
        ctx.passes, ctx.mode, ctx.straight, ctx.shape = passes, mode, straight, frames.shape
        levels = (widened(frames) * 255).round_().clamp_(0, 255).float()
        for dim, length in passes:
            high, low = _fixed_point(levels.shape[dim], length, mode)
            rows = levels.transpose(-1, -2).contiguous() if dim == -1 else levels
            # Each sum is exact in single precision, whose fast path reads whole rows; put together they take 31 bits.
            out = _rows(rows, high).int().mul_(_SPLIT).add_(_rows(rows, low).int())
            out = out.add_(_FIXED_POINT // 2).bitwise_right_shift_(_BITS).clamp_(0, 255).float()
            levels = out.transpose(-1, -2) if dim == -1 else out
        return (levels.to(widened(frames).dtype) / 255).to(frames.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        if not ctx.straight:
            return gradient.new_zeros(ctx.shape), None, None, None
        wide = widened(gradient)
        for dim, length in reversed(ctx.passes):
            sums, transposed = _sums(ctx.shape[dim], length, ctx.mode)
            rows = _WeightedRows.apply(wide.transpose(-1, -2) if dim == -1 else wide, transposed, sums)
            wide = rows.transpose(-1, -2) if dim == -1 else rows
        return wide.to(gradient.dtype), None, None, None


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
        return _rows(image, sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _WeightedRows.apply(gradients[0], ctx.transposed, ctx.sums), None, None


def _rows(image: Tensor, sums: _Sums) -> Tensor:
    """Return the sums of the rows of image (…, h, w): (…, outputs, w)."""
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


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _sums(old: int, new: int, mode: Mode) -> tuple[_Sums, _Sums]:
    """Return the matrix (new, old) that resizes, and its transpose."""
    sources, weights = _area(old, new) if mode == "area" else _convolution(old, new, mode)
    return _sparse(sources, weights / weights.sum(dim=1, keepdim=True), old)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _fixed_point(old: int, new: int, mode: Mode) -> tuple[_Sums, _Sums]:
    """Return the matrix in units of 2⁻²², whole numbers, as multiples of 2¹¹ and what is left of them."""
    sources, weights = _area(old, new) if mode == "area" else _convolution(old, new, mode)
    whole = (weights / weights.sum(dim=1, keepdim=True) * _FIXED_POINT).round()
    high = (whole / _SPLIT).round()
    return _sparse(sources, high, old)[0], _sparse(sources, whole - high * _SPLIT, old)[0]


def _sparse(sources: Tensor, weights: Tensor, old: int) -> tuple[_Sums, _Sums]:
    """From (new, taps) each to the matrix by rows and its transpose; weights of 0 are left out."""
    new = len(weights)
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
        raise unknown_name("mode", mode, get_args(Mode))
    if not frames.is_floating_point():
        raise MediaError("frames", f"{frames.dtype} is not floating", "convert to float in [0, 1]")
    if frames.ndim < 2 or 0 in frames.shape[-2:]:
        raise MediaError("frames", f"shape {tuple(frames.shape)} has no pixels", "give frames (…, height, width)")
    if min(size) < 1:
        raise ArgumentError("size", "positive (height, width) in pixels", size)
