"""Plain callables as samplers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
from toy_raters import sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.generators._as_sampler import CallableSampler, as_sampler, name_of
from avreward.generators.base import Condition, Cost, Noise


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
