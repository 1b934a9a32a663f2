"""Rewards on one scale: z-score, rank and range against reference clips, fitted once and saved with the reward."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Fitted, State, register_function

Reference = Sequence[Clip] | Sequence[float] | Tensor
"""Clips, or values of the reward itself (n,)."""

ROUNDING = 8  # spreads up to this many units in the last place of the values are rounding, not a spread


class Normalizer(Fitted):
    """A fitted function whose state is the tensors `keys`, kept in float64."""

    keys: ClassVar[tuple[str, ...]]

    def __init__(self, inner: Reward, state: State) -> None:
        if sorted(state) != sorted(self.keys):
            found = ", ".join(sorted(state))
            raise ValueError(f"{self.name}: its state holds {found} instead of {', '.join(self.keys)}; fit it anew")
        super().__init__(inner, {key: state[key].double() for key in self.keys})


class ZScore(Normalizer):
    """See `zscore`."""

    name = "zscore"
    keys = ("mean", "std")

    def apply(self, *values: Tensor) -> Tensor:
        """(x − mean)/std, clip by clip."""
        [x] = values
        return (x - self.fitted("mean", x)) / self.fitted("std", x)


class MinMax(Normalizer):
    """See `minmax`."""

    name = "minmax"
    keys = ("low", "high")

    def apply(self, *values: Tensor) -> Tensor:
        """(x − low)/(high − low), clip by clip."""
        [x] = values
        low = self.fitted("low", x)
        return (x - low) / (self.fitted("high", x) - low)


class Percentile(Normalizer):
    """See `percentile`."""

    name = "percentile"
    keys = ("values", "shares", "std")

    def apply(self, *values: Tensor) -> Tensor:
        """The share of the reference below x, clip by clip."""
        [given] = values
        x = given.double()  # reference values that are close together must stay apart
        at, share, std = (self.fitted(key, x) for key in self.keys)
        right = torch.searchsorted(at, x.detach()).clamp(1, len(at) - 1)
        left = right - 1
        between = share[left] + (share[right] - share[left]) * ((x - at[left]) / (at[right] - at[left]))
        # Bounded before the exponential: in the branch that isn't taken it would overflow, and its gradient be NaN.
        below = share[0] * torch.exp((x - at[0]).clamp(max=0) / std)
        above = 1 - (1 - share[-1]) * torch.exp((at[-1] - x).clamp(max=0) / std)
        return torch.where(x < at[0], below, torch.where(x > at[-1], above, between)).to(given)


def zscore(reward: RewardLike, reference: Reference) -> Reward:
    """``(x − mean)/std`` of `reward`, with the mean and the sample standard deviation over `reference`.

    A unit is then a standard deviation of the reference clips, whatever the rater: weights compare.

    Args:
        reward: what is put on the scale.
        reference: clips that stand for what will be judged, each with a score; or the reward's values on them, where
            they are known: ``reward.evaluate(clips)``, then its `values[present]`.

    Raises `AvrewardError` for fewer than two clips, values that aren't finite, and a reference whose values are all the
    same; `MissingScore` for clips that have no score.

    >>> zscore(rater["overall"], [50.0, 60.0, 70.0])
    zscore(signals.overall, state=f95314e4)
    """
    reward = as_reward(reward)
    values = reference_values("zscore", reward, reference)
    return ZScore(reward, {"mean": values.mean(), "std": values.std()})


def minmax(reward: RewardLike, reference: Reference) -> Reward:
    """``(x − low)/(high − low)`` of `reward`: 0 at the worst clip of `reference`, 1 at the best.

    Clips outside get values outside; ``clamp(minmax(…), 0, 1)`` holds them, without a gradient. Two clips decide the
    scale: a reference with one outlier squeezes all others together, and `percentile` or `zscore` serve better.

    The arguments and errors are those of `zscore`.

    >>> minmax(rater["overall"], [50.0, 60.0, 70.0])
    minmax(signals.overall, state=08ce640c)
    """
    reward = as_reward(reward)
    values = reference_values("minmax", reward, reference)
    return MinMax(reward, {"low": values.min(), "high": values.max()})


def percentile(reward: RewardLike, reference: Reference) -> Reward:
    """The share of `reference` that a clip beats, in [0, 1]: the empirical distribution function, made continuous.

    A value that occurs in the reference gets its mid-rank, ``(clips below it + half of those equal to it)/n``;
    between two neighbours the share is interpolated linearly, which gives a gradient. Beyond the ends, where the
    reference says nothing, the share approaches 0 or 1 exponentially, with the standard deviation of the reference as
    its scale: order and gradient are kept out there, though both fade. What order the clips have is kept everywhere,
    what distances they have is not.

    The arguments and errors are those of `zscore`. All of the reference's different values are saved with the reward.

    >>> percentile(rater["overall"], [50.0, 60.0, 60.0, 70.0])
    percentile(signals.overall, state=3c13134e)
    """
    reward = as_reward(reward)
    values = reference_values("percentile", reward, reference)
    at, counts = values.unique(return_counts=True)
    shares = (counts.cumsum(0) - counts / 2) / len(values)
    return Percentile(reward, {"values": at, "shares": shares, "std": values.std()})


def reference_values(name: str, reward: Reward, reference: Reference) -> Tensor:
    """The reward's values (n,) on the reference in float64, which have a spread; the errors are those of `zscore`."""
    if isinstance(reference, Tensor):
        values = reference.detach()
    elif isinstance(reference, Clip) or any(isinstance(item, Clip) for item in reference):
        with torch.no_grad():
            values = reward(reference)  # type: ignore[arg-type]  # a mixture is the rater's error
    else:
        for place, item in enumerate(reference):
            if not (isinstance(item, Real) or (isinstance(item, Tensor) and not item.ndim)):
                remedy = "give clips, such as Clip.open(path), or numbers, and leave out what has no score"
                raise AvrewardError(f"{name}: value {place} of the reference is {item!r}, not a number; {remedy}")
        values = torch.as_tensor(reference, dtype=torch.float64)
    if values.ndim != 1 or len(values) < 2:
        shape = tuple(values.shape)
        raise AvrewardError(f"{name}: a reference of shape {shape} has no spread; give two clips or values at least")
    wide = values.double().cpu()
    bad = (~wide.isfinite()).nonzero().flatten().tolist()
    if bad:
        told = f"value {bad[0]} of the reference is {float(wide[bad[0]])}"
        raise AvrewardError(f"{name}: {told}, not a finite number; leave out what has no score")
    smallest = torch.finfo(values.dtype if values.is_floating_point() else torch.float64).eps * ROUNDING
    if float(wide.max() - wide.min()) <= smallest * float(wide.abs().max()):
        same = f"all {len(wide)} reference values of {reward} are {float(wide[0]):g}"
        raise AvrewardError(f"{name}: {same}, so there is no scale; give clips that the reward tells apart")
    return wide


register_function("zscore", ZScore.from_state, fitted=True)
register_function("minmax", MinMax.from_state, fitted=True)
register_function("percentile", Percentile.from_state, fitted=True)
