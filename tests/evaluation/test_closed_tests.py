"""Corrected p-values: Holm's by definition, closed tests against all exchanges, and false alarms in simulations."""

import itertools

import numpy as np
import pytest

from avreward.evaluation._closed_tests import _partitions as partitions
from avreward.evaluation._closed_tests import corrected_p, holm, over_families
from avreward.evaluation._system_dimension import Settings, Signs, pair_p


def corrected(cells, draws=299, seed=0):
    return corrected_p(cells, pair_p(cells, Signs(Settings(0.95, draws, seed))), draws, seed)


def test_holm_by_its_definition():
    values = [0.01, 0.2, 0.02, 0.04]
    for level in np.linspace(0.001, 0.3, 60):
        rejected = set()
        for rank, index in enumerate(np.argsort(values)):
            if values[index] > level / (len(values) - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(values)) if p <= level + 1e-12} == rejected


def test_families_are_weighed_as_a_whole():
    assert over_families([[0.01, 0.02], [0.001]]) == [[pytest.approx(0.01), pytest.approx(0.02)], [0.002]]
    assert over_families([[0.01, 0.9], [0.02]]) == [[0.02, 0.9], [0.04]]
    assert over_families([[], [0.01]]) == [[], [0.02]]


def test_all_partitions():
    assert [len(list(partitions(range(n)))) for n in range(1, 6)] == [1, 2, 5, 15, 52]  # Bell's numbers
    assert all(sorted(itertools.chain(*one)) == [0, 1, 2, 3] for one in partitions(range(4)))


def test_three_systems_against_all_exchanges():
    """With three systems the only hypothesis besides the pairs is that all are equal: 6 ** 4 exchanges."""
    cells = np.random.default_rng(5).normal(size=(4, 3)) + np.array([2.0, 0.0, 0.0])

    def largest(cells):
        gaps = np.stack([cells[:, a] - cells[:, b] for a, b in itertools.combinations(range(3), 2)])
        return (np.abs(gaps.sum(axis=1)) / np.sqrt((gaps**2).sum(axis=1))).max()

    orders = list(itertools.permutations(range(3)))
    exchanged = [
        largest(np.stack([row[list(order)] for row, order in zip(cells, chosen, strict=True)]))
        for chosen in itertools.product(orders, repeat=4)
    ]
    together = np.mean(np.array(exchanged) >= largest(cells) - 1e-9)
    single = pair_p(cells, Signs(Settings(0.95, 99, 0)))
    found = corrected_p(cells, single, 20_000, 0)
    for pair, p in found.items():
        assert p == pytest.approx(max(single[pair], together), abs=0.01)


def test_a_missing_system_keeps_its_place():
    """A group without a system is exchanged among the others only, so that system never differs by it."""
    cells = np.random.default_rng(0).normal(size=(9, 3))
    cells[3:, 2] = np.nan
    found = corrected(cells)
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    assert found[0, 2] >= 0.25  # three groups have no p-value below 1/4
    cells[:, 2] = np.nan
    assert set(corrected(cells)) == {(0, 1)}


def test_few_groups_show_what_holm_cannot():
    cells = np.random.default_rng(0).normal(size=(8, 5)) + np.array([5.0, 0, 0, 0, 0])
    found = corrected(cells)
    assert max(p for pair, p in found.items() if 0 in pair) <= 0.02
    assert min(p for pair, p in found.items() if 0 not in pair) > 0.05
    single = pair_p(cells, Signs(Settings(0.95, 299, 0)))
    assert min(holm(list(single.values()))) > 0.05


def test_many_systems_are_corrected_by_holm():
    cells = np.random.default_rng(0).normal(size=(10, 7))
    single = pair_p(cells, Signs(Settings(0.95, 299, 0)))
    assert corrected(cells) == dict(zip(single, holm(list(single.values())), strict=True))


@pytest.mark.parametrize("noise", ["normal", "skewed", "ties"])
def test_false_alarms(noise):
    rng = np.random.default_rng(7)
    draw = {
        "normal": lambda: rng.normal(size=(8, 3)),
        "skewed": lambda: rng.exponential(size=(8, 3)),
        "ties": lambda: rng.integers(0, 3, (8, 3)).astype(float),
    }[noise]
    wrong = sum(min(corrected(draw(), 99, run).values()) <= 0.05 for run in range(300))
    assert wrong / 300 <= 0.05 + 2.6 * (0.05 * 0.95 / 300) ** 0.5
