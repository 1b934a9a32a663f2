"""Strengths from shares of wins: against the package's fit of single outcomes, and intervals over groups."""

import itertools

import numpy as np
import pytest

from avreward.evaluation import _win_strengths
from avreward.evaluation._win_strengths import win_strengths
from avreward.preferences import fit_strengths


def wins_of(scores):
    """Win shares (groups, systems, systems) of one score a system."""
    shares = (scores[:, :, None] > scores[:, None, :]) + 0.5 * (scores[:, :, None] == scores[:, None, :])
    shares[:, range(scores.shape[1]), range(scores.shape[1])] = np.nan
    return shares


def test_strengths_are_those_of_the_fit_of_single_outcomes(monkeypatch):
    monkeypatch.setattr(_win_strengths, "PRIOR", 0.0)
    scores = np.random.default_rng(0).normal(size=(40, 4)) + np.array([0.5, 0.2, 0.0, -0.4])
    pairs = [(a, b, float(row[a] > row[b])) for row in scores for a, b in itertools.combinations(range(4), 2)]
    expected = fit_strengths(range(4), *zip(*pairs, strict=True))
    found, low, high = win_strengths(wins_of(scores), 0.95)
    assert found == pytest.approx(expected.values.numpy(), abs=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert ((low < found) & (found < high)).all()
    assert (high - low >= 2 * 1.95 * expected.sigma.numpy()).all()  # never narrower than independent comparisons


def test_a_system_that_always_wins_has_a_finite_strength():
    scores = np.tile([3.0, 2.0, 1.0], (6, 1))
    found, low, high = win_strengths(wins_of(scores), 0.95)
    assert np.isfinite([found, low, high]).all()
    assert found[0] > found[1] > found[2]
    assert high[0] - low[0] > 1  # six groups are no certainty


def test_groups_are_the_observations():
    """Copies of the clips in a group add nothing."""
    scores = np.random.default_rng(1).normal(size=(12, 3))
    once = win_strengths(wins_of(scores), 0.95)
    fewer = win_strengths(wins_of(scores[:6]), 0.95)
    assert (fewer[2] - fewer[1]).mean() > 1.2 * (once[2] - once[1]).mean()


def test_clustered_outcomes_have_wider_intervals():
    """Where all comparisons of a group go alike, the jackknife sees it."""
    rng = np.random.default_rng(2)
    alike = np.where(rng.random(30) < 0.5, 1, -1)[:, None] * np.array([1.0, 0.0, -1.0])
    single = rng.permuted(np.tile([1.0, 0.0, -1.0], (30, 1)), axis=1)
    wide, narrow = (win_strengths(wins_of(scores), 0.95) for scores in (alike, single))
    assert (wide[2] - wide[1])[0] > 1.1 * (narrow[2] - narrow[1])[0]


def test_a_missing_system_and_a_single_group():
    scores = np.array([[1.0, 2.0, np.nan], [np.nan, 1.0, 2.0], [1.0, 2.0, np.nan]])
    wins = wins_of(np.nan_to_num(scores))
    gone = np.isnan(scores)
    wins[gone[:, :, None] | gone[:, None, :]] = np.nan
    found, _, _ = win_strengths(wins, 0.95)
    assert found[2] > found[1] > found[0]
    assert np.isfinite(win_strengths(wins[:1, :2, :2], 0.95)).all()


def test_equal_systems_have_strengths_of_exactly_zero() -> None:
    wins = np.full((2, 3, 3), np.nan)
    for group, shares in enumerate(((1.0, 1.0, 1.0), (1.0, 0.0, 0.0))):
        for (first, second), share in zip(((0, 1), (0, 2), (1, 2)), shares, strict=True):
            wins[group, first, second], wins[group, second, first] = share, 1 - share
    found, _, _ = win_strengths(wins, 0.95)
    assert found[2] == 0
    assert found[0] > 0.1
