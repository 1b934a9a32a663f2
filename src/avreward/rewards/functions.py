"""Functions of rewards: minimum, soft minimum, maximum, clipping, and constraints as hinges."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.rewards.algebra import number
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Function, finite, register_function


class Minimum(Function):
    """See `minimum`."""

    name = "min"

    def apply(self, *values: Tensor) -> Tensor:
        """The least, clip by clip."""
        return torch.stack(values).amin(0)


class Maximum(Function):
    """See `maximum`."""

    name = "max"

    def apply(self, *values: Tensor) -> Tensor:
        """The greatest, clip by clip."""
        return torch.stack(values).amax(0)


class SoftMinimum(Function):
    """See `softmin`."""

    name = "softmin"

    def __init__(self, *rewards: Reward | float, temperature: float) -> None:
        super().__init__(*rewards, temperature=temperature)
        if self.options["temperature"] <= 0:
            raise ValueError(f"softmin: the temperature {number(temperature)} isn't positive; min is its limit at 0")

    def apply(self, *values: Tensor) -> Tensor:
        """−τ·logsumexp(−x/τ), clip by clip."""
        temperature = self.options["temperature"]
        return -temperature * torch.logsumexp(torch.stack(values) / -temperature, 0)


class Clamped(Function):
    """See `clamp`."""

    name = "clamp"

    def __init__(self, reward: Reward, low: float | None = None, high: float | None = None) -> None:
        if low is None and high is None:
            raise ValueError("clamp: there is no bound; give low, high or both")
        self.low = None if low is None else finite(self.name, low)
        self.high = None if high is None else finite(self.name, high)
        if self.low is None or self.high is None:
            super().__init__(reward, low=self.low, high=self.high)
        else:
            super().__init__(reward, self.low, self.high)
            if self.low > self.high:
                raise ValueError(f"clamp: low, {number(self.low)}, is above high, {number(self.high)}; swap them")

    def apply(self, *values: Tensor) -> Tensor:
        """The value, held in the range, clip by clip."""
        return values[0].clamp(self.low, self.high)


class Above(Function):
    """See `above`."""

    name = "above"

    def apply(self, *values: Tensor) -> Tensor:
        """−max(0, t − x), clip by clip."""
        reached, wanted = values
        return -(wanted - reached).relu()


class Below(Function):
    """See `below`."""

    name = "below"

    def apply(self, *values: Tensor) -> Tensor:
        """−max(0, x − t), clip by clip."""
        reached, allowed = values
        return -(reached - allowed).relu()


def minimum(*rewards: Reward | float) -> Reward:
    """The least of several rewards and numbers, ``min(a, b)`` in expressions: no term makes up for another.

    Only the least gets a gradient; several that are equal share it.

    >>> minimum(rater["audio_quality"], rater["av_consistency"])
    min(signals.audio_quality, signals.av_consistency)
    """
    return Minimum(*rewards)


def maximum(*rewards: Reward | float) -> Reward:
    """The greatest of several rewards and numbers, ``max(a, b)`` in expressions; only it gets a gradient.

    >>> maximum(rater["audio_quality"], 20)
    max(signals.audio_quality, 20)
    """
    return Maximum(*rewards)


def softmin(*rewards: Reward | float, temperature: float) -> Reward:
    """``−τ·logsumexp(−x/τ)``: a minimum through which every reward gets a gradient, the worse the more.

    The gradients' weights are the softmax of −x/τ. The value is biased downward: below the minimum by at most
    ``τ·ln n`` for n rewards, and by just that where all are equal. So compare it only with values of the same n and τ.

    Args:
        *rewards: at least one reward, and numbers; on one scale, or the smallest scale wins.
        temperature: τ, positive, in the rewards' unit: differences well below it are averaged out.

    >>> softmin(rater["audio_quality"], rater["av_consistency"], temperature=5)
    softmin(signals.audio_quality, signals.av_consistency, temperature=5)
    """
    return SoftMinimum(*rewards, temperature=temperature)


def clamp(reward: Reward, low: float | None = None, high: float | None = None) -> Reward:
    """The reward held between `low` and `high`, one of them *optional*; outside, no gradient passes.

    More than enough of one thing then can't pay for the lack of another.

    >>> clamp(rater["audio_quality"], 0, 80)
    clamp(signals.audio_quality, 0, 80)
    """
    return Clamped(reward, low, high)


def above(reward: Reward, threshold: float) -> Reward:
    """The constraint that `reward` is at least `threshold`, as a hinge: ``−max(0, threshold − reward)``.

    0 where the constraint holds, with no gradient; minus the shortfall where it doesn't. Weigh it and add it. For a
    threshold that is a reward itself, write ``above(a - b, 0)``.

    >>> rater["overall"] + 10 * above(rater["audio_quality"], 50)
    signals.overall + 10*above(signals.audio_quality, 50)
    """
    return Above(reward, finite("above", threshold))


def below(reward: Reward, threshold: float) -> Reward:
    """The constraint that `reward` is at most `threshold`, as a hinge: ``−max(0, reward − threshold)``.

    >>> rater["overall"] + 10 * below(rater["clipping"], 0.01)
    signals.overall + 10*below(signals.clipping, 0.01)
    """
    return Below(reward, finite("below", threshold))


register_function("min", minimum)
register_function("max", maximum)
register_function("softmin", softmin)
register_function("clamp", clamp)
register_function("above", above)
register_function("below", below)
