"""The uncertainty of rewards, against what many draws say."""

from __future__ import annotations

import pytest
import torch
from toy_raters import Toy, both, picture

from avreward.raters.scores import Scores
from avreward.rewards.base import Reward, Rewards
from avreward.rewards.functions import clamp, minimum, softmin


def scores(values: list[list[float]], sigma: list[list[float]], toy: Toy, grad: bool = False) -> Scores:
    table = torch.tensor([[*row, 0.0, 0.0] for row in values], dtype=torch.float64, requires_grad=grad)
    spread = torch.tensor([[*row, 0.0, 0.0] for row in sigma], dtype=torch.float64, requires_grad=grad)
    return Scores(table, ~table.isnan(), [{} for _ in values], toy.dimensions, sigma=spread)


TOY = Toy()
A, B = TOY["power"], TOY["brightness"]


def test_a_weighted_sum_is_exact() -> None:
    rewards = (3 * A - 2 * B + 5).combine({"toy": scores([[0.5, 0.5], [0.1, 0.9]], [[1.0, 2.0], [0.0, 0.5]], TOY)})
    assert rewards.sigma is not None
    assert rewards.sigma.tolist() == pytest.approx([5.0, 1.0])


@pytest.mark.parametrize(
    "reward", [A * B, A * A - B, softmin(A, B, temperature=0.5), minimum(A, 2 * B), clamp(A, 0, 10) * (B + 1)]
)
def test_small_errors_spread_as_draws_do(reward: Reward) -> None:
    generator = torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.002, 0.005])
    drawn = torch.tensor([0.6, 0.4]) + sigma * torch.randn(4_000, 2, generator=generator)
    values = reward.combine({"toy": scores(drawn.tolist(), torch.zeros(4_000, 2).tolist(), TOY)}).values
    told = reward.combine({"toy": scores([[0.6, 0.4]], [sigma.tolist()], TOY)}).sigma
    assert told is not None
    assert told.item() == pytest.approx(values.std().item(), rel=0.05)


def test_what_is_unknown_and_what_is_certain() -> None:
    nan = float("nan")
    given = scores([[0.5, 0.5], [0.5, nan], [0.5, 0.5], [5.0, 0.5]], [[nan, 0.2], [0.2, 0.2], [0.1, nan], [1, 1]], TOY)
    rewards = (clamp(A, 0, 1) + B).combine({"toy": given})
    assert rewards.sigma is not None
    assert rewards.sigma[:3].isnan().all()  # unknown, missing, unknown
    assert rewards.sigma[3].item() == pytest.approx(1.0)  # a clipped score is as certain as its bound
    least = minimum(A, 2 * B).combine({"toy": given})
    assert least.sigma is not None
    assert least.sigma[2].item() == pytest.approx(0.1)  # what is unknown doesn't count where the other decides
    one = A.combine({"toy": given})
    assert one.sigma is not None
    assert one.sigma[2].item() == pytest.approx(0.1)  # the other dimension's is of no interest


def test_a_rater_without_sigma_counts_as_exact() -> None:
    other = Toy("other")
    both_of = (2 * A + 10 * other["power"]).combine(
        {"toy": scores([[0.5, 0.5]], [[0.25, 1.0]], TOY), "other": other([both(0.5, 0.25)])}
    )
    assert both_of.sigma is not None
    assert both_of.sigma.tolist() == pytest.approx([0.5])
    assert (2 * other["power"]).evaluate([both(0.5, 0.25)]).sigma is None


def test_it_is_differentiable_with_the_values() -> None:
    given = scores([[0.6, 0.4], [0.2, 0.3]], [[0.2, 0.5], [0.0, 0.0]], TOY, grad=True)
    rewards = (A * B).combine({"toy": given})
    assert rewards.sigma is not None
    (rewards.values - rewards.sigma).sum().backward()  # a lower bound as a loss
    assert given.values.grad is not None
    root = ((0.4 * 0.2) ** 2 + (0.6 * 0.5) ** 2) ** 0.5
    assert given.values.grad[0, 0].item() == pytest.approx(0.4 - 0.6 * 0.5**2 / root)
    assert given.values.grad[1].tolist() == pytest.approx([0.3, 0.2, 0, 0])
    with torch.no_grad():
        quiet = (A * B).combine({"toy": given}).sigma
    assert quiet is not None
    assert not quiet.requires_grad


def test_in_inference_mode() -> None:
    with torch.inference_mode():
        rewards = (A * B).combine({"toy": scores([[0.6, 0.4]], [[0.2, 0.5]], TOY)})
    assert rewards.sigma is not None
    assert rewards.sigma.item() == pytest.approx(((0.4 * 0.2) ** 2 + (0.6 * 0.5) ** 2) ** 0.5)


def test_no_clips() -> None:
    rewards = (A * B).combine({"toy": _empty()})
    assert rewards.sigma is not None
    assert rewards.sigma.shape == (0,)


def _empty() -> Scores:
    return Scores(torch.zeros(0, 4), torch.zeros(0, 4).bool(), [], TOY.dimensions, sigma=torch.zeros(0, 4))


def test_rewards_with_and_without_concatenate() -> None:
    known = A.combine({"toy": scores([[0.5, 0.5]], [[0.25, 0.5]], TOY)})
    unknown = A.evaluate([both(0.5, 0.25)])
    joined = Rewards.concatenate([known, unknown])
    assert joined.sigma is not None
    assert joined.sigma[0].item() == 0.25
    assert joined.sigma[1].isnan()
    assert Rewards.concatenate([unknown, A.evaluate([picture(0.5)])]).sigma is None
