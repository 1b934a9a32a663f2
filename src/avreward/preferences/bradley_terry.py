"""Fit strengths of items to pairwise comparisons, with standard errors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.preferences.comparisons import Comparisons, check_bounded, check_connected, count
from avreward.preferences.models import (
    BradleyTerry,
    Davidson,
    RaoKupper,
    log_bradley_terry,
    log_davidson,
    log_rao_kupper,
)

Model = Literal["bradley_terry", "davidson", "rao_kupper"]
MODELS: tuple[Model, ...] = ("bradley_terry", "davidson", "rao_kupper")
CLOSE = 1e-8  # the search ends this many standard errors from the maximum
STEPS = 200  # limit; Newton's method takes about ten


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths fitted to comparisons: the odds that one item beats another are exp(difference of strengths).

    Attributes:
        items: in the order in which they were passed.
        values: float64 (items,); only differences are meaningful, so the values sum to 0.
        covariance: float64 (items, items) of the values; its rows sum to 0 as well.
        model: the model of outcomes, with the fitted tie parameter: differences of `values` → probabilities.
        tie_sigma: standard error of the tie parameter's logarithm, log ν or log θ; `None` without ties.
        log_likelihood: at the maximum, without the prior.
        comparisons: number of comparisons.
        steps: number of Newton steps.
    """

    items: tuple[Hashable, ...]
    values: Tensor
    covariance: Tensor
    model: BradleyTerry | Davidson | RaoKupper
    tie_sigma: float | None
    log_likelihood: float
    comparisons: int
    steps: int

    @property
    def sigma(self) -> Tensor:
        """Standard errors (items,) of the values."""
        return self.covariance.diagonal().clamp(min=0).sqrt()

    @property
    def order(self) -> tuple[Hashable, ...]:
        """The items, strongest first; equal ones in their original order."""
        values = self.values.tolist()
        return tuple(self.items[i] for i in sorted(range(len(values)), key=lambda i: -values[i]))

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Return the lower and upper end (items,) of each strength's confidence interval: value ∓ z·σ.

        Args:
            level: confidence level of the normal approximation.

        Raises:
            ArgumentError: if `level` isn't between 0 and 1.
        """
        if not 0 < level < 1:
            raise ArgumentError("level", "a probability between 0 and 1", level, "pass one such as 0.95")
        half = float(torch.special.ndtri(torch.tensor(0.5 + level / 2, dtype=torch.float64))) * self.sigma
        return self.values - half, self.values + half

    def difference(self, first: Hashable, second: Hashable) -> tuple[float, float]:
        """Return by how much `first` is stronger than `second`, and the standard error of the difference.

        The error accounts for the correlation of the two strengths, so it differs from the sum of their own errors.

        Args:
            first: one of the items.
            second: another one.

        Raises:
            ArgumentError: if one of them is not among the items.
        """
        for name, item in (("first", first), ("second", second)):
            if item not in self.items:
                raise unknown_name(name, item, map(str, self.items))
        i, j = self.items.index(first), self.items.index(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        return float(self.values[i] - self.values[j]), float(variance.clamp(min=0).sqrt())


def fit_strengths(
    items: Sequence[Hashable],
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    outcome: Sequence[float] | Tensor,
    model: Model = "bradley_terry",
    prior: float | None = None,
) -> Strengths:
    """Fit the maximum-likelihood strengths of `items`, with standard errors from the observed Fisher information.

    Newton's method with step halving on the log-likelihood, which is concave; it ends 1e-8 standard errors from the
    maximum. The covariance is the inverse of the negative Hessian among strengths that sum to 0.

    Args:
        items: names of everything that was compared, two or more; up to some thousands, as time grows with their cube.
        first: the first item of each comparison (comparisons,).
        second: the second item of each comparison (comparisons,).
        outcome: of each comparison, 1 if the first won, 0.5 for a tie, 0 if the second won.
        model: ``"bradley_terry"`` (no ties), ``"davidson"`` or ``"rao_kupper"``; the latter two also fit how likely
            ties are, see `Davidson` and `RaoKupper`.
        prior: standard deviation of a normal prior on each strength, around 0 (*optional*). It keeps the strength of an
            item that always won finite; values and errors are then those of the posterior's mode.

    Raises:
        ArgumentError: if an argument is wrong; if the items fall into sets that were never compared with each other
            (the message lists the sets); if no finite strengths fit best and `prior` is `None`; if there are ties that
            the model excludes, or none where it needs them.
        AvrewardError: if the search doesn't converge.

    Example:
        >>> found = fit_strengths("abc", "aabbcc", "bbccaa", [1, 1, 1, 0, 0, 1])
        >>> found.order, [round(v, 2) for v in found.values.tolist()], [round(s, 2) for s in found.sigma.tolist()]
        (('a', 'c', 'b'), [0.76, -0.76, 0.0], [0.78, 0.78, 0.71])
    """
    if model not in MODELS:
        raise unknown_name("model", model, MODELS)
    if prior is not None and not (isinstance(prior, Real) and math.isfinite(prior) and prior > 0):
        raise ArgumentError("prior", "a positive standard deviation, or None for no prior", prior)
    compared = count(items, first, second, outcome)
    check_connected(compared)
    start = _start(model, compared)
    if prior is None:
        check_bounded(compared)
    at, covariance, steps = _newton(model, compared, start, 0.0 if prior is None else prior**-2)
    size = len(compared.items)
    tie = float(at[size].exp()) if len(at) > size else None
    return Strengths(
        compared.items,
        at[:size] - at[:size].mean(),
        covariance[:size, :size],
        _outcomes(model, tie),
        None if tie is None else float(covariance[size, size].sqrt()),
        float(_log_likelihood(model, compared, *_per_row(at, compared)).sum()),
        compared.total,
        steps,
    )


def _start(model: Model, compared: Comparisons) -> Tensor:
    """Return equal strengths and the logarithm of the tie parameter that fits them; check that the model allows it."""
    share = float(compared.count[compared.tie].sum()) / compared.total
    zeros = torch.zeros(len(compared.items), dtype=torch.float64)
    if model == "bradley_terry":
        if share > 0:
            remedy = 'use model="davidson"'
            raise ArgumentError("outcome", 'no ties with model "bradley_terry"', Described("ties"), remedy)
        return zeros
    if share == 0:
        remedy = 'use model="bradley_terry"'
        raise ArgumentError("outcome", f'ties with model "{model}"', Described("none"), remedy)
    if share == 1:
        raise ArgumentError("outcome", "at least one win or loss", Described("only ties"), "add comparisons")
    theta_or_nu = 2 * share / (1 - share) if model == "davidson" else (1 + share) / (1 - share)
    return torch.cat([zeros, zeros.new_tensor([math.log(theta_or_nu)])])


def _outcomes(model: Model, tie: float | None) -> BradleyTerry | Davidson | RaoKupper:
    if tie is None:
        return BradleyTerry()
    return Davidson(tie) if model == "davidson" else RaoKupper(tie)


def _per_row(at: Tensor, compared: Comparisons) -> tuple[Tensor, Tensor]:
    """Return the difference and the tie parameter (rows,) of each comparison."""
    tie = at[len(compared.items) :].sum()  # 0 where there is none
    return at[compared.first] - at[compared.second], tie.expand(len(compared.count))


def _log_likelihood(model: Model, compared: Comparisons, difference: Tensor, tie: Tensor) -> Tensor:
    """Return (rows,) of counts times the log-probability of the outcome."""
    if model == "bradley_terry":
        table = log_bradley_terry(difference)
    else:
        table = (log_davidson if model == "davidson" else log_rao_kupper)(difference, tie)
    return compared.count * table.gather(1, compared.tie.long()[:, None])[:, 0]  # columns are win, tie, loss


def _newton(model: Model, compared: Comparisons, at: Tensor, precision: float) -> tuple[Tensor, Tensor, int]:
    """Return the maximum of log-likelihood plus prior, the covariance there, and the number of steps."""
    size = len(compared.items)

    def value(point: Tensor) -> float:
        likelihood = _log_likelihood(model, compared, *_per_row(point, compared)).sum()
        return float(likelihood - precision / 2 * point[:size].square().sum())

    best = value(at)
    for step in range(STEPS):
        slope, information = _derivatives(model, compared, at, precision)
        direction = torch.linalg.solve(information, slope)
        gain = float(slope @ direction)  # squared distance to the maximum of a parabola, in standard errors
        if gain <= CLOSE**2:
            centre = torch.eye(len(at), dtype=at.dtype)
            centre[:size, :size] -= 1 / size
            return at, centre @ torch.linalg.inv(information) @ centre, step
        length, rounding = 1.0, 1e-13 * (1 + abs(best))
        # NaN, where log θ would fall below 0, counts as too far.
        while not (found := value(at + length * direction)) >= best + 1e-4 * length * gain - rounding:
            length /= 2
            if length < 1e-12:
                away = f"{math.sqrt(gain):.1e} standard errors from the maximum"
                raise AvrewardError(f"comparisons: the search stopped {away}; pass a prior, such as prior=1.0")
        at, best = at + length * direction, found
    raise AvrewardError(
        f"comparisons: no maximum within {STEPS} steps, so strengths are hardly bounded; pass a prior, as in prior=1.0"
    )


def _derivatives(model: Model, compared: Comparisons, at: Tensor, precision: float) -> tuple[Tensor, Tensor]:
    """Return gradient and negative Hessian of log-likelihood plus prior, with the strengths' sum held constant."""
    size, first, second = len(compared.items), compared.first, compared.second
    difference, tie = (x.detach().requires_grad_() for x in _per_row(at, compared))
    both = (difference, tie)
    # Each row depends only on its own difference and tie parameter, so sums give the second derivatives per row.
    with torch.enable_grad():
        total = _log_likelihood(model, compared, difference, tie).sum()
        by_gap, by_tie = torch.autograd.grad(total, both, create_graph=True, materialize_grads=True)
        gap_gap, gap_tie = torch.autograd.grad(by_gap.sum(), both, retain_graph=True, materialize_grads=True)
        tie_tie = torch.zeros_like(tie)
        if len(at) > size:
            (tie_tie,) = torch.autograd.grad(by_tie.sum(), (tie,))
    slope = torch.zeros_like(at).index_add(0, first, by_gap.detach()).index_add(0, second, -by_gap.detach())
    slope[:size] -= precision * at[:size]
    information = torch.zeros(len(at), len(at), dtype=at.dtype)
    for rows, columns, sign in ((first, first, -1), (second, second, -1), (first, second, 1), (second, first, 1)):
        information.index_put_((rows, columns), sign * gap_gap, accumulate=True)
    information.diagonal()[:size] += precision
    if len(at) > size:
        slope[size] = by_tie.detach().sum()
        cross = torch.zeros(size, dtype=at.dtype).index_add(0, first, -gap_tie).index_add(0, second, gap_tie)
        information[size, :size] = information[:size, size] = cross
        information[size, size] = -tie_tie.sum()
    # Nothing depends on the sum, so curvature added along it changes nothing else and makes the matrix invertible.
    information[:size, :size] += information.diagonal()[:size].mean() / size
    return slope, information
