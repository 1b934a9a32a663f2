"""Preprocess frames in [0, 1] for the encoders of DOVER and AIGVEval: fragments, normalised colours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media._precision import widened
from avreward.media.rounding import Rounding, rounded, to_uint8_levels
from avreward.raters.encoders.fragments import Fragments, Offsets

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of red, green and blue in ImageNet, for values from 0 to 255."""


def normalized(frames: Tensor) -> Tensor:
    """Return `frames` (frames, 3, height, width) in [0, 1] normalised, as a video (3, frames, height, width)."""
    frames = widened(frames)
    mean, std = (frames.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((frames * 255 - mean) / std).movedim(1, 0)


def fragment_view(
    frames: Tensor,
    fragments: Fragments,
    rounding: Rounding,
    offsets: Offsets | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the normalised fragments (3, frames, height, width) of `frames` (frames, 3, height, width) in [0, 1].

    The originals cut 8-bit frames. Frames smaller than the fragments are enlarged, and their values are truncated to
    8-bit levels.

    Args:
        frames: of any size.
        fragments: the grid and the patches.
        rounding: how to apply the steps that round to 8 bits; see `avreward.media.rounding`.
        offsets: see `Fragments` (*optional*).
        generator: see `Fragments` (*optional*).
    """
    levels = to_uint8_levels(widened(frames), rounding)
    cut = fragments(levels.movedim(1, 0), offsets, generator).movedim(0, 1)
    if fragments.enlargement(*frames.shape[2:]) > 1:
        cut = rounded(cut, _whole_levels, rounding)
    return normalized(cut)


def _whole_levels(values: Tensor) -> Tensor:
    return (values * 255).floor().clamp(0, 255) / 255


def check_views(sizes: Mapping[str, object], seed: object) -> None:
    """Raise `ArgumentError` for a size that is not a positive integer, or a seed that no generator takes.

    Args:
        sizes: name of the argument → its value.
        seed: of the places that are drawn; `None` draws none.
    """
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(name, "a positive integer", value)
    usable = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63
    if seed is not None and not usable:
        raise ArgumentError("seed", "an integer from 0 to 2**63 - 1, or None", seed)
