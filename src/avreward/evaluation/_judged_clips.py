"""How far scores agree with people's scores of clips: correlations, errors, and choices within a content."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError
from avreward.evaluation._cluster_bootstrap import Rows
from avreward.evaluation.correlation import krcc, plcc, srcc

Floats = NDArray[np.float64]

LEVEL = 1e-9  # range of a curve, as a share of its values, below which it is level
CORRELATIONS = ("srcc", "krcc", "plcc", "plcc_fitted", "rmse", "rmse_fitted")
CHOICES = ("pair_accuracy", "best_of_group")


def correlations(scores: Floats, truth: Floats) -> tuple[Callable[[Rows], list[float]], str | None]:
    """Return what computes `CORRELATIONS` of some rows, and a remark on the fitted curve (or `None`).

    The curve (logistic with four parameters, as VQEG's) is fitted once, to all rows.
    """
    fitted, why = _fitted(scores, truth)

    def measured(rows: Rows) -> list[float]:
        own, theirs, curve = scores[rows], truth[rows], fitted[rows]
        found = [formula(own, theirs) for formula in (srcc, krcc, plcc)] if len(rows) > 1 else [np.nan] * 3
        # A steep curve is level on a resample that lies on one side of it: its correlation is then rounding error.
        known = len(rows) > 1 and bool(np.ptp(curve) > LEVEL * np.abs(curve).max())
        found.append(plcc(curve, theirs) if known else np.nan)
        found.append(float(np.sqrt(np.mean((own - theirs) ** 2))))
        found.append(float(np.sqrt(np.mean((curve - theirs) ** 2))))
        return found

    return measured, why


def _fitted(scores: Floats, truth: Floats) -> tuple[Floats, str | None]:
    import torch

    from avreward.rewards.calibration import fit_logistic

    low, high = float(truth.min()), float(truth.max())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a flat end of the curve does not matter here
            curve = fit_logistic(torch.from_numpy(scores), torch.from_numpy(truth), low, high)
    except ArgumentError as error:
        return np.full_like(scores, np.nan), f"no curve fits ({error})"
    falls = "the fitted curve falls: higher scores go with lower judgments, which PLCC after the fit does not show"
    return curve(torch.from_numpy(scores)).numpy(), None if curve.rising else falls


def choices(scores: Floats, truth: Floats, contents: Rows) -> tuple[Mapping[str, tuple[Floats, Floats]], float]:
    """Return right answers and questions of each content, by the name of the metric, and the accuracy of guessing.

    ``pair_accuracy``: of the pairs of clips of a content that people score differently, those whose scores differ in
    the same direction; equal scores are wrong. ``best_of_group``: whether the clip with the highest score is among
    those that people score highest; equal scores share the answer. A content whose clips people score alike asks
    nothing.
    """
    size = int(contents.max()) + 1 if len(contents) else 0
    found = {name: (np.zeros(size), np.zeros(size)) for name in CHOICES}
    chance = []
    order = np.argsort(contents, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(contents[order])) + 1):
        content, own, theirs = int(contents[rows[0]]), scores[rows], truth[rows]
        if len(rows) < 2 or np.ptp(theirs) == 0:
            continue
        first, second = np.triu_indices(len(rows), 1)
        gaps, wanted = own[first] - own[second], theirs[first] - theirs[second]
        right, asked = found["pair_accuracy"]
        right[content], asked[content] = (np.sign(gaps) == np.sign(wanted))[wanted != 0].sum(), (wanted != 0).sum()
        best, chosen = theirs == theirs.max(), own == own.max()
        right, asked = found["best_of_group"]
        right[content], asked[content] = best[chosen].mean(), 1
        chance.append(best.mean())
    return found, float(np.mean(chance)) if chance else float("nan")
