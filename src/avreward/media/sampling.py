"""Rules and sizes by which frames of a clip are sampled.

A rule maps display times to frame indices. It is a frozen dataclass whose `repr` describes it completely, because that
text is part of a rater's fingerprint. The rules of published systems are in `avreward.media.sampling_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described, MediaError

# Matroska stores milliseconds, so a time stamp may be off by half of one.
_STAMP_ERROR = 5e-4
# The usual codecs work in blocks of 16 pixels: a crop that starts on a multiple keeps the phase of their grid.
_GRID = 16


class FrameRule(Protocol):
    """Chooses frames: `times`, float64 (n,) ascending display times in seconds, to int64 (k,) indices.

    Indices may repeat and need not ascend. The result depends on `times` alone.
    """

    def __call__(self, times: Tensor) -> Tensor:
        """Return the indices, int64 (k,), of the frames to look at."""
        ...


@dataclass(frozen=True)
class AllFrames:
    """Every frame, in order.

    >>> AllFrames()(torch.arange(4, dtype=torch.float64) / 8)
    tensor([0, 1, 2, 3])
    """

    def __call__(self, times: Tensor) -> Tensor:
        """Return 0 … n-1; raise `MediaError` if there are no frames."""
        return torch.arange(len(check_times(times)), device=times.device)


@dataclass(frozen=True)
class Windows:
    """Every frame of at most `most` windows of `seconds`: a bounded cost whatever the length, at the full frame rate.

    A clip no longer than `seconds * most` gives all its frames. In a longer one the windows are spread evenly: the
    first begins with the first frame, the last ends with the clip, and a single one is in the middle. A window that
    falls between two frames gives the frame on display when it begins.

    >>> Windows(seconds=1.0, most=2)(torch.arange(40, dtype=torch.float64) / 4)  # ten seconds at 4 fps
    tensor([ 0,  1,  2,  3, 36, 37, 38, 39])
    """

    seconds: float
    most: int

    def __post_init__(self) -> None:
        check_positive(seconds=self.seconds, most=self.most)

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices; raise `MediaError` if there are no frames."""
        length, early = duration(times), slack(times)
        if length <= self.seconds * self.most + early:
            return torch.arange(len(times), device=times.device)
        rest, chosen = length - self.seconds, []
        for window in range(self.most):
            offset = rest / 2 if self.most == 1 else rest * window / (self.most - 1)
            start = float(times[0]) + offset
            inside = ((times >= start - early) & (times < start + self.seconds - early)).nonzero()[:, 0]
            # frames may be sparser than windows: take the frame on display, or the window would be empty
            chosen.append(inside if len(inside) else on_display(times, times.new_tensor([start])))
        return torch.cat(chosen)


@dataclass(frozen=True)
class Spread:
    """`count` frames spread evenly by time: those on display in the middle of `count` equal spans.

    A clip of fewer frames gives each of them once. With a variable frame rate a frame that is held long may repeat.

    >>> Spread(3)(torch.arange(9, dtype=torch.float64))
    tensor([1, 4, 7])
    """

    count: int

    def __post_init__(self) -> None:
        check_positive(count=self.count)

    def __call__(self, times: Tensor) -> Tensor:
        """Return min(count, n) ascending indices; raise `MediaError` if there are no frames."""
        length = duration(times)
        if len(times) <= self.count:
            return torch.arange(len(times), device=times.device)
        middles = (torch.arange(self.count, dtype=times.dtype, device=times.device) + 0.5) * (length / self.count)
        return on_display(times, times[0] + middles)


@dataclass(frozen=True)
class FramePlan:
    """Which frames (`rule`), and at what size: native, exactly `size`, at most `max_side`, or a central `crop`.

    At most one of the last three is given:

    - `size`: exact (height, width); the aspect is not kept.
    - `max_side`: the longer side in pixels; the aspect is kept and nothing is enlarged.
    - `crop`: a central window of at most crop × crop pixels at the native scale, whose offsets are multiples of 16 so
      that the block grid of a codec keeps its phase.

    `conversion` says how the frames of a file become 8-bit RGB. "accurate" rounds correctly and interpolates colour at
    each pixel. "fast" is FFmpeg's default, with which decord, OpenCV and torchvision read and most models were trained:
    about one level of 255 darker, with edges of colour in steps of two pixels. Both follow the matrix and range that
    the file states.

    >>> FramePlan(Spread(8), max_side=320).output_size(720, 1280)
    (180, 320)
    >>> FramePlan(AllFrames(), crop=256).crop_box(480, 832)
    (112, 288, 256, 256)
    """

    rule: FrameRule
    size: tuple[int, int] | None = None
    max_side: int | None = None
    crop: int | None = None
    conversion: Literal["accurate", "fast"] = "accurate"

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.size, self.max_side, self.crop)) > 1:
            names = [name for name in ("size", "max_side", "crop") if getattr(self, name) is not None]
            raise ArgumentError("FramePlan", "at most one of size, max_side and crop", Described(" and ".join(names)))
        if self.conversion not in ("accurate", "fast"):
            raise ArgumentError("conversion", '"accurate" or "fast"', self.conversion)
        if self.size is not None:
            check_positive(height=self.size[0], width=self.size[1])
        if self.max_side is not None:
            check_positive(max_side=self.max_side)
        if self.crop is not None:
            check_positive(crop=self.crop)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of the output for a frame of `height` × `width` pixels."""
        if self.size is not None:
            return self.size
        if self.max_side is not None and max(height, width) > self.max_side:
            scale = self.max_side / max(height, width)
            return max(1, round(height * scale)), max(1, round(width * scale))
        return self.crop_box(height, width)[2:]

    def crop_box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (top, left, height, width) of the part of a frame that is read: all of it unless `crop` is given."""
        if self.crop is None:
            return 0, 0, height, width
        kept_height, kept_width = min(height, self.crop), min(width, self.crop)
        top, left = (height - kept_height) // 2, (width - kept_width) // 2
        return top // _GRID * _GRID, left // _GRID * _GRID, kept_height, kept_width


def duration(times: Tensor) -> float:
    """Return the seconds from the first frame to the end of the last, which is held for the median interval.

    `times`: float (n,) ascending. One frame alone has no known length: 0. Raise `MediaError` if there are no frames.

    >>> duration(torch.arange(12, dtype=torch.float64) / 4)
    3.0
    """
    return float(check_times(times)[-1] - times[0]) + interval(times)


def interval(times: Tensor) -> float:
    """Return the median seconds between frames of `times` (n,); 0 if there are fewer than two."""
    return float(times.diff().median()) if len(times) > 1 else 0.0


def on_display(times: Tensor, moments: Tensor) -> Tensor:
    """Return for each of `moments`, float (k,) in s, the index of the frame of `times` (n,) shown then, int64 (k,).

    Before the first frame it is the first. A time stamp may be half a millisecond late (some containers round).

    >>> on_display(torch.tensor([0.0, 1.0, 5.0]), torch.tensor([0.9, 1.0, 4.9, 7.0]))
    tensor([0, 1, 1, 2])
    """
    return (torch.searchsorted(check_times(times), moments + slack(times), right=True) - 1).clamp(min=0)


def slack(times: Tensor) -> float:
    """Return by how many seconds a stamp of `times` (n,) may be off: half a millisecond, less for very high rates."""
    return min(_STAMP_ERROR, interval(times) / 4)


def check_times(times: Tensor) -> Tensor:
    """Return `times`; raise `MediaError` unless they are those of at least one frame."""
    if times.ndim != 1 or len(times) == 0:
        raise MediaError("times", f"shape {tuple(times.shape)} instead of (n,) with n > 0", "give a clip with frames")
    return times


def check_positive(**arguments: float) -> None:
    """Raise `ArgumentError` for the first of the arguments that is not above 0."""
    for name, value in arguments.items():
        if not value > 0:
            raise ArgumentError(name, "a positive number", value)
