"""Normalize rewards to one scale: z-score, percentile and range over reference clips, saved with the reward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Fitted, State, register_function

Reference = Sequence[Clip] | Sequence[float] | Tensor
"""Clips, or values of the reward itself (n,)."""

ROUNDING = 8  # units in the last place: a smaller spread of the values is a rounding error


class Normalizer(Fitted):
    """Base class of normalizers: fitted functions whose state is the float64 tensors named by `keys`."""

    keys: ClassVar[tuple[str, ...]]

    def __init__(self, inner: Reward, state: State) -> None:
        if sorted(state) != sorted(self.keys):
            found = ", ".join(sorted(state))
            expected = f"a state of {self.name} with {', '.join(self.keys)}"
            raise ArgumentError("state", expected, Described(found or "an empty one"), "fit the reward again")
        super().__init__(inner, {key: state[key].double() for key in self.keys})


class ZScore(Normalizer):
    """See `zscore`."""

    name = "zscore"
    keys = ("mean", "std")

    def apply(self, *values: Tensor) -> Tensor:
        """Return (x − mean)/std, per clip."""
        [x] = values
        return (x - self.fitted("mean", x)) / self.fitted("std", x)


class MinMax(Normalizer):
    """See `minmax`."""

    name = "minmax"
    keys = ("low", "high")

    def apply(self, *values: Tensor) -> Tensor:
        """Return (x − low)/(high − low), per clip."""
        [x] = values
        low = self.fitted("low", x)
        return (x - low) / (self.fitted("high", x) - low)


class Percentile(Normalizer):
    """See `percentile`."""

    name = "percentile"
    keys = ("values", "shares", "std")

    def apply(self, *values: Tensor) -> Tensor:
        """Return the share of the reference below x, per clip."""
        [given] = values
        x = given.double()  # half precision would merge reference values that are close together
        at, share, std = (self.fitted(key, x) for key in self.keys)
        right = torch.searchsorted(at, x.detach()).clamp(1, len(at) - 1)
        left = right - 1
        between = share[left] + (share[right] - share[left]) * ((x - at[left]) / (at[right] - at[left]))
        # Clamped before the exponential, which would overflow in the unused branch and make its gradient NaN.
        below = share[0] * torch.exp((x - at[0]).clamp(max=0) / std)
        above = 1 - (1 - share[-1]) * torch.exp((at[-1] - x).clamp(max=0) / std)
        return torch.where(x < at[0], below, torch.where(x > at[-1], above, between)).to(given)


def zscore(reward: RewardLike, reference: Reference) -> Reward:
    """Return ``(x − mean)/std`` of `reward`, with the mean and sample standard deviation over `reference`.

    One unit is then one standard deviation of the reference clips for every rater, so weights are comparable.

    Args:
        reward: the reward to normalize.
        reference: clips that are typical of those that will be rated, each with a score; or, if known, the reward's
            values of such clips: those that ``reward.evaluate(clips)`` returns, as ``values[present]``.

    Raises:
        ArgumentError: if there are fewer than two clips or values, one isn't finite, or all are the same.
        MissingScore: if a clip has no score.

    Example:
        >>> zscore(rater["overall"], [50.0, 60.0, 70.0])
        zscore(signals.overall, state=f95314e4)
    """
    reward = as_reward(reward)
    values = reference_values("zscore", reward, reference)
    return ZScore(reward, {"mean": values.mean(), "std": values.std()})


def minmax(reward: RewardLike, reference: Reference) -> Reward:
    """Return ``(x − low)/(high − low)`` of `reward`: 0 at the worst clip of `reference`, 1 at the best.

    Clips beyond these get values outside [0, 1]; ``clamp(minmax(…), 0, 1)`` limits them, without a gradient. Two clips
    determine the scale: with one outlier in the reference all others are close together; use `percentile` or `zscore`
    then.

    Args:
        reward: the reward to normalize.
        reference: clips or values, as for `zscore`.

    Raises:
        ArgumentError: in the cases of `zscore`.
        MissingScore: if a clip has no score.

    Example:
        >>> minmax(rater["overall"], [50.0, 60.0, 70.0])
        minmax(signals.overall, state=08ce640c)
    """
    reward = as_reward(reward)
    values = reference_values("minmax", reward, reference)
    return MinMax(reward, {"low": values.min(), "high": values.max()})


def percentile(reward: RewardLike, reference: Reference) -> Reward:
    """Return the share of `reference` that a clip beats, in [0, 1]: a continuous empirical distribution function.

    A value that occurs in the reference gets its mid-rank, ``(clips below it + half of those equal to it)/n``. Between
    two neighbouring values the share is interpolated linearly, which gives a gradient. Beyond the reference's extremes
    it approaches 0 or 1 exponentially, on the scale of the reference's standard deviation, so order and gradient
    remain, though they fade. The order of clips is preserved everywhere, distances are not.

    All different values of the reference are saved with the reward.

    Args:
        reward: the reward to normalize.
        reference: clips or values, as for `zscore`.

    Raises:
        ArgumentError: in the cases of `zscore`.
        MissingScore: if a clip has no score.

    Example:
        >>> percentile(rater["overall"], [50.0, 60.0, 60.0, 70.0])
        percentile(signals.overall, state=3c13134e)
    """
    reward = as_reward(reward)
    values = reference_values("percentile", reward, reference)
    at, counts = values.unique(return_counts=True)
    shares = (counts.cumsum(0) - counts / 2) / len(values)
    return Percentile(reward, {"values": at, "shares": shares, "std": values.std()})


def reference_values(name: str, reward: Reward, reference: Reference) -> Tensor:
    """Return the reward's values (n,) of the reference in float64, checked for the errors of `zscore`."""
    if not isinstance(reference, Tensor | Iterable | Clip):
        raise ArgumentError("reference", f"clips or numbers for {name}", reference)
    if isinstance(reference, Tensor):
        values = reference.detach()
    elif isinstance(reference, Clip) or any(isinstance(item, Clip) for item in reference):
        with torch.no_grad():
            values = reward(reference)  # type: ignore[arg-type]  # the rater rejects a mixture
    else:
        for index, item in enumerate(reference):
            if not (isinstance(item, Real) or (isinstance(item, Tensor) and not item.ndim)):
                remedy = "pass clips, such as Clip.open(path), or numbers, and leave out clips without a score"
                raise ArgumentError(
                    "reference", f"clips or numbers for {name}", Described(f"{item!r} at index {index}"), remedy
                )
        values = torch.as_tensor(reference, dtype=torch.float64)
    if values.ndim != 1 or len(values) < 2:
        got = Described(f"shape {tuple(values.shape)}")
        raise ArgumentError("reference", f"at least two clips or values (n,) for {name}", got)
    wide = values.double().cpu()
    bad = (~wide.isfinite()).nonzero().flatten().tolist()
    if bad:
        got = Described(f"{float(wide[bad[0]])} at index {bad[0]}")
        raise ArgumentError("reference", f"finite values for {name}", got, "leave out clips without a score")
    smallest = torch.finfo(values.dtype if values.is_floating_point() else torch.float64).eps * ROUNDING
    if float(wide.max() - wide.min()) <= smallest * float(wide.abs().max()):
        got = Described(f"{float(wide[0]):g} for all {len(wide)}")
        remedy = "pass clips whose rewards differ"
        raise ArgumentError("reference", f"different values of {reward} for {name}", got, remedy)
    return wide


register_function("zscore", ZScore.from_state, fitted=True)
register_function("minmax", MinMax.from_state, fitted=True)
register_function("percentile", Percentile.from_state, fitted=True)
