"""Settings of a search that can't be, and generators that a strategy can't lead: one clear error each."""

from __future__ import annotations

from typing import Any

import pytest
from toy_raters import Toy, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.selection.search.adaptive import AdaptiveN
from avreward.selection.search.noise_search import Evolution, ZeroOrder
from avreward.selection.search.pruning import Drafts, Halving
from avreward.selection.search.search import BestOfN, Search
from avreward.selection.search.steering import Beam, Steering

asked: list[int] = []


def generate(condition: Any, seed: int) -> Clip:
    asked.append(seed)
    return sound(0.5)


@pytest.mark.parametrize("strategy", ["evolution", "zero_order", "halving", "drafts", "steering", "beam"])
def test_a_plain_callable_cannot_be_led(strategy) -> None:
    asked.clear()
    with pytest.raises(ArgumentError, match=r"generator: expected one that supports .*, got the plain callable"):
        Search(generate, Toy()["power"], strategy)()
    assert not asked


@pytest.mark.parametrize("value", [2.5, "4", True, None, float("nan"), 0, -3])
def test_counts_are_integers(value) -> None:
    search, reward = Search, Toy()["power"]
    for name, make in (
        ("n", lambda: BestOfN(generate, reward, value)),
        ("batch_size", lambda: BestOfN(generate, reward, batch_size=value)),
        ("keep", lambda: search(generate, reward, keep=value)),
        ("particles", lambda: Steering(value)),
        ("beams", lambda: Beam(value)),
        ("n", lambda: Halving(value)),
        ("commit", lambda: Drafts(commit=value)),
        ("most", lambda: AdaptiveN(most=value)),
        ("neighbours", lambda: ZeroOrder(neighbours=value)),
        ("children", lambda: Evolution(children=value)),
    ):
        with pytest.raises(ArgumentError, match=rf"^{name}: expected an integer of at least \d, got"):
            make()


@pytest.mark.parametrize("seed", [1.5, "0", None, True, 2**64, 2**63, -(2**63) - 1])
def test_a_seed_is_an_integer_of_64_bits(seed) -> None:
    with pytest.raises(
        ArgumentError, match=r"^seed: expected an integer .* 64 bits, got .*; pass one from 0 to 922\d+$"
    ):
        BestOfN(generate, Toy()["power"], seed=seed)


def test_numbers_of_numpy_count() -> None:
    numpy = pytest.importorskip("numpy")
    found = BestOfN(generate, Toy()["power"], numpy.int64(2), seed=numpy.int32(7), batch_size=numpy.int8(1))()
    assert found.seeds == [7, 8]
    assert all(type(seed) is int for seed in found.seeds)
