"""Raw scores → mean opinion scores: a line or a logistic curve, fitted to what people said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.raters.wrappers.calibration_curves import Calibration, Linear, Logistic, calibration_from
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Fitted, State, register_function

if TYPE_CHECKING:
    import numpy as np

Curve = TypeVar("Curve", bound=Calibration)

# Where the logistic curve's middle and width may lie, and start, in standard deviations from the scores' median.
MIDDLE, WIDTH = (-10.0, 10.0), (0.02, 20.0)
MIDDLES, WIDTHS = [step / 4 for step in range(-10, 11)], (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
STEPS = 300  # for each start; along a valley, where many curves fit alike, the last of them hardly count


def fit_linear(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float = 1.0, high: float = 5.0
) -> Linear:
    """The line that fits `mos` best, by least squares.

    Args:
        scores: a rater's raw scores of some clips (n,), at least 3.
        mos: mean opinion scores of the same clips (n,), between `low` and `high`.
        low, high: the ends of the scale that people used: 1 and 5 for absolute category rating (ITU-T P.910).

    Raises `AvrewardError` where the lengths differ, points are too few, a number isn't finite, an opinion score lies
    outside the scale, or one of the two is the same for all clips.

    >>> fit_linear([0.0, 50.0, 100.0], [1.0, 3.0, 5.0])
    Linear(a=0.04, b=1.0, low=1.0, high=5.0)
    """
    x, y = _points(scores, mos, low, high, 3)
    middle = x.mean()
    a = float((x - middle) @ (y - y.mean()) / (x - middle).square().sum())
    return _told_apart(Linear(a, float(y.mean()) - a * float(middle), low, high), x)


def fit_logistic(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float = 1.0, high: float = 5.0
) -> Logistic:
    """The logistic curve that fits `mos` best, by least squares.

    β₁ and β₂ stay within the scale, so that no calibrated score leaves it; where the opinion scores go up in a straight
    line from end to end, `fit_linear` fits better. Solved by SciPy's `least_squares` from the three best points of a
    grid, of which the best result counts; the same data give the same curve.

    The arguments and errors are those of `fit_linear`, but there must be at least 6 clips, with 4 different scores.

    >>> scores = torch.linspace(0, 100, 11)
    >>> curve = fit_logistic(scores, Logistic(4.5, 1.5, 40.0, 9.0, low=1.0, high=5.0)(scores))
    >>> [round(beta, 3) for beta in (curve.beta1, curve.beta2, curve.beta3, curve.beta4)]
    [4.5, 1.5, 40.0, 9.0]
    """
    x, y = _points(scores, mos, low, high, 6)
    if len(x.unique()) < 4:
        raise AvrewardError(f"scores: only {len(x.unique())} different ones; give more clips, or fit a line")
    middle, spread = float(x.median()), float(x.std())
    beta1, beta2, at, width = _best(((x - middle) / spread).numpy(), y.numpy(), low, high)
    return _told_apart(Logistic(beta1, beta2, middle + spread * at, spread * width, low, high), x)


def _best(x: Any, y: Any, low: float, high: float) -> list[float]:
    """The four parameters with the least squares, of the fits from several starts; x has a standard deviation of 1."""
    from scipy.optimize import least_squares  # late: it takes a second

    bounds = tuple(zip((low, high), (low, high), MIDDLE, WIDTH, strict=True))
    fits = [
        least_squares(
            lambda betas: _curve(x, *betas) - y,
            start,
            jac=lambda betas: _jacobian(x, *betas),
            bounds=bounds,
            x_scale="jac",
            max_nfev=STEPS,
        )
        for start in _starts(x, y, low, high)
    ]
    return min(fits, key=lambda fit: fit.cost).x.tolist()


def _starts(x: Any, y: Any, low: float, high: float) -> list[list[float]]:
    """The best of a grid of middles for each width, the three best of these.

    Given middle and width, the curve is linear in the two ends: they come from a regression on the logistic step, which
    also tells whether it rises or falls.
    """
    inset = 0.01 * (high - low)  # a start on the bound couldn't move
    found = []
    for width in WIDTHS:
        options = []
        for middle in MIDDLES:
            share = _curve(x, 1.0, 0.0, middle, width)
            around = share - share.mean()
            slope = (around @ y) / max(around @ around, 1e-12)
            bottom = y.mean() - slope * share.mean()
            ends = [min(max(float(end), low + inset), high - inset) for end in (bottom + slope, bottom)]
            options.append((_loss(x, y, [*ends, middle, width]), [*ends, middle, width]))
        found.append(min(options))
    return [start for _, start in sorted(found)[:3]]


def _loss(x: Any, y: Any, betas: Sequence[float]) -> float:
    return float(((_curve(x, *betas) - y) ** 2).sum())


def _curve(x: Any, beta1: float, beta2: float, beta3: float, beta4: float) -> np.ndarray:
    from scipy.special import expit

    return (beta1 - beta2) * expit((x - beta3) / beta4) + beta2


def _jacobian(x: Any, beta1: float, beta2: float, beta3: float, beta4: float) -> np.ndarray:
    """(n, 4)."""
    import numpy as np
    from scipy.special import expit

    share = expit((x - beta3) / beta4)
    steep = (beta1 - beta2) * share * (1 - share) / beta4
    return np.stack([share, 1 - share, -steep, -steep * (x - beta3) / beta4], axis=1)


def _points(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float, high: float, least: int
) -> tuple[Tensor, Tensor]:
    """Both in float64, checked."""
    x, y = (torch.as_tensor(v).detach().cpu().double() for v in (scores, mos))
    if x.ndim != 1 or x.shape != y.shape:
        shapes = f"scores of shape {tuple(x.shape)} and mos of {tuple(y.shape)}"
        raise AvrewardError(f"calibration: {shapes}; give one of each for every clip")
    if len(x) < least:
        raise AvrewardError(f"calibration: {len(x)} clips are too few; give {least} or more, better some dozens")
    for name, values in (("scores", x), ("mos", y)):
        bad = (~values.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise AvrewardError(f"{name}: number {bad[0]} is {float(values[bad[0]])}; leave such clips out")
        if float(values.max() - values.min()) <= 1e-6 * float(values.abs().max()):
            raise AvrewardError(f"{name}: all {len(values)} are {float(values[0]):g}; give clips that differ")
    if float(y.min()) < low or float(y.max()) > high:
        outside = float(y.min()) if float(y.min()) < low else float(y.max())
        raise AvrewardError(
            f"mos: {outside:g} is outside {low:g} … {high:g}; give the ends of its scale as low and high"
        )
    return x, y


def _told_apart(curve: Curve, x: Tensor) -> Curve:
    """`curve`, if it isn't flat over the scores."""
    found = curve(x)
    if float(found.max() - found.min()) <= 1e-6 * (curve.high - curve.low):
        raise AvrewardError(
            "calibration: the best curve is flat, so the scores say nothing of the mos; use another score"
        )
    return curve


class Mos(Fitted):
    """See `mos`."""

    name = "mos"

    def __init__(self, inner: Reward, state: State) -> None:
        self.calibration = calibration_from(state)
        if not self.calibration.rising:
            raise ValueError(f"mos: the curve falls where {inner} rises; calibrate the negative of it")
        super().__init__(inner, state)

    def apply(self, *values: Tensor) -> Tensor:
        """The curve's value, clip by clip."""
        return self.calibration(values[0])


def mos(reward: RewardLike, calibration: Calibration) -> Reward:
    """The mean opinion score that people would give, by a curve that was fitted on `reward`'s values.

    Raises `ValueError` for a curve that falls: a reward that people disagree with.

    >>> mos(rater["audio_quality"], fit_linear([0.0, 50.0, 100.0], [1.0, 3.0, 5.0]))
    mos(signals.audio_quality, state=24632447)
    """
    return Mos(as_reward(reward), calibration.state)


register_function("mos", Mos.from_state, fitted=True)
