"""Noise as mixes of seeds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.generators.base import Noise

SHARE = st.floats(0, 1)


@given(st.lists(st.tuples(st.integers(0, 5), SHARE, st.booleans()), max_size=6))
def test_mixes_stay_standard_normal(moves: list[tuple[int, float, bool]]) -> None:
    noise = Noise.of(0)
    for seed, share, crossing in moves:
        noise = noise.cross(Noise.of(seed), share) if crossing else noise.near(seed, share)
        assert sum(weight**2 for _, weight in noise.parts) == pytest.approx(1, abs=1e-9)
        assert len({seed for seed, _ in noise.parts}) == len(noise.parts)


def test_a_draw_is_the_weighted_sum_of_the_seeds() -> None:
    noise = Noise.of(7).near(8, 0.6)
    assert noise.parts == ((7, 0.8), (8, 0.6))
    stream = noise.stream()
    first, second = stream.randn(2, 3), stream.randn(4)
    seven, eight = (torch.Generator().manual_seed(seed) for seed in (7, 8))
    torch.testing.assert_close(
        first, 0.8 * torch.randn(2, 3, generator=seven) + 0.6 * torch.randn(2, 3, generator=eight)
    )
    torch.testing.assert_close(second, 0.8 * torch.randn(4, generator=seven) + 0.6 * torch.randn(4, generator=eight))


def test_siblings_are_scaled_back() -> None:
    mother = Noise.of(1)
    children = mother.near(2, 0.6), mother.near(3, 0.6)
    drawn = children[0].cross(children[1], 0.5).stream().randn(200_000)
    assert float(drawn.std()) == pytest.approx(1, abs=0.01)


def test_the_ends_of_the_range() -> None:
    assert Noise.of(1).near(2, 0.0) == Noise.of(1)
    assert Noise.of(1).cross(Noise.of(2), 1.0).seed == 2
    assert Noise.of(1).near(2, 0.5).seed is None
    with pytest.raises(ArgumentError, match=r"share: expected a share of the variance between 0 and 1, got 1\.5"):
        Noise.of(1).cross(Noise.of(2), 1.5)
