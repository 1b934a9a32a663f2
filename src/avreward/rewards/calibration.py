"""Calibrate raw scores to mean opinion scores: a line or a logistic curve, fitted to people's ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.raters.wrappers.calibration_curves import Calibration, Linear, Logistic, calibration_from
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.function_base import Fitted, State, register_function

if TYPE_CHECKING:
    import numpy as np

Curve = TypeVar("Curve", bound=Calibration)

# Bounds and starting points of the logistic curve's middle and width, in standard deviations from the scores' median.
MIDDLE, WIDTH = (-10.0, 10.0), (0.02, 20.0)
MIDDLES, WIDTHS = [step / 4 for step in range(-10, 11)], (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
STEPS = 300  # for each start; if many curves fit about equally well, the last steps hardly matter


def fit_linear(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float = 1.0, high: float = 5.0
) -> Linear:
    """Fit a line from raw scores to mean opinion scores, by least squares.

    Args:
        scores: a rater's raw scores of some clips (n,), at least 3.
        mos: mean opinion scores of the same clips (n,), between `low` and `high`.
        low: the lowest value of the scale that people used: 1 for absolute category rating (ITU-T P.910).
        high: the highest value of that scale: 5 for absolute category rating.

    Raises:
        ArgumentError: if the lengths differ, there are too few clips, a number isn't finite, an opinion score lies
            outside the scale, or `scores` or `mos` are the same for all clips.

    Example:
        >>> fit_linear([0.0, 50.0, 100.0], [1.0, 3.0, 5.0])
        Linear(a=0.04, b=1.0, low=1.0, high=5.0)
    """
    x, y = _points(scores, mos, low, high, 3)
    middle = x.mean()
    a = float((x - middle) @ (y - y.mean()) / (x - middle).square().sum())
    return _not_flat(Linear(a, float(y.mean()) - a * float(middle), low, high), x)


def fit_logistic(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float = 1.0, high: float = 5.0
) -> Logistic:
    """Fit a logistic curve from raw scores to mean opinion scores, by least squares.

    β₁ and β₂ stay within the scale, so calibrated scores never leave it; if the opinion scores rise in a straight line
    over the whole scale, `fit_linear` fits better. Solved by SciPy's `least_squares` from the three best points of a
    grid; the best result is returned. The same data always give the same curve.

    Args:
        scores: a rater's raw scores of some clips (n,), at least 6, with at least 4 different values.
        mos: mean opinion scores of the same clips (n,), between `low` and `high`.
        low: the lowest value of the scale that people used.
        high: the highest value of that scale.

    Raises:
        ArgumentError: in the cases of `fit_linear`.

    Example:
        >>> scores = torch.linspace(0, 100, 11)
        >>> curve = fit_logistic(scores, Logistic(4.5, 1.5, 40.0, 9.0, low=1.0, high=5.0)(scores))
        >>> [round(beta, 3) for beta in (curve.beta1, curve.beta2, curve.beta3, curve.beta4)]
        [4.5, 1.5, 40.0, 9.0]
    """
    x, y = _points(scores, mos, low, high, 6)
    if len(x.unique()) < 4:
        got = Described(str(len(x.unique())))
        raise ArgumentError("scores", "at least 4 different values", got, "pass more clips, or use fit_linear")
    middle, spread = float(x.median()), float(x.std())
    beta1, beta2, at, width = _best(((x - middle) / spread).numpy(), y.numpy(), low, high)
    return _not_flat(Logistic(beta1, beta2, middle + spread * at, spread * width, low, high), x)


def _best(x: Any, y: Any, low: float, high: float) -> list[float]:
    """Return the four parameters of the best of several fits; x has a standard deviation of 1."""
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
    """Return three starting points: the best middle of a grid for each width, and of these the three best.

    Given middle and width, the curve is linear in its two ends. A regression on the logistic step gives them, and with
    them whether the curve rises or falls.
    """
    inset = 0.01 * (high - low)  # from a start on the bound the search could not move
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
    """Return the derivatives of the curve by its parameters (n, 4)."""
    import numpy as np
    from scipy.special import expit

    share = expit((x - beta3) / beta4)
    steep = (beta1 - beta2) * share * (1 - share) / beta4
    return np.stack([share, 1 - share, -steep, -steep * (x - beta3) / beta4], axis=1)


def _column(name: str, values: Tensor | Sequence[float]) -> Tensor:
    try:
        return torch.as_tensor(values).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        remedy = "leave out clips without one"
        raise ArgumentError(name, "a sequence of numbers", Described(f"other values ({error})"), remedy) from error


def _points(
    scores: Tensor | Sequence[float], mos: Tensor | Sequence[float], low: float, high: float, least: int
) -> tuple[Tensor, Tensor]:
    """Return both as float64, checked."""
    x, y = _column("scores", scores), _column("mos", mos)
    if x.ndim != 1 or x.shape != y.shape:
        got = Described(f"shape {tuple(y.shape)} for scores of shape {tuple(x.shape)}")
        raise ArgumentError("mos", "one value (n,) per score", got, "pass a score and a mos for each clip")
    if len(x) < least:
        raise ArgumentError("scores", f"at least {least} clips", Described(str(len(x))), "pass more, better dozens")
    for name, values in (("scores", x), ("mos", y)):
        bad = (~values.isfinite()).nonzero().flatten().tolist()
        if bad:
            got = Described(f"{float(values[bad[0]])} at index {bad[0]}")
            raise ArgumentError(name, "finite numbers", got, "leave such clips out")
        if float(values.max() - values.min()) <= 1e-6 * float(values.abs().max()):
            got = Described(f"{float(values[0]):g} for all {len(values)} clips")
            raise ArgumentError(name, "values that differ", got, "pass clips that differ")
    if float(y.min()) < low or float(y.max()) > high:
        outside = float(y.min()) if float(y.min()) < low else float(y.max())
        got = Described(f"{outside:g}")
        raise ArgumentError(
            "mos", f"values from {low:g} to {high:g}", got, "pass the ends of the scale as low and high"
        )
    return x, y


def _not_flat(curve: Curve, x: Tensor) -> Curve:
    """Return `curve`; raise `ArgumentError` if it is flat over the scores."""
    found = curve(x)
    if float(found.max() - found.min()) <= 1e-6 * (curve.high - curve.low):
        got = Described("scores whose best-fitting curve is flat")
        raise ArgumentError("scores", "scores that predict mos", got, "use another score")
    return curve


class Mos(Fitted):
    """See `mos`."""

    name = "mos"

    def __init__(self, inner: Reward, state: State) -> None:
        self.calibration = calibration_from(state)
        if not self.calibration.rising:
            got = Described(f"one that falls as {inner} rises")
            raise ArgumentError("calibration", "a rising curve", got, "calibrate the negative of the reward")
        super().__init__(inner, state)

    def apply(self, *values: Tensor) -> Tensor:
        """Return the curve's value, per clip."""
        return self.calibration(values[0])


def mos(reward: RewardLike, calibration: Calibration) -> Reward:
    """Return the mean opinion score predicted from `reward` by a fitted curve.

    Args:
        reward: the reward to calibrate.
        calibration: a curve fitted to the reward's values, by `fit_linear` or `fit_logistic`.

    Raises:
        ArgumentError: if the curve falls, that is, people prefer clips with a lower reward.

    Example:
        >>> mos(rater["audio_quality"], fit_linear([0.0, 50.0, 100.0], [1.0, 3.0, 5.0]))
        mos(signals.audio_quality, state=24632447)
    """
    return Mos(as_reward(reward), calibration.state)


register_function("mos", Mos.from_state, fitted=True)
