"""The stochastic step: marginals as those of the deterministic one, and the tools of resampling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.generators._stochastic import NoiseLevel, stochastic_step
from avreward.selection.search.steering import effective_size, systematic

MEAN, WIDTH = 0.7, 0.4  # of the data, a Gaussian: the expected clean sample is known


def flow(share: float) -> NoiseLevel:
    return NoiseLevel(1 - share, share)


def preserving(share: float) -> NoiseLevel:
    return NoiseLevel(math.cos(share * math.pi / 2), math.sin(share * math.pi / 2))


def exploding(share: float) -> NoiseLevel:
    return NoiseLevel(1.0, 5 * share**2)


def expected(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
    spread = level.alpha**2 * WIDTH**2 + level.sigma**2
    return MEAN + level.alpha * WIDTH**2 / spread * (x - level.alpha * MEAN)


@pytest.mark.parametrize("schedule", [flow, preserving, exploding])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_marginals_are_those_of_the_schedule(schedule, spread) -> None:
    generator = torch.Generator().manual_seed(0)
    steps, count = 300, 30_000
    x = schedule(1.0).sigma * torch.randn(count, generator=generator, dtype=torch.float64) + schedule(1.0).alpha * MEAN
    for i in range(steps):
        now, after = schedule(1 - i / steps), schedule(1 - (i + 1) / steps)
        noise = torch.randn(count, generator=generator, dtype=torch.float64)
        x = stochastic_step(x, expected(x, now), now, after, noise, spread)
        if i + 1 in (150, 240, 300):
            true = math.sqrt(after.alpha**2 * WIDTH**2 + after.sigma**2)
            assert float(x.mean()) == pytest.approx(after.alpha * MEAN, abs=0.02 * max(1.0, true))
            assert float(x.std()) == pytest.approx(true, rel=0.03)


@pytest.mark.parametrize("schedule", [flow, preserving, exploding])
def test_with_the_true_clean_sample_any_spread_is_exact(schedule) -> None:
    generator = torch.Generator().manual_seed(1)
    clean, first, noise = torch.randn(3, 100_000, generator=generator, dtype=torch.float64)
    now, after = schedule(0.8), schedule(0.3)
    x = now.alpha * clean + now.sigma * first
    for spread in (0.0, 0.3, 1.0):
        left = stochastic_step(x, clean, now, after, noise, spread) - after.alpha * clean
        assert float(left.std()) == pytest.approx(after.sigma, rel=0.01)
    # At spread 1 nothing but the true reverse process is left: the joint with x is that of the forward process.
    moved = stochastic_step(x, clean, now, after, noise, 1.0)
    joint = now.alpha / after.alpha * after.sigma**2
    away = (moved - after.alpha * clean) * (x - now.alpha * clean)
    assert float(away.mean()) == pytest.approx(joint, rel=0.05)


def test_without_spread_it_is_the_euler_step_of_flow_matching() -> None:
    x, velocity = torch.randn(2, 50, dtype=torch.float64)
    stepped = stochastic_step(x, x - 0.8 * velocity, flow(0.8), flow(0.5), torch.full_like(x, 9.0), 0.0)
    torch.testing.assert_close(stepped, x + (0.5 - 0.8) * velocity)


def test_twins_part_only_with_spread() -> None:
    x = torch.ones(2, 50, dtype=torch.float64)
    noise = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same, parted = (stochastic_step(x, 0.5 * x, flow(0.8), flow(0.5), noise, spread) for spread in (0.0, 1.0))
    assert torch.equal(same[0], same[1])
    assert float((parted[0] - parted[1]).abs().mean()) > 0.1
    with pytest.raises(ArgumentError, match="spread: expected a number between 0 and 1, got 2"):
        stochastic_step(x, x, flow(0.8), flow(0.5), noise, 2)


LOGS = st.lists(st.floats(-800, 800), min_size=1, max_size=20)


@given(LOGS, st.integers(0, 99))
def test_systematic_resampling_keeps_its_promise(logs: list[float], seed: int) -> None:
    weights = torch.tensor(logs, dtype=torch.float64)
    ancestors = systematic(weights, torch.Generator().manual_seed(seed))
    assert ancestors == sorted(ancestors)
    shares = (len(logs) * weights.softmax(0)).tolist()
    for i, share in enumerate(shares):
        assert math.floor(share - 1e-9) <= ancestors.count(i) <= math.floor(share + 1e-9) + 1


def test_systematic_resampling_is_unbiased() -> None:
    weights = torch.tensor([0.1, 0.2, 0.7]).log()
    counts = torch.zeros(3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4000):
        for ancestor in systematic(weights, generator):
            counts[ancestor] += 1
    assert (counts / 12000).tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.01)


@given(LOGS, st.floats(-1e6, 1e6))
def test_effective_size_between_one_and_all_whatever_the_scale(logs: list[float], shift: float) -> None:
    size = effective_size(torch.tensor(logs, dtype=torch.float64) + shift)
    assert 1 - 1e-6 <= size <= len(logs) + 1e-6
    assert effective_size(torch.full((len(logs),), shift, dtype=torch.float64)) == pytest.approx(len(logs))
