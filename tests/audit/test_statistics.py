"""Differences to real clips, their intervals, and the verdicts."""

import numpy as np
import pytest

from avreward.audit._statistics import (
    count_above,
    in_sds,
    mean_difference,
    median,
    median_difference,
    sd,
    verdict_of,
)


def test_medians_and_what_is_missing() -> None:
    found = median_difference([3.0, None, 5.0], [1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high, found.sds, found.clips) == (2.0, None, None, 2.0, 2)
    assert median_difference([None, None], [1.0, 2.0]) is None
    assert median_difference([1.0], [None]) is None
    # of clips that the probe can't be made of, the real rewards don't count either
    assert median_difference([None, None, 8.0], [1.0, 2.0, 9.0]).value == -1
    assert count_above([None, None, 8.0], [1.0, 2.0, 9.0]) == 0
    assert count_above([None, 8.0, 8.0], [1.0, 2.0, 9.0]) == 2


def test_the_bootstrap_keeps_pairs_together_and_follows_its_seed() -> None:
    real = np.linspace(0, 100, 21).tolist()
    paired = median_difference([x + 1 for x in real], real)
    assert (paired.low, paired.high) == (pytest.approx(1), pytest.approx(1))  # clip by clip it is always 1
    shuffled = median_difference(np.random.default_rng(0).permutation(real).tolist(), real, seed=1)
    assert shuffled.low < -10 < 10 < shuffled.high
    assert shuffled == median_difference(np.random.default_rng(0).permutation(real).tolist(), real, seed=1)
    assert shuffled != median_difference(np.random.default_rng(0).permutation(real).tolist(), real, seed=2)


def test_the_bootstrap_covers() -> None:
    generator, inside = np.random.default_rng(0), 0
    for _ in range(100):
        real, other = generator.normal(0, 1, 30), generator.normal(0.5, 1, 30)
        found = median_difference(other.tolist(), real.tolist())
        inside += found.low <= 0.5 <= found.high
    assert 88 <= inside <= 100  # of 95 % intervals


def test_means_with_students_interval() -> None:
    found = mean_difference([3.0, None, 5.0, 7.0], [1.0, 2.0, 4.0, 4.0])
    # differences 2, 1, 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.303
    assert (found.value, found.clips) == (2.0, 3)
    assert found.high - found.value == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert mean_difference([1.0], [0.0]).low is None
    assert mean_difference([None], [1.0]) is None
    assert mean_difference([3.0, 4.0], [1.0, 2.0], [0.0, 20.0]).sds == pytest.approx(2 / 200**0.5)


def test_without_a_spread_there_are_no_sds() -> None:
    assert in_sds(1.0, [2.0]) is None
    assert in_sds(1.0, [2.0, 2.0]) is None
    assert sd([None, 1.0]) is None
    assert median([None]) is None
    assert median([None, 1.0, 4.0]) == 2.5


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([6.0, 7.0, 1.0], "beats"),
        ([6.0, 1.0, 2.0], "sometimes"),
        ([4.0, 1.0, None], "never"),
        ([4.0, 5.0, 6.0], "unseen"),
        ([None, 5.0, 6.0], "unseen"),
        ([None, None, None], "missing"),
    ],
)
def test_verdicts(values, verdict) -> None:
    assert verdict_of(values, [4.0, 5.0, 6.0]) == verdict
