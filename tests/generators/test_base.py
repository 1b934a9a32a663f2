"""Noise as mixes of seeds, and plain callables as samplers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.generators.base import CallableSampler, Condition, Cost, Noise, as_sampler, name_of

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


def test_a_callable_takes_seeds_only() -> None:
    sampler, cost = as_sampler(lambda condition, seed, level: sound(level + seed)), Cost()
    clips = sampler.make(Condition(None, {"level": 0.5}), [Noise.of(0), Noise.of(1)], cost)
    assert [float(clip.audio.square().mean()) for clip in clips] == pytest.approx([0.5, 1.5])
    assert cost == Cost(decodes=2)
    with pytest.raises(
        ArgumentError, match=r"generator: expected one that supports mixed noise, got the plain callable .*; pass"
    ):
        sampler.make(Condition(), [Noise.of(0).near(1, 0.5)], cost)
    with pytest.raises(ArgumentError, match="expected one that supports fewer denoising steps, got the plain callable"):
        sampler.make(Condition(), [Noise.of(0)], cost, steps=3)
    with pytest.raises(ArgumentError, match="expected one that supports pausing between denoising steps"):
        sampler.start(Condition(), [Noise.of(0)], cost)
    with pytest.raises(ArgumentError, match="expected to return a Clip, got a int"):
        CallableSampler(lambda condition, seed: 3).make(Condition(), [Noise.of(0)], cost)
    with pytest.raises(ArgumentError, match=r"generator: expected a diffusers pipeline, a Sampler or .*, got 'wan'"):
        as_sampler("wan")


class Provider:
    """Makes clips; known by its address alone unless it says more."""

    def __call__(self, condition: object, seed: int, level: float = 0.5) -> Clip:
        return sound(level + seed)


@dataclass
class Described(Provider):
    folder: str


class Identified(Provider):
    def __init__(self, identity: str) -> None:
        self.identity = identity

    def make(self, condition: object, seed: int) -> Clip:
        return self(condition, seed)


def test_what_a_callable_tells_of_itself_is_its_name() -> None:
    def generate(condition: object, seed: int) -> Clip:
        return sound(seed)

    assert name_of(generate) == f"{__name__}.{generate.__qualname__}"
    assert name_of(Provider()) == name_of(Provider()) == f"{__name__}.Provider"
    makers = [
        generate, Provider(), Described("a"), Described("b"), Identified("a"), Identified("b"), Identified("a").make,
        partial(generate, level=1), partial(generate, level=2), partial(Provider(), None), partial(Identified("a")),
        partial(Identified("b")), Identified("b").make,
    ]  # fmt: skip
    assert len({name_of(make) for make in makers}) == len(makers)
    assert "hunter2" not in name_of(partial(generate, key="hunter2")) + name_of(Identified("hunter2"))
    for make in (Described, Identified):
        assert name_of(make("a")) == name_of(make("a"))
