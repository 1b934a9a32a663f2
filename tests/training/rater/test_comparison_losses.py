"""Losses on comparisons against the models' own probabilities, brute force, and gradients."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.preferences import BradleyTerry, Davidson, RaoKupper
from avreward.training import bradley_terry_loss, fidelity_loss, list_policy_loss, listwise_loss

OUTCOME = torch.tensor([1, 0, -1, 1, 0])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("ties", "log_tie", "model"),
    [("rao_kupper", math.log(1.7), RaoKupper(1.7)), ("davidson", math.log(0.6), Davidson(0.6))],
)
def test_the_likelihood_is_that_of_the_pairwise_model(ties, log_tie, model) -> None:
    difference = noise(5)
    right = model(difference)[range(5), [0, 1, 2, 0, 1]]
    found = bradley_terry_loss(difference, OUTCOME, ties=ties, log_tie=torch.tensor(log_tie, dtype=torch.float64))
    assert float(found) == pytest.approx(-float(right.log().mean()), abs=1e-12)


def test_without_ties_it_is_bradley_terry_and_a_tie_is_half_of_each() -> None:
    difference = noise(5)
    win, _, loss = BradleyTerry()(difference).log().unbind(-1)
    by_hand = torch.stack([win[0], (win[1] + loss[1]) / 2, loss[2], win[3], (win[4] + loss[4]) / 2])
    assert float(bradley_terry_loss(difference, OUTCOME)) == pytest.approx(-float(by_hand.mean()), abs=1e-12)


def test_a_margin_must_be_won_by_and_a_tie_has_none() -> None:
    difference, margin = noise(5), noise(5, seed=1).abs()
    shifted = torch.stack([d - o * m for d, m, o in zip(difference, margin, OUTCOME, strict=True)])
    found = bradley_terry_loss(difference, OUTCOME, margin=margin)
    assert float(found) == pytest.approx(float(bradley_terry_loss(shifted, OUTCOME)), abs=1e-12)
    assert float(found) > float(bradley_terry_loss(difference, OUTCOME))


def test_swapping_a_pair_changes_nothing() -> None:
    difference, margin = noise(5), noise(5, seed=1).abs()
    for ties in ("half", "rao_kupper", "davidson"):
        one, other = (
            bradley_terry_loss(sign * difference, sign * OUTCOME, margin=margin, ties=ties, log_tie=0.3)
            for sign in (1, -1)
        )
        assert float(one) == pytest.approx(float(other), abs=1e-12)


def test_fidelity_is_one_minus_the_overlap() -> None:
    difference, p = noise(6), torch.tensor([1.0, 0.0, 0.5, 0.25, 1.0, 0.0], dtype=torch.float64)
    q = torch.tensor(norm.cdf(difference.numpy() / math.sqrt(2)))
    by_hand = (1 - (p * q).sqrt() - ((1 - p) * (1 - q)).sqrt()).mean()
    assert float(fidelity_loss(difference, p)) == pytest.approx(float(by_hand), abs=1e-3)
    assert float(fidelity_loss(torch.tensor([60.0]), torch.tensor([0.0]))) <= 1
    exact = fidelity_loss(torch.tensor([math.sqrt(2) * norm.ppf(0.25)], dtype=torch.float64), p[3:4])
    assert float(exact) == pytest.approx(0, abs=1e-6)


def test_listwise_is_least_where_scores_are_the_targets() -> None:
    target, group = noise(7), torch.tensor([0, 0, 0, 1, 1, 1, 2])
    best = float(listwise_loss(target, target, group))
    for order in permutations(range(3)):
        moved = torch.cat([target[list(order)], target[3:]])
        assert float(listwise_loss(moved, target, group)) >= best - 1e-12
    shift = target + torch.tensor([5.0, 5, 5, -2, -2, -2, 99], dtype=torch.float64)  # one shift a group
    assert float(listwise_loss(shift, target, group)) == pytest.approx(best, abs=1e-12)
    p = target[:3].softmax(0), target[3:6].softmax(0)
    assert best == pytest.approx(float(sum(-(q * q.log()).sum() for q in p) / 2), abs=1e-12)


def test_groups_without_an_order_are_left_out() -> None:
    scores = noise(4).requires_grad_()
    for loss in (listwise_loss, list_policy_loss):
        value = loss(scores, torch.tensor([1.0, 1, 2, 3]), torch.tensor([0, 0, 1, 2]))
        value.backward()
        assert float(value.detach()) == 0
        assert not scores.grad.any()


def test_the_policy_gradient_climbs_to_the_right_order() -> None:
    scores, target = torch.zeros(4, requires_grad=True), torch.tensor([0.0, 3, 1, 2])
    dice = torch.Generator().manual_seed(0)
    for _ in range(100):
        loss = list_policy_loss(scores, target, torch.zeros(4, dtype=torch.long), generator=dice, samples=32)
        (slope,) = torch.autograd.grad(loss, scores)
        scores = (scores - 0.01 * slope).detach().requires_grad_()
    assert scores.argsort().tolist() == [0, 2, 3, 1]


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: bradley_terry_loss(x, OUTCOME, ties="rao_kupper", log_tie=0.4),
        lambda x: bradley_terry_loss(x, OUTCOME, margin=torch.ones(5, dtype=torch.float64)),
        lambda x: fidelity_loss(x, torch.tensor([1, 0.5, 0, 1, 0.5], dtype=torch.float64)),
        lambda x: listwise_loss(x, noise(5, seed=3), torch.tensor([0, 0, 1, 1, 1])),
    ],
)
def test_gradient(loss, check_gradient) -> None:
    check_gradient(loss, noise(5), rtol=1e-4)


def test_the_tie_parameter_learns() -> None:
    log_tie = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    bradley_terry_loss(
        torch.zeros(3, dtype=torch.float64), torch.zeros(3), ties="rao_kupper", log_tie=log_tie
    ).backward()
    assert log_tie.grad < 0  # ties only: the threshold grows


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: bradley_terry_loss(noise(2), torch.tensor([1, 2])), "outcome"),
        (lambda: bradley_terry_loss(noise(2), torch.tensor([1])), "outcome"),
        (lambda: bradley_terry_loss(noise(1), torch.tensor([1]), ties="bt"), "ties"),  # type: ignore[arg-type]
        (lambda: bradley_terry_loss(noise(1), torch.tensor([1]), margin=torch.tensor([-1.0])), "margin"),
        (lambda: fidelity_loss(noise(1), torch.tensor([1.5])), "probability"),
        (lambda: listwise_loss(noise(2), noise(2), torch.tensor([0, 0]), temperature=0), "temperature"),
        (lambda: list_policy_loss(noise(2), noise(2), torch.tensor([0, 0]), samples=1), "samples"),
    ],
)
def test_wrong_arguments_are_named(call, name) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}: expected"):
        call()
