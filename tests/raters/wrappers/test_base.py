"""Wrappers have the whole contract of a rater, taken from the raters inside; nothing of it can be forgotten."""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import nn
from toy_raters import Reading, Toy, both, sound

from avreward.raters.base import Rater, Sample
from avreward.raters.listener import ListenerRater, StudentRater
from avreward.raters.listener._encoders import EmbeddingFeatures
from avreward.raters.listener._feature_rater import FeatureRater
from avreward.raters.listener._hidden import HiddenFeatures
from avreward.raters.wrappers import (
    AdaptedRater,
    CalibratedRater,
    CascadeRater,
    CompositeRater,
    DropoutPass,
    EnsembleRater,
    Linear,
    RestrictedRater,
    WrapperRater,
    calibrated,
    restricted,
)

# What a rater has through the rest of its contract, wrapper or not.
DERIVED = {"rate", "dimension", "score", "name"}
OWN = {"fingerprint", "source", "rate"}  # what makes a wrapper another rater


def contract() -> set[str]:
    """The public attributes of a rater."""
    return {name for name in {*vars(Rater), *Rater.__annotations__} if not name.startswith("_")}


class Odd(Toy):
    """Differs from the defaults of `Rater` in every attribute."""

    tracks = ("audio",)
    prompt_anchored = True
    differentiable = False
    source = MappingProxyType({"rater": "odd"})
    settings = MappingProxyType({"odd": "yes"})
    decoding = ("odd",)

    def __init__(self, name: str = "odd") -> None:
        super().__init__(name)
        self.module = nn.Sequential(nn.Dropout(0.5))

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        return frozenset({"audio", "texts.odd"})

    def load(self, clip: Any, work: Any = None) -> Sample:
        return Sample(clip, {"audio": "loaded"}, {})

    def load_track(self, clip: Any, track: Any) -> Any:
        return "track"


ONE = {
    CalibratedRater: lambda rater: calibrated(rater, {"power": Linear(4.0, 1.0, 1.0, 5.0)}),
    RestrictedRater: lambda rater: restricted(rater, {"power": ()}),
    DropoutPass: lambda rater: DropoutPass(rater, 0),
    AdaptedRater: lambda rater: AdaptedRater(rater, "base", None, "a", shares_tokens=False),  # type: ignore[arg-type]
}
TOGETHER = {"dimensions", "settings", "decoding", "load", "load_track", "module", "reads"}  # of several raters
DIFFERS = {  # what a wrapper says itself
    CalibratedRater: {"dimensions", "settings"},
    RestrictedRater: {"dimensions"},
    DropoutPass: {"settings", "per_clip"},
    AdaptedRater: {"settings"},
    EnsembleRater: {"dimensions", "settings", "decoding", "load", "load_track", "module"},
    CompositeRater: TOGETHER | {"differentiable"},
    CascadeRater: TOGETHER | {"frame_plans"},
    ListenerRater: {"settings"},
    StudentRater: {"settings"},
    FeatureRater: {"decoding", "load", "load_track", "reads"},
    EmbeddingFeatures: {"reads"},
    HiddenFeatures: {"reads"},
}


def test_the_whole_contract_is_delegated():
    """A new attribute of `Rater` has to be taken from the raters inside, or be listed as derived."""
    assert contract() - DERIVED == (set(vars(WrapperRater)) & contract()) - DERIVED
    assert {"dimensions", "module", "tracks", "decoding", "load", "reads"} <= contract() - DERIVED


def test_every_wrapper_is_tested_here():
    kinds = {*WrapperRater.__subclasses__(), *FeatureRater.__subclasses__()} - {FeatureRater}  # a base, too
    assert {kind for kind in kinds if kind.__module__.startswith("avreward.")} == set(DIFFERS) - {FeatureRater}


@pytest.mark.parametrize("kind", DIFFERS)
def test_a_wrapper_says_itself_only_what_is_listed(kind):
    assert {name for name in contract() - DERIVED - OWN if name in vars(kind)} <= DIFFERS[kind]


@pytest.mark.parametrize("kind", ONE)
def test_a_wrapper_takes_every_attribute_from_the_rater_inside(kind):
    inner = Odd()
    wrapper = ONE[kind](inner)
    same = contract() - DERIVED - OWN - DIFFERS[kind]
    plain = [name for name in same if not inspect.isfunction(getattr(Rater, name, None))]
    assert {name: getattr(wrapper, name) for name in plain} == {name: getattr(inner, name) for name in plain}
    assert wrapper.load(both(0, 0)).tracks == {"audio": "loaded"}
    assert wrapper.load_track(both(0, 0), "audio") == "track"
    assert wrapper.reads("power") == wrapper.reads() == {"audio", "texts.odd"}
    own = {name for name in contract() - DERIVED - OWN if name in vars(kind) or name in vars(wrapper)}
    assert own == DIFFERS[kind]


@pytest.mark.parametrize("kind", ONE)
def test_a_wrapper_follows_the_rater_inside(kind):
    inner = Odd()
    wrapper = ONE[kind](inner)
    inner.prompt_anchored = False
    inner.module = None
    assert not wrapper.prompt_anchored
    assert wrapper.module is None
    wrapper.name = "alias"
    assert inner.name == "odd"


def test_an_ensemble_is_as_careful_as_its_members():
    ensemble = EnsembleRater([Odd(), Toy()], dimensions=["power"])
    assert ensemble.prompt_anchored
    assert not ensemble.differentiable
    assert ensemble.per_clip
    assert ensemble.tracks == ("video", "audio")
    assert ensemble.reads("power") == {"video", "audio", "texts.odd"}
    assert list(ensemble.module) == [Odd.module or next(iter(ensemble.module))]
    assert not EnsembleRater([Toy("a", per_clip=False), Toy("b")]).per_clip
    assert EnsembleRater([Toy("a"), Toy("b")]).module is None


def test_a_composite_reads_and_differentiates_by_dimension():
    composite = CompositeRater({"power": Odd(), "light": (Toy(), "brightness")})
    assert composite.prompt_anchored
    assert composite.differentiable
    assert composite.per_clip
    assert composite.reads("power") == {"audio", "texts.odd"}
    assert composite.reads("light") == {"video", "audio"}
    assert not CompositeRater({"power": Odd()}).differentiable
    assert CompositeRater({"power": Toy()}).module is None


def test_a_wrapper_must_say_what_makes_it_another_rater():
    class Careless(WrapperRater):
        def load_track(self, clip: Any, track: Any) -> Any:
            return None

    with pytest.raises(TypeError, match=r"abstract.*fingerprint.*rate.*source"):
        Careless([Toy()], "careless")  # type: ignore[abstract]


def test_a_wrapper_of_several_must_say_how_it_decodes():
    class Pair(WrapperRater):
        fingerprint = "pair 1"
        source = None

        def rate(self, samples: Any, work: Any = None) -> Any:
            return self.raters[0].rate(samples, work)

    pair = Pair([Toy("a"), Toy("b")], "pair")
    for attempt in (lambda: pair.dimensions, lambda: pair.load(sound(0.5)), lambda: pair.decoding):
        with pytest.raises(ValueError, match="too many values"):
            attempt()
    assert Pair([Toy("a")], "one")([sound(0.25)])["power"].item() == pytest.approx(0.25)


def test_the_prompt_is_read_by_one_definition():
    """For rewards, for the store and for wrappers alike."""

    class Silent(Toy):
        prompt_anchored = True  # and no dimension lists the prompt

    class Undeclared(Reading):
        prompt_anchored = False  # and one does

    assert "prompt" not in Toy().reads()
    assert all("prompt" in Silent().reads(d.name) for d in Silent().dimensions)
    assert Silent()["power"].prompt_anchored
    assert calibrated(Silent(), {})["power"].prompt_anchored
    for rater in (Reading(), Undeclared()):
        assert rater["faithful"].prompt_anchored
        assert not rater["power"].prompt_anchored
        assert "prompt" in rater.reads()
    assert torch.is_grad_enabled()
