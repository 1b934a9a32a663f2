"""The benchmark of perturbation pairs at tiny size: rates are rates, and a head learns what kinds have in common."""

import perturb_pairs
import pytest
import torch


def test_a_head_knows_a_kind_that_it_never_saw_by_what_it_shares_with_others():
    dice = torch.Generator().manual_seed(0)
    names = [(kind, number) for number in range(20) for kind in "abc"]
    x = torch.randn(60, 4, generator=dice, dtype=torch.float64)
    x[:, 0] += 2  # what all defects share
    shared = perturb_pairs.held_out(names, x, 20)
    assert set(shared) == {"a", "b", "c"}
    assert all(total == 20 and right >= 17 for right, total in shared.values())
    x[:, 0] -= 2
    right = sum(right for right, _ in perturb_pairs.held_out(names, x, 20).values())
    assert 18 <= right <= 42  # nothing to learn: chance


def test_the_plan_has_a_rate_and_no_memory():
    rate, grown = perturb_pairs.plan_rate(300)
    assert rate > 0
    assert grown < 100


@pytest.mark.slow
def test_frozen_measurements_beat_chance_on_held_out_kinds():
    names, x = perturb_pairs.differences(8, 2.0, perturb_pairs.HEAD)
    results = perturb_pairs.held_out(names, x, 8).values()
    right, total = sum(right for right, _ in results), sum(total for _, total in results)
    assert right / total > 0.6
    rates = perturb_pairs.render_rates(2, 1.0, ("noise", "blur"))
    assert all(rate > 0 for rate in rates.values())
