"""Functions of rewards: minimum, soft minimum, maximum, clamp, and constraints as hinges."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.rewards.algebra import number
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Function, finite, register_function


class Minimum(Function):
    """See `minimum`."""

    name = "min"

    def apply(self, *values: Tensor) -> Tensor:
        """Return the minimum of each clip's values."""
        return torch.stack(values).amin(0)


class Maximum(Function):
    """See `maximum`."""

    name = "max"

    def apply(self, *values: Tensor) -> Tensor:
        """Return the maximum of each clip's values."""
        return torch.stack(values).amax(0)


class SoftMinimum(Function):
    """See `softmin`."""

    name = "softmin"

    def __init__(self, *rewards: Reward | float, temperature: float) -> None:
        super().__init__(*rewards, temperature=temperature)
        if self.options["temperature"] <= 0:
            raise ArgumentError("softmin temperature", "a positive number", temperature, "use min for the limit at 0")

    def apply(self, *values: Tensor) -> Tensor:
        """Return −τ·logsumexp(−x/τ), per clip."""
        temperature = self.options["temperature"]
        return -temperature * torch.logsumexp(torch.stack(values) / -temperature, 0)


class Clamped(Function):
    """See `clamp`."""

    name = "clamp"

    def __init__(self, reward: Reward, low: float | None = None, high: float | None = None) -> None:
        if low is None and high is None:
            raise ArgumentError("clamp", "low, high or both", Described("neither"))
        self.low = None if low is None else finite("clamp low", low)
        self.high = None if high is None else finite("clamp high", high)
        if self.low is None or self.high is None:
            super().__init__(reward, low=self.low, high=self.high)
        else:
            super().__init__(reward, self.low, self.high)
            if self.low > self.high:
                got = Described(f"low {number(self.low)} and high {number(self.high)}")
                raise ArgumentError("clamp", "a low that is at most high", got, "swap them")

    def apply(self, *values: Tensor) -> Tensor:
        """Return the value clamped to the range, per clip."""
        return values[0].clamp(self.low, self.high)


class Above(Function):
    """See `above`."""

    name = "above"

    def apply(self, *values: Tensor) -> Tensor:
        """Return −max(0, t − x), per clip."""
        reached, wanted = values
        return -(wanted - reached).relu()


class Below(Function):
    """See `below`."""

    name = "below"

    def apply(self, *values: Tensor) -> Tensor:
        """Return −max(0, x − t), per clip."""
        reached, allowed = values
        return -(reached - allowed).relu()


def minimum(*rewards: Reward | float) -> Reward:
    """Return the minimum of several rewards and numbers, so that no term can make up for another.

    Written ``min(a, b)`` in expressions. Only the smallest value gets a gradient; equal ones share it.

    Args:
        *rewards: at least one reward, and numbers.

    Raises:
        ArgumentError: if none is a reward, or a number isn't finite.

    Example:
        >>> minimum(rater["audio_quality"], rater["av_consistency"])
        min(signals.audio_quality, signals.av_consistency)
    """
    return Minimum(*rewards)


def maximum(*rewards: Reward | float) -> Reward:
    """Return the maximum of several rewards and numbers.

    Written ``max(a, b)`` in expressions. Only the largest value gets a gradient; equal ones share it.

    Args:
        *rewards: at least one reward, and numbers.

    Raises:
        ArgumentError: if none is a reward, or a number isn't finite.

    Example:
        >>> maximum(rater["audio_quality"], 20)
        max(signals.audio_quality, 20)
    """
    return Maximum(*rewards)


def softmin(*rewards: Reward | float, temperature: float) -> Reward:
    """Return the soft minimum ``−τ·logsumexp(−x/τ)``: every reward gets a gradient, a worse one a larger gradient.

    The gradients' weights are the softmax of −x/τ. The value is biased downward: below the minimum by at most
    ``τ·ln n`` for n rewards, and by exactly that if all are equal. Compare it only with values of the same n and τ.

    Args:
        *rewards: at least one reward, and numbers; all on one scale, or the smallest scale dominates.
        temperature: τ, positive, in the rewards' unit: differences well below it are averaged out.

    Raises:
        ArgumentError: if none is a reward, a number isn't finite, or `temperature` isn't positive.

    Example:
        >>> softmin(rater["audio_quality"], rater["av_consistency"], temperature=5)
        softmin(signals.audio_quality, signals.av_consistency, temperature=5)
    """
    return SoftMinimum(*rewards, temperature=temperature)


def clamp(reward: Reward, low: float | None = None, high: float | None = None) -> Reward:
    """Return the reward clamped to the range from `low` to `high`; the gradient outside it is 0.

    In a sum, a surplus of one term beyond `high` then can't compensate for another.

    Args:
        reward: the reward to clamp.
        low: lower bound (*optional* if `high` is given).
        high: upper bound (*optional* if `low` is given).

    Raises:
        ArgumentError: if both bounds are missing, or `low` is above `high`.

    Example:
        >>> clamp(rater["audio_quality"], 0, 80)
        clamp(signals.audio_quality, 0, 80)
    """
    return Clamped(reward, low, high)


def above(reward: Reward, threshold: float) -> Reward:
    """Return the constraint that `reward` is at least `threshold`, as a hinge: ``−max(0, threshold − reward)``.

    0, without a gradient, if the constraint holds; otherwise minus the shortfall. Multiply it by a weight and add it
    to a reward. If the threshold is itself a reward, write ``above(a - b, 0)``.

    Args:
        reward: the reward that is constrained.
        threshold: its lowest allowed value.

    Raises:
        ArgumentError: if `threshold` isn't a finite number.

    Example:
        >>> rater["overall"] + 10 * above(rater["audio_quality"], 50)
        signals.overall + 10*above(signals.audio_quality, 50)
    """
    return Above(reward, finite("above threshold", threshold))


def below(reward: Reward, threshold: float) -> Reward:
    """Return the constraint that `reward` is at most `threshold`, as a hinge: ``−max(0, reward − threshold)``.

    Args:
        reward: the reward that is constrained.
        threshold: its highest allowed value.

    Raises:
        ArgumentError: if `threshold` isn't a finite number.

    Example:
        >>> rater["overall"] + 10 * below(rater["clipping"], 0.01)
        signals.overall + 10*below(signals.clipping, 0.01)
    """
    return Below(reward, finite("below threshold", threshold))


register_function("min", minimum)
register_function("max", maximum)
register_function("softmin", softmin)
register_function("clamp", clamp)
register_function("above", above)
register_function("below", below)
