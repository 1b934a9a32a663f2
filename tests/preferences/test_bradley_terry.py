"""Strengths from comparisons: the maximum, its errors, and what can't be fitted."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from avreward.errors import ArgumentError, AvrewardError
from avreward.preferences.bradley_terry import fit_strengths
from avreward.preferences.comparisons import count
from avreward.preferences.models import BradleyTerry, Davidson, RaoKupper

TRUE = {"bradley_terry": BradleyTerry(), "davidson": Davidson(0.8), "rao_kupper": RaoKupper(1.6)}
COLUMN = {1.0: 0, 0.5: 1, 0.0: 2}
ITEMS = ("a", "b", "c", "d", "e")
ALL = pytest.mark.parametrize("model", list(TRUE))
WITH_TIES = pytest.mark.parametrize("model", ["davidson", "rao_kupper"])


def simulated(model, times=12, seed=0):
    """Each ordered pair of five items, some times, by known strengths."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0], dtype=torch.float64)
    pairs = [pair for pair in permutations(range(5), 2) for _ in range(times)]
    first, second = torch.tensor(pairs).T
    drawn = TRUE[model](truth[first] - truth[second]).multinomial(1, generator=generator)[:, 0]
    outcome = [1 - int(column) / 2 for column in drawn]
    return [ITEMS[i] for i, _ in pairs], [ITEMS[j] for _, j in pairs], outcome


def negative(parameters, model, first, second, outcome, prior=None):
    """The negative log-likelihood as the papers write it, for scipy; the last strength is minus the others' sum."""
    parameters = torch.as_tensor(parameters, dtype=torch.float64)
    free = parameters[: len(ITEMS) - 1]
    pi = dict(zip(ITEMS, torch.cat([free, -free.sum()[None]]).exp(), strict=True))
    total = torch.zeros((), dtype=torch.float64)
    for one, other, result in zip(first, second, outcome, strict=True):
        a, b = (pi[one], pi[other]) if result != 0 else (pi[other], pi[one])
        if model == "bradley_terry":
            p = a / (a + b)
        elif model == "davidson":
            nu = parameters[-1].exp()
            p = (a if result != 0.5 else nu * (a * b).sqrt()) / (a + b + nu * (a * b).sqrt())
        else:
            theta = parameters[-1].exp()
            p = a / (a + theta * b) if result != 0.5 else (theta**2 - 1) * a * b / ((a + theta * b) * (b + theta * a))
        total = total - p.log()
    if prior is not None:
        total = total + sum(value.log() ** 2 for value in pi.values()) / (2 * prior**2)
    return total


@ALL
@pytest.mark.parametrize("prior", [None, 0.7])
def test_values_and_errors_are_those_of_a_general_optimizer(model, prior):
    data = simulated(model, times=3)
    start = np.full(4 + (model != "bradley_terry"), 0.1)

    def value_and_slope(x):
        point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = negative(point, model, *data, prior)
        return float(value.detach()), torch.autograd.grad(value, point)[0].numpy()

    best = minimize(value_and_slope, start, jac=True, method="BFGS", options={"gtol": 1e-8})
    found = fit_strengths(ITEMS, *data, model, prior)
    expected = np.append(best.x[:4], -best.x[:4].sum())
    assert found.values.numpy() == pytest.approx(expected, abs=1e-6)
    hessian = torch.autograd.functional.hessian(lambda x: negative(x, model, *data, prior), torch.tensor(best.x))
    covariance = torch.linalg.inv(hessian)
    spread = torch.cat([torch.eye(4), -torch.ones(1, 4)]).double()  # all five from the four that are free
    assert torch.allclose(found.covariance, spread @ covariance[:4, :4] @ spread.T, rtol=1e-4, atol=1e-8)
    assert found.log_likelihood == pytest.approx(-float(negative(best.x, model, *data)), rel=1e-9)
    if model == "bradley_terry":
        assert found.tie_sigma is None
    else:
        tie = found.model.nu if model == "davidson" else found.model.theta
        assert math.log(tie) == pytest.approx(best.x[-1], abs=1e-6)
        assert found.tie_sigma == pytest.approx(float(covariance[4, 4].sqrt()), rel=1e-4)


def test_bradley_terry_is_that_of_choix():
    choix = pytest.importorskip("choix")
    first, second, outcome = simulated("bradley_terry")
    at = ITEMS.index
    data = [(at(a), at(b)) if r == 1 else (at(b), at(a)) for a, b, r in zip(first, second, outcome, strict=True)]
    found = fit_strengths(ITEMS, first, second, outcome)
    assert found.values.numpy() == pytest.approx(choix.opt_pairwise(5, data, tol=1e-12), abs=1e-7)
    assert found.values.numpy() == pytest.approx(choix.ilsr_pairwise(5, data), abs=1e-7)
    prior = fit_strengths(ITEMS, first, second, outcome, prior=2.0)
    assert prior.values.numpy() == pytest.approx(choix.opt_pairwise(5, data, alpha=0.125, tol=1e-12), abs=1e-7)


def test_two_items_have_a_closed_form():
    found = fit_strengths(["x", "y"], ["x"] * 10, ["y"] * 10, [1] * 7 + [0] * 3)
    gap, sigma = found.difference("x", "y")
    assert gap == pytest.approx(math.log(7 / 3))
    assert sigma == pytest.approx(math.sqrt(1 / 7 + 1 / 3))
    assert found.values.tolist() == pytest.approx([gap / 2, -gap / 2])
    assert found.sigma.tolist() == pytest.approx([sigma / 2] * 2)
    low, high = found.interval(0.9)
    assert (high - low).tolist() == pytest.approx([2 * 1.6448536 * sigma / 2] * 2)
    assert ((low + high) / 2).tolist() == pytest.approx(found.values.tolist())


def test_two_items_with_ties_have_a_closed_form():
    data = ["x"] * 15, ["y"] * 15, [1] * 6 + [0.5] * 5 + [0] * 4
    davidson = fit_strengths("xy", *data, "davidson")
    assert davidson.difference("x", "y")[0] == pytest.approx(math.log(6 / 4))
    assert davidson.model.nu == pytest.approx(5 / math.sqrt(6 * 4))
    for name in ("davidson", "rao_kupper"):  # as many parameters as shares: the shares are met
        found = fit_strengths("xy", *data, name)
        shares = found.model(torch.tensor([found.difference("x", "y")[0]]))
        assert shares[0].tolist() == pytest.approx([6 / 15, 5 / 15, 4 / 15])


@ALL
def test_the_truth_is_found_with_many_comparisons(model):
    found = fit_strengths(ITEMS, *simulated(model, times=400, seed=1), model)
    error = (found.values - torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0])).abs()
    assert (error < 4 * found.sigma).all()
    assert found.sigma.max() < 0.05
    assert found.order == ITEMS
    assert found.comparisons == 8000
    assert found.steps < 12
    if model != "bradley_terry":
        true, tie = (0.8, found.model.nu) if model == "davidson" else (1.6, found.model.theta)
        assert abs(math.log(tie / true)) < 4 * found.tie_sigma


@ALL
@settings(max_examples=15)
@given(order=st.permutations(range(5)), seed=st.integers(0, 10**6))
def test_names_order_and_sides_make_no_difference(model, order, seed):
    first, second, outcome = simulated(model, times=4)
    names = dict(zip(ITEMS, order, strict=True))
    generator = np.random.default_rng(seed)
    turned = generator.random(len(outcome)) < 0.5
    rows = [(names[b], names[a], 1 - r) if t else (names[a], names[b], r) for a, b, r, t in zip(first, second, outcome, turned, strict=True)]  # fmt: skip  # noqa: E501
    rows = [rows[i] for i in generator.permutation(len(rows))]
    plain, other = (
        fit_strengths(ITEMS, first, second, outcome, model),
        fit_strengths(range(5), *zip(*rows, strict=True), model),
    )
    assert other.values[list(order)].tolist() == pytest.approx(plain.values.tolist(), abs=1e-8)
    assert torch.allclose(other.covariance[list(order)][:, list(order)], plain.covariance, atol=1e-9)


@ALL
def test_the_sum_is_zero_and_has_no_error(model):
    for prior in (None, 0.5):
        found = fit_strengths(ITEMS, *simulated(model, times=5), model, prior)
        assert float(found.values.sum()) == pytest.approx(0, abs=1e-12)
        assert found.covariance.sum(0).abs().max() < 1e-12
        assert torch.equal(found.covariance.diagonal() > 0, torch.ones(5, dtype=torch.bool))


def test_a_difference_has_less_error_than_independent_items_would():
    found = fit_strengths(ITEMS, *simulated("bradley_terry"))
    both = float((found.sigma[0] ** 2 + found.sigma[1] ** 2).sqrt())
    _, sigma = found.difference("a", "b")
    assert sigma > both  # opposite errors, since the sum is fixed
    with pytest.raises(ArgumentError, match=r"second: expected one of a, b.*, got 'z'"):
        found.difference("a", "z")
    with pytest.raises(ArgumentError, match="level: expected a probability between 0 and 1, got 95"):
        found.interval(95)


def test_sets_that_never_met_are_named():
    with pytest.raises(ArgumentError, match=r"comparisons: expected .*, got 2 sets .*: a, c \| b, d; add"):
        fit_strengths("abcd", "acbd", "cadb", [1, 1, 1, 1])
    with pytest.raises(AvrewardError, match=r"2 sets .*: a, b \| c;"):  # a prior knows nothing of them either
        fit_strengths("abc", "ab", "ba", [1, 1], prior=1.0)
    with pytest.raises(AvrewardError, match=r"8 sets .*0 \| 1 \| 2 \| 3 \| 4 \| and 3 more"):
        fit_strengths(range(8), [], [], [])


@pytest.mark.parametrize(
    ("first", "second", "upper", "lower"),
    [
        ("aabc", "bccb", "a", "b, c"),
        ("abab", "bacc", "a, b", "c"),
        ("abcc", "bcab", None, None),
    ],
)
def test_who_never_loses_has_no_finite_strength(first, second, upper, lower):
    data = "abc", first, second, [1.0] * 4
    if upper is None:
        assert fit_strengths(*data).values.isfinite().all()
        return
    with pytest.raises(ArgumentError, match=f"more likely the stronger {upper} is than {lower}; add"):
        fit_strengths(*data)
    found = fit_strengths(*data, prior=1.0)
    assert found.values[0] > found.values[2]
    wider = fit_strengths(*data, prior=3.0)
    assert wider.values.abs().max() > found.values.abs().max()
    assert wider.sigma.max() > found.sigma.max()


@WITH_TIES
def test_ties_bound_strengths_only_where_they_must(model):
    # Each is held by the others, yet ties and the win all become certain if threshold and gaps grow together.
    with pytest.raises(ArgumentError, match="expected outcomes that finite strengths fit best"):
        fit_strengths("abc", "abc", "bca", [1, 0.5, 0.5], model)
    assert fit_strengths("abc", "abc", "bca", [1, 0.5, 0.5], model, prior=1.0).values.isfinite().all()
    # A second win that runs against it bounds all.
    found = fit_strengths("abc", "abcc", "bcaa", [1, 0.5, 0.5, 1], model)
    assert found.values.isfinite().all()
    assert found.sigma.max() < 10


@WITH_TIES
def test_ties_must_suit_the_model(model):
    with pytest.raises(ArgumentError, match='no ties with model "bradley_terry", got ties; use model="davidson"'):
        fit_strengths("ab", "ab", "ba", [1, 0.5])
    with pytest.raises(ArgumentError, match=f'expected ties with model "{model}", got none; use model="bradley'):
        fit_strengths("ab", "ab", "ba", [1, 1], model)
    with pytest.raises(ArgumentError, match="outcome: expected at least one win or loss, got only ties"):
        fit_strengths("ab", "ab", "ba", [0.5, 0.5], model)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("ab", "a", "bb", [1]), "first, second, outcome: expected .*, got 1, 2 and 1"),
        (("aba", "a", "b", [1]), "items: expected each item once, got 'a' twice"),
        (("a", "", "", []), "items: expected at least two items, got 1"),
        (("ab", "aa", "bz", [1, 1]), r"second\[1\]: expected one of the items, got 'z'; add"),
        (("ab", "ab", "bb", [1, 1]), r"first\[1\], second\[1\]: expected two different items, got 'b' twice; leave"),
        (("ab", "ab", "ba", [1, 2]), r"outcome\[1\]: expected 1 .*, 0.5 .* or 0 .*, got 2$"),
        (("ab", "ab", "ba", [1, "won"]), r"outcome\[1\]: .*, got 'won'"),
        (("ab", "ab", "ba", [1, math.nan]), r"outcome\[1\]: .*, got nan"),
        (("ab", "ab", "ba", [1, 1], "elo"), "model: expected one of bradley_terry, davidson, rao_kupper, got 'elo'"),
        (
            ("ab", "ab", "ba", [1, 1], "bradley_terry", "x"),
            "prior: expected a positive standard deviation, .*, got 'x'",
        ),
        (
            ("ab", "ab", "ba", [1, 1], "bradley_terry", 0.0),
            "prior: expected a positive standard deviation, .*, got 0.0",
        ),
    ],
)
def test_bad_input_is_named(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        fit_strengths(*arguments)


def test_equal_comparisons_are_counted():
    found = count("ab", "abaab", "babba", torch.tensor([1, 0, 0.5, 1, 0.5]))
    rows = set(zip(found.first.tolist(), found.second.tolist(), found.tie.tolist(), found.count.tolist(), strict=True))
    assert rows == {(0, 1, False, 3.0), (0, 1, True, 2.0)}
    assert found.total == 5
