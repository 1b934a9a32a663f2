"""Monte-Carlo dropout: which units, at which rate, and the same for the same clip whatever its neighbours are."""

from __future__ import annotations

import pytest
import torch
from lmm_checks import dubs, film
from torch import nn
from toy_backbone import ToyBackbone, toy_rater
from toy_raters import Toy

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.lmm.prompt import Tokens
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.dropout import dropout_passes
from avreward.raters.wrappers.ensemble import EnsembleRater


class Linear(Rater):
    """Mean of 4096 weights of 1 behind a dropout of a quarter, times the power of the sound."""

    name, fingerprint = "linear", "linear 1"
    tracks = ("audio",)
    dimensions = (Dimension("power", 0, 1, frozenset({"audio"})),)

    def __init__(self, p=0.25):
        self.module = nn.Sequential(nn.Dropout(p), nn.Linear(4096, 1, bias=False)).eval().requires_grad_(False)
        nn.init.constant_(self.module[1].weight, 1 / 4096)

    def load_track(self, clip, track):
        return clip.sound()

    def rate(self, samples, work=None):
        powers = [s.tracks["audio"].square().mean() for s in samples]
        return Scores.collect([({"power": self.module(p.expand(4096))[0]}, {}, {}) for p in powers], self.dimensions)


class Shaky(ToyBackbone):
    """Drops feature tokens, too: an encoder that isn't run draws nothing."""

    def encode(self, track, loaded):
        name, tokens = super().encode(track, loaded)
        return [name, Tokens(self.module.drop(tokens.values))]


def dropping(**options):
    backbone = Shaky()
    backbone.module.drop = nn.Dropout(0.2)
    for layer in backbone.module.language.layers:
        layer.mlp = nn.Sequential(layer.mlp, nn.Dropout(0.2))
    backbone.module.eval()
    return toy_rater(backbone=backbone, **options)


def test_the_rate_and_the_spread_are_those_of_the_formula():
    clip = Clip(audio=torch.ones(1, 64), sample_rate=16000)
    found = EnsembleRater(dropout_passes(Linear(), 200))([clip])
    assert found["power"].item() == pytest.approx(1.0, abs=0.005)
    # a unit is 0, or 1/(1 - p) with probability 1 - p: its variance is p/(1 - p)
    assert found.sigma.item() == pytest.approx((0.25 / 0.75 / 4096) ** 0.5, rel=0.15)
    assert Linear()([clip])["power"].item() == pytest.approx(1.0)


def test_the_modules_and_rates_are_told():
    passes = dropout_passes(dropping(), 2)
    assert passes[0].dropped == {"drop": 0.2, **{f"language.layers.{i}.mlp.1": 0.2 for i in range(3)}}
    assert dropout_passes(dropping(), 2, p=0.5)[1].dropped == dict.fromkeys(passes[0].dropped, 0.5)
    assert passes[0].settings["dropout"] == "4 modules, p = 0.2, seed 0"
    assert not any(part.training for part in passes[0].module.modules())


def test_a_score_depends_on_seed_and_clip_alone():
    rater = dropping()
    first, second = dropout_passes(rater, 2, seed=5)
    clips = dubs(3, frames=4, prompt="x")
    together = first(clips)
    torch.manual_seed(1)
    for row, clip in enumerate(clips):
        assert torch.equal(first([clip]).values[0], together.values[row])
    assert torch.equal(first(clips[::-1], batch_size=1).values.flip(0), together.values)
    assert (second(clips).values != together.values).all()
    before = rater(clips).values
    assert (before != together.values).all()
    assert torch.equal(rater(clips).values, before)  # off again


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    dropout_passes(dropping(), 2)[0]([film()])
    assert torch.equal(torch.rand(2), expected)


def test_dropout_is_off_again_after_an_error():
    rater = dropping()
    one = dropout_passes(rater, 2)[0]
    before = rater([film()]).values
    with pytest.raises(AttributeError):
        one.rate([None])
    assert torch.equal(rater([film()]).values.nan_to_num(), before.nan_to_num())


def test_an_ensemble_of_passes_decodes_once_and_has_gradients():
    rater = dropping()
    ensemble = EnsembleRater(dropout_passes(rater, 3), "lower")
    clip = film(prompt="x")
    audio = clip.sound().clone().requires_grad_()
    found = ensemble([clip.with_audio(audio, 16000)])
    assert (found.sigma > 0).all()
    found.values.sum().backward()
    assert audio.grad.isfinite().all()
    assert audio.grad.abs().max() > 0
    assert len({one.fingerprint for one in ensemble.raters}) == 3


def test_gradients_are_those_of_the_dropped_network(check_gradient):
    one = dropout_passes(Linear(), 2)[0]
    one.module.double()
    wave = torch.linspace(-0.9, 0.8, 12)[None]
    check_gradient(lambda x: one([Clip(audio=x, sample_rate=16000)])["power"], wave)


def test_what_drops_nothing_is_an_error():
    with pytest.raises(AvrewardError, match="rater: expected one with a network, got toy"):
        dropout_passes(Toy())
    with pytest.raises(AvrewardError, match=r"rater: expected one with nn.Dropout modules, got toy; use another"):
        dropout_passes(toy_rater())
    with pytest.raises(AvrewardError, match=r"got linear, whose 1 nn.Dropout modules have a rate of 0; pass p"):
        dropout_passes(Linear(p=0.0))
    assert dropout_passes(Linear(p=0.0), p=0.1)
    with pytest.raises(AvrewardError, match="passes: expected an integer of at least 2, got 1"):
        dropout_passes(Linear(), 1)
    with pytest.raises(AvrewardError, match=r"p: expected a number between 0 and 1, got 1.0"):
        dropout_passes(Linear(), p=1.0)
    with pytest.raises(AvrewardError, match=r"rater: expected one without checkpointing, got toy, .*; load it with"):
        dropout_passes(dropping(checkpointing=True))
