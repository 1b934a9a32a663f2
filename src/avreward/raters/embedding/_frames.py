"""Frames as input of image–text models: resized, cropped and normalised like their image processors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError
from avreward.media._precision import widened
from avreward.media._resize import Mode, resize
from avreward.media.rounding import Rounding

_MODES: Mapping[int, Mode] = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers


@dataclass(frozen=True)
class Pictures:
    """Resized to `size`: exactly (height, width), or so that the shorter side is one number; then cropped and scaled.

    `crop`, (height, width) around the centre, is at most the resized size; *optional*. Values become
    (value − mean)/std for red, green and blue.

    >>> import torch
    >>> Pictures(size=24, crop=(24, 24))(torch.rand(2, 3, 48, 64), "exact").shape
    torch.Size([2, 3, 24, 24])
    """

    size: int | tuple[int, int]
    crop: tuple[int, int] | None = None
    mode: Mode = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        sides = (self.size, self.size) if isinstance(self.size, int) else self.size
        if self.crop is not None and any(crop > side for crop, side in zip(self.crop, sides, strict=True)):
            raise ArgumentError("crop", f"at most the resized size ({self.size})", self.crop)

    @classmethod
    def of(cls, files: Mapping[str, Any], otherwise: Self) -> Self:
        """Return the settings of a checkpoint's preprocessor files; `otherwise` has the defaults."""
        cropped = files.get("do_center_crop", otherwise.crop is not None)
        crop = otherwise.crop if files.get("crop_size") is None else _sides(files["crop_size"])
        size = otherwise.size if files.get("size") is None else _size(files["size"])
        return cls(size, crop if cropped else None, **scaling(files, otherwise))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of a frame before the crop."""
        if not isinstance(self.size, int):
            return self.size
        longer = int(self.size * max(height, width) / min(height, width))
        return (self.size, longer) if height <= width else (longer, self.size)

    def __call__(self, frames: Tensor, rounding: Rounding) -> Tensor:
        """Return float (k, 3, height, width) for `frames`, float (k, 3, h, w) in [0, 1]."""
        small = resize(widened(frames), self.output_size(*frames.shape[-2:]), self.mode, rounding)
        if self.crop is not None:
            top, left = ((have - want) // 2 for have, want in zip(small.shape[-2:], self.crop, strict=True))
            small = small[..., top : top + self.crop[0], left : left + self.crop[1]]
        return normalised(small, self.mean, self.std)


@dataclass(frozen=True, eq=False)
class Patched:
    """Frames in patches: `values`, float (k, rows·columns, patch²·3), and their `grid` (rows, columns)."""

    values: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class NaflexPictures:
    """Resized to at most `patches` whole patches with nearly the same aspect ratio: SigLIP 2 NaFlex.

    The scale is the largest that a bisection to 1e-5 finds, as in ``Siglip2ImageProcessor`` (arXiv:2502.14786).

    >>> NaflexPictures(patch=16, patches=256).output_size(480, 832)
    (192, 336)
    """

    patch: int
    patches: int = 256
    mode: Mode = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @classmethod
    def of(cls, files: Mapping[str, Any], otherwise: Self) -> Self:
        """Return the settings of a checkpoint's preprocessor files; `otherwise` has the defaults."""
        patch, patches = files.get("patch_size", otherwise.patch), files.get("max_num_patches", otherwise.patches)
        return cls(patch, patches, **scaling(files, otherwise))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that a frame is resized to."""

        def scaled(scale: float) -> tuple[int, int]:
            return _whole(height * scale, self.patch), _whole(width * scale, self.patch)

        low, high = 1e-6, 100.0
        while high - low >= 1e-5:
            middle = (low + high) / 2
            rows, columns = scaled(middle)
            low, high = (middle, high) if rows * columns <= self.patches * self.patch**2 else (low, middle)
        return scaled(low)

    def __call__(self, frames: Tensor, rounding: Rounding) -> Patched:
        """Return the patches of `frames`, float (k, 3, h, w) in [0, 1]."""
        height, width = self.output_size(*frames.shape[-2:])
        pixels = normalised(resize(widened(frames), (height, width), self.mode, rounding), self.mean, self.std)
        rows, columns = height // self.patch, width // self.patch
        cut = pixels.reshape(-1, 3, rows, self.patch, columns, self.patch).permute(0, 2, 4, 3, 5, 1)
        return Patched(cut.reshape(len(frames), rows * columns, -1), (rows, columns))


def normalised(frames: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (frames − mean)/std for `frames`, float (k, 3, h, w)."""
    return (frames - frames.new_tensor(mean)[:, None, None]) / frames.new_tensor(std)[:, None, None]


def scaling(files: Mapping[str, Any], otherwise: Pictures | NaflexPictures) -> dict[str, Any]:
    """Return `mode`, `mean` and `std` of a checkpoint's files; raise `AvrewardError` for an unsupported filter."""
    known = {mode: number for number, mode in _MODES.items()}
    number = files.get("resample", known[otherwise.mode])
    if number not in _MODES:
        raise AvrewardError(
            f"resample: expected one of Pillow's filters {sorted(_MODES)}, got {number}; this model is not supported"
        )
    if abs(files.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise AvrewardError(
            f"rescale_factor: expected 1/255, got {files['rescale_factor']}; this model is not supported"
        )
    return {
        "mode": _MODES[number],
        "mean": tuple(files.get("image_mean", otherwise.mean)),
        "std": tuple(files.get("image_std", otherwise.std)),
    }


def _whole(side: float, patch: int) -> int:
    return max(patch, ceil(side / patch) * patch)


def _sides(size: Any) -> tuple[int, int]:
    """(height, width) of a ``crop_size``, which may be one number."""
    return (size["height"], size["width"]) if isinstance(size, Mapping) else (size, size)


def _size(size: Any) -> int | tuple[int, int]:
    """Return the `size` of `Pictures`; one number is the shorter side."""
    if not isinstance(size, Mapping):
        return size
    if set(size) not in ({"shortest_edge"}, {"height", "width"}):
        raise AvrewardError(
            f"size: expected shortest_edge alone, or height and width, got {dict(size)}; this model is not supported"
        )
    return size["shortest_edge"] if "shortest_edge" in size else (size["height"], size["width"])
