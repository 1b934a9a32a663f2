"""Several ways to ask: raters on one backbone, which encodes a clip once for all of them."""

from __future__ import annotations

import pytest
import torch
from lmm_checks import alone, dubs, film
from toy_backbone import ToyBackbone

from avreward.errors import AvrewardError
from avreward.raters.wrappers.ensemble import EnsembleRater
from avreward.raters.zero_shot._phrasings import phrasings
from avreward.raters.zero_shot.questions import ZeroShotQuestion
from avreward.scoring.run import score_files

STEM = "The audio quality is"
WORDINGS = [
    [
        ZeroShotQuestion("audio_quality", ("audio",), text, STEM, f"{text} Good?"),
        ZeroShotQuestion(
            "fit", ("video", "audio"), f"{text} Do they fit?", "The fit is", f"{text} Does it fit {{prompt}}?"
        ),
    ]
    for text in ("How good is it?", "Rate the sound.", "Is this clear and clean?")
]


@pytest.mark.parametrize("answers", ["levels", "yes_no"])
def test_each_asks_in_its_own_words(answers):
    raters = phrasings(ToyBackbone(), WORDINGS, answers)
    assert [rater.name for rater in raters] == ["phrasing1", "phrasing2", "phrasing3"]
    assert len({rater.fingerprint for rater in raters}) == 3
    clips = [film(prompt="a dog"), film(seed=2, prompt="rain")]
    found = EnsembleRater(raters)(clips)
    for row, clip in enumerate(clips):
        each = torch.stack([torch.stack([alone(rater, clip)[d] for d in found.names]) for rater in raters])
        assert each.std(0).min() > 1e-3  # the words matter, even to a random network
        torch.testing.assert_close(found.values[row], each.mean(0))
        torch.testing.assert_close(found.sigma[row], each.std(0), rtol=1e-3, atol=1e-3)


def test_a_clip_is_decoded_and_encoded_once():
    backbone = ToyBackbone()
    decoded = []
    load = backbone.load
    backbone.load = lambda clip, track: decoded.append(track) or load(clip, track)
    rater = EnsembleRater(phrasings(backbone, WORDINGS))
    rater([film()])
    assert backbone.calls == {"video": 1, "audio": 1}
    assert sorted(decoded) == ["audio", "video"]
    backbone.calls.update(video=0, audio=0)
    rater(dubs(3), batch_size=2)
    assert backbone.calls == {"video": 1, "audio": 3}
    backbone.calls.update(video=0, audio=0)
    list(score_files(dubs(3), rater))
    assert backbone.calls == {"video": 1, "audio": 3}


def test_raters_on_other_backbones_share_nothing():
    first, second = ToyBackbone(0), ToyBackbone(1)
    raters = [*phrasings(first, WORDINGS[:2]), *phrasings(second, WORDINGS[:2])]
    clips = [film()]
    found = EnsembleRater(raters)(clips)
    torch.testing.assert_close(found.values, torch.stack([rater(clips).values for rater in raters]).mean(0))
    assert first.calls["video"] == second.calls["video"]


def test_gradients_pass_what_is_shared(check_gradient):
    backbone = ToyBackbone()
    backbone.module.double()
    raters = phrasings(backbone, WORDINGS)
    rater = EnsembleRater(raters, "lower")
    clip = film()
    audio = clip.sound().clone().requires_grad_()
    shared = rater([clip.with_audio(audio, 16000)])["fit"]
    (together,) = torch.autograd.grad(shared.sum(), audio)
    each = torch.stack([r([clip.with_audio(audio, 16000)])["fit"] for r in raters])
    (apart,) = torch.autograd.grad((each.mean(0) - each.std(0)).sum(), audio)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-9)
    assert together.abs().max() > 0


def test_what_can_not_be_asked_is_an_error():
    with pytest.raises(AvrewardError, match="wordings: expected at least two, got 1"):
        phrasings(ToyBackbone(), WORDINGS[:1])
    deaf = ToyBackbone()
    deaf.tracks = ("video",)
    with pytest.raises(
        AvrewardError,
        match=r"wordings\[0\]: expected questions about video, the .* of ToyBackbone, got one about audio",
    ):
        phrasings(deaf, WORDINGS)
