"""Composite raters: each dimension from its own rater."""

from __future__ import annotations

import pytest
import torch
from toy_raters import Toy

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.raters import CompositeRater, term


@term(needs="audio", low=0, high=2)
def loudest(clip):
    """Return the peak."""
    return clip.sound().abs().amax()


def both(seed: int = 0) -> Clip:
    video = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    audio = torch.rand(1, 800, generator=torch.Generator().manual_seed(seed)) - 0.5
    return Clip(video=video, fps=4, audio=audio, sample_rate=8000)


def test_columns_are_those_of_the_raters() -> None:
    toy = Toy()
    rater = CompositeRater({"power": toy, "light": (toy, "brightness"), "peak": loudest})
    clips = [both(), both(1)]
    scores = rater(clips)
    assert scores.names == ("power", "light", "peak")
    torch.testing.assert_close(scores["power"], Toy()(clips)["power"])
    torch.testing.assert_close(scores["light"], Toy()(clips)["brightness"])
    torch.testing.assert_close(scores["peak"], loudest(clips).values[:, 0])
    assert sum(toy.calls) == 2  # rated once for both dimensions
    assert rater.tracks == ("video", "audio")
    assert rater.reads("peak") == {"audio"}
    assert rater.dimension("peak").high == 2
    assert rater.settings["light"] == "toy.brightness"
    assert rater.source is None


def test_what_one_rater_lacks_is_missing_alone() -> None:
    rater = CompositeRater({"light": (Toy(), "brightness"), "peak": loudest})
    scores = rater([Clip(audio=torch.ones(1, 80), sample_rate=8000), both()])
    assert scores.present.tolist() == [[False, True], [True, True]]
    assert "no video was given" in scores.reasons[0]["light"]


def test_gradients_reach_each_track_through_its_own_rater() -> None:
    rater = CompositeRater({"light": (Toy(), "brightness"), "peak": loudest})
    video, audio = both().video.requires_grad_(), both().audio.requires_grad_()
    rater["light"]([Clip(video=video, fps=4, audio=audio, sample_rate=8000)]).sum().backward()
    assert video.grad.any()
    assert audio.grad is None


def test_fingerprints_follow_the_parts() -> None:
    first = CompositeRater({"light": (Toy(), "brightness")})
    assert first.fingerprint == CompositeRater({"light": (Toy(), "brightness")}).fingerprint
    assert first.fingerprint != CompositeRater({"light": (Toy(), "power")}).fingerprint
    assert first.fingerprint != CompositeRater({"light": (Toy("other"), "brightness")}).fingerprint


def test_wrong_parts() -> None:
    with pytest.raises(ArgumentError, match="parts: expected a mapping of dimensions to raters"):
        CompositeRater({})
    with pytest.raises(ArgumentError, match="light: expected a rater with a dimension of this name, got toy with"):
        CompositeRater({"light": Toy()})
    with pytest.raises(ArgumentError, match="light: expected a rater, or"):
        CompositeRater({"light": "toy"})
    with pytest.raises(ArgumentError, match=r"dimension of toy: expected one of .*, got 'colour'"):
        CompositeRater({"light": (Toy(), "colour")})
