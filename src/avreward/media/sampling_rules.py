"""Frame rules of published systems, with the same indices.

They count frames, as the originals do; `times` gives the number and, where a rule asks for it, the rate. Where an
original draws at random, the offsets are an argument and the default is the middle of their range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.media.sampling import FrameRule, check_positive, check_times, duration, interval, on_display, slack


@dataclass(frozen=True)
class PerSecond:
    """`rate` frames a second: those on display at 0, 1/rate, 2/rate … after the first, ⌊seconds·rate⌋ of them (or one).

    Q-Align and LMM evaluations at "1 fps". At a constant frame rate this is frame ⌊i·fps/rate⌋.

    >>> PerSecond(1.0)(torch.arange(60, dtype=torch.float64) / 24)
    tensor([ 0, 24])
    """

    rate: float

    def __post_init__(self) -> None:
        check_positive(rate=self.rate)

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices; raise `MediaError` if there are no frames."""
        count = max(1, floor((duration(times) + slack(times)) * self.rate))
        return on_display(times, times[0] + torch.arange(count, dtype=times.dtype, device=times.device) / self.rate)


@dataclass(frozen=True)
class QwenFrames:
    """About `rate` frames a second as qwen-vl-utils chooses them: for Qwen2-VL, Qwen2.5-VL and Qwen2.5-Omni raters.

    The number is n·rate/fps, at least `least`, at most `most` and the number of frames, and a multiple of `factor`
    (below; with `nearest` the nearest one, as early releases and VideoReward have it). They are spread from the first
    frame to the last, both included. Shorter clips than `factor` repeat frames instead of failing.

    >>> QwenFrames(rate=2.0)(torch.arange(81, dtype=torch.float64) / 16)
    tensor([ 0,  9, 18, 27, 36, 44, 53, 62, 71, 80])
    """

    rate: float = 2.0
    least: int = 4
    most: int = 768
    factor: int = 2
    nearest: bool = False

    def __post_init__(self) -> None:
        check_positive(rate=self.rate, least=self.least, most=self.most, factor=self.factor)

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices, a multiple of `factor`; raise `MediaError` if there are no frames."""
        wanted = (duration(times) + slack(times)) * self.rate
        least = -(-self.least // self.factor) * self.factor
        most = min(self.most, len(times)) // self.factor * self.factor
        groups = min(max(wanted, least), most) / self.factor
        count = max(1, round(groups) if self.nearest else floor(groups)) * self.factor
        return torch.linspace(0, len(times) - 1, count, dtype=torch.float32, device=times.device).round().long()


@dataclass(frozen=True)
class AgavRaterFrames:
    """AGAV-Rater (and VideoLLaMA2): the middles of `count` equal parts of n − 1; short clips repeat frames.

    >>> AgavRaterFrames(8)(torch.arange(5, dtype=torch.float64))
    tensor([0, 1, 1, 2, 2, 3, 3, 4])
    """

    count: int = 16

    def __post_init__(self) -> None:
        check_positive(count=self.count)

    def __call__(self, times: Tensor) -> Tensor:
        """Return `count` ascending indices; raise `MediaError` if there are no frames."""
        part = (len(check_times(times)) - 1) / self.count
        start = torch.arange(self.count, dtype=torch.float64, device=times.device)
        # the original's own order of operations, or ties at .5 could go the other way
        return ((part * start + part * (start + 1)) / 2 + 1e-6).round().long()


@dataclass(frozen=True)
class AigvAssessorFrames:
    """AIGV-Assessor (and InternVL): ⌊part/2 + round(part·i)⌋ for i < `count`, part = (n − 1)/count, halves to even.

    `bound`: optional (start, end) in seconds, cut to the clip.

    >>> AigvAssessorFrames()(torch.arange(16, dtype=torch.float64))
    tensor([ 0,  2,  4,  6,  8,  9, 11, 13])
    """

    count: int = 8
    bound: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_positive(count=self.count)
        if self.bound is not None and not 0 <= self.bound[0] < self.bound[1]:
            raise ArgumentError("bound", "ascending (start, end) in seconds, from 0 on", self.bound)

    def __call__(self, times: Tensor) -> Tensor:
        """Return `count` ascending indices; raise `MediaError` if there are no frames."""
        first, last = 0, len(check_times(times)) - 1
        if self.bound is not None and last > 0:
            first, last = (min(round(moment / interval(times)), last) for moment in self.bound)
        part = (last - first) / self.count
        steps = torch.arange(self.count, dtype=torch.float64, device=times.device)
        return (first + part / 2 + (part * steps).round()).long()


@dataclass(frozen=True)
class UniformFrames:
    """AIGVEval's slow (8) and fast (32) frames: `count` from first to last, truncated; short clips repeat the last.

    >>> UniformFrames(8)(torch.arange(12, dtype=torch.float64))
    tensor([ 0,  1,  3,  4,  6,  7,  9, 11])
    """

    count: int

    def __post_init__(self) -> None:
        check_positive(count=self.count)

    def __call__(self, times: Tensor) -> Tensor:
        """Return `count` ascending indices; raise `MediaError` if there are no frames."""
        frames = len(check_times(times))
        steps = torch.arange(self.count, dtype=torch.float64, device=times.device)
        if frames < self.count:
            return steps.long().clamp(max=frames - 1)
        chosen = (steps * ((frames - 1) / max(1, self.count - 1))).floor().long()
        # a product that should be whole can fall just short of it; the original corrects only the last one
        return torch.where((steps == self.count - 1) & (steps > 0), frames - 1, chosen)


@dataclass(frozen=True)
class CentredClip:
    """AIGVEval's and T2VQA's clip: `count` frames, every `interval`-th, from the middle; a short clip starts over.

    `offset`: the first frame; in training the originals draw it from 0 … n − count·interval.

    >>> CentredClip()(torch.arange(24, dtype=torch.float64))
    tensor([ 4,  6,  8, 10, 12, 14, 16, 18])
    """

    count: int = 8
    interval: int = 2
    offset: int | None = None

    def __post_init__(self) -> None:
        check_positive(count=self.count, interval=self.interval)

    def __call__(self, times: Tensor) -> Tensor:
        """Return `count` indices; raise `MediaError` if there are no frames."""
        frames = len(check_times(times))
        offset = max(0, frames - self.count * self.interval + 1) // 2 if self.offset is None else self.offset
        return (offset + self.interval * torch.arange(self.count, device=times.device)) % frames


@dataclass(frozen=True)
class SlowPathway:
    """SlowFast's slow frames: one in `ratio` of those that `fast` chooses, from the first to the last.

    >>> SlowPathway(UniformFrames(8))(torch.arange(100, dtype=torch.float64))
    tensor([ 0, 99])
    """

    fast: FrameRule
    ratio: int = 4

    def __post_init__(self) -> None:
        check_positive(ratio=self.ratio)

    def __call__(self, times: Tensor) -> Tensor:
        """Return k/`ratio` of the k indices of `fast`, at least one."""
        chosen = self.fast(times)
        # single precision on purpose: the truncation depends on it
        kept = torch.linspace(0, len(chosen) - 1, max(1, len(chosen) // self.ratio), dtype=torch.float32).long()
        return chosen[kept.to(chosen.device)]


@dataclass(frozen=True)
class DoverFrames:
    """DOVER's and FAST-VQA's fragments in time: in each of `segments` equal parts, `length` frames at `interval`.

    All of it `rounds` times, modulo the number of frames, so that a short clip starts over. The technical view is the
    default (three clips of 32), the aesthetic view is ``DoverFrames(length=1, segments=32)``.

    `offsets`: `segments`·`rounds` starts within the parts. The originals draw new ones for every evaluation; `drawn`
    does so from a generator. Without them every start is the middle of its range.

    >>> DoverFrames(length=2, segments=3)(torch.arange(30, dtype=torch.float64))
    tensor([ 2,  4, 12, 14, 22, 24])
    """

    length: int = 32
    segments: int = 3
    interval: int = 2
    rounds: int = 1
    offsets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_positive(length=self.length, segments=self.segments, interval=self.interval, rounds=self.rounds)
        wanted = self.segments * self.rounds
        if self.offsets is not None and len(self.offsets) != wanted:
            got = Described(f"{len(self.offsets)} of them")
            raise ArgumentError("offsets", f"{wanted}, one a segment and round", got)

    def __call__(self, times: Tensor) -> Tensor:
        """Return `rounds`·`segments`·`length` indices; raise `MediaError` if there are no frames."""
        frames = len(check_times(times))
        middle = max(0, self._bound(frames) - 1) // 2
        offsets = self.offsets or (middle,) * (self.segments * self.rounds)
        starts = torch.arange(self.segments).repeat(self.rounds) * (frames // self.segments) + torch.tensor(offsets)
        steps = self.interval * torch.arange(self.length)
        return ((starts[:, None] + steps).flatten() % frames).to(times.device)

    def drawn(self, frames: int, generator: torch.Generator) -> DoverFrames:
        """Return this rule with offsets drawn from `generator` (on the CPU) for a clip of `frames` frames."""
        bound = max(1, self._bound(frames))
        offsets = torch.randint(0, bound, (self.segments * self.rounds,), generator=generator)
        return replace(self, offsets=tuple(offsets.tolist()))

    def _bound(self, frames: int) -> int:
        return frames // self.segments - self.length * self.interval
