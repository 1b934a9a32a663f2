"""Which of two is better, whoever is asked."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

pytest.importorskip("transformers")

import torch
from lmm_checks import dubs
from toy_backbone import toy_rater
from toy_raters import Toy, both, picture, sound

from avreward import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.preferences import preference
from avreward.preferences.group_rewards import Tournament
from avreward.preferences.judge_network import JudgeNetwork
from avreward.preferences.models import BradleyTerry, RaoKupper
from avreward.preferences.preference import FromJudge, FromLmm, FromModel, FromReward
from avreward.rewards.results import MissingScore


def features(clips):
    """Power, brightness and one more; NaN for a clip without sound."""
    rows = [
        torch.stack([clip.sound().square().mean(), clip.video.mean(), clip.video.amax()])
        if clip.has_audio
        else torch.full((3,), torch.nan, dtype=torch.float64)
        for clip in clips
    ]
    return torch.stack(rows)


def partial_to_the_first(first, second):
    """A pairwise model with ties that likes the first place."""
    gaps = [float((a.sound() ** 2).mean() - (b.sound() ** 2).mean()) for a, b in zip(first, second, strict=True)]
    logits = torch.tensor([[g + 0.9, 0.0, -g] for g in gaps], dtype=torch.float64)
    return logits.softmax(-1)


def judge():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return JudgeNetwork(3).double()


PREFERENCES = {
    "reward": lambda: FromReward(Toy()["power"], RaoKupper(1.4, scale=0.2)),
    "model": lambda: FromModel(partial_to_the_first),
    "judge": lambda: FromJudge(judge(), features),
}
EACH = pytest.mark.parametrize("name", list(PREFERENCES))


@EACH
def test_order_cannot_matter(name):
    prefers = PREFERENCES[name]()
    first, second = [both(0.1, 0.2), both(0.5, 0.3)], [both(0.3, 0.3), both(0.2, 0.9)]
    found, turned = prefers(first, second), prefers(second, first)
    assert torch.equal(found.win, turned.loss)
    assert torch.equal(found.loss, turned.win)
    assert torch.equal(found.tie, turned.tie)
    assert torch.allclose(found.win + found.tie + found.loss, torch.ones(2, dtype=torch.float64))
    assert (found.win - found.loss).abs().min() > 1e-4
    assert torch.allclose(found.score + turned.score, torch.ones(2, dtype=torch.float64))
    assert found.present.all()


@EACH
def test_a_clip_against_itself_is_even(name):
    clip = both(0.3, 0.4)
    found = PREFERENCES[name]()([clip], [clip])
    assert torch.equal(found.win, found.loss)


def test_a_reward_through_a_model():
    toy = Toy()
    prefers = FromReward(toy["power"] - 0.5 * toy["brightness"], BradleyTerry(scale=0.1))
    found = prefers([both(0.5, 0.2)], [both(0.1, 0.4)])
    assert found.win.item() == pytest.approx(torch.sigmoid(torch.tensor((0.4 + 0.1) / 0.1)).item())
    assert found.tie.item() == 0


def test_each_clip_is_judged_once():
    toy = Toy()
    a, b, c = both(0.1, 0.2), both(0.5, 0.3), both(0.4, 0.3)
    FromReward(toy["power"])([a, a, b, c], [b, c, c, a])
    assert toy.calls == [1, 1, 1]


def test_a_model_is_asked_both_ways_round():
    asked = []

    def model(first, second):
        asked.append((tuple(first), tuple(second)))
        return torch.tensor([0.9] * len(first))

    a, b = both(0.1, 0.2), both(0.5, 0.3)
    found = FromModel(model)([a], [b])
    assert asked == [((a,), (b,)), ((b,), (a,))]
    assert found.win.item() == found.loss.item() == pytest.approx(0.5)
    louder = FromModel(partial_to_the_first)([both(0.9, 0.1)], [both(0.1, 0.1)])
    assert louder.win > louder.loss > 0


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (torch.tensor([2.0, -1.0]), "expected one that returns probabilities, got other numbers; return"),
        (torch.tensor([float("nan"), 0.5]), "expected one that returns probabilities, got other numbers; return"),
        (torch.tensor([[0.5, 0.2, 0.5]] * 2), "expected one that returns probabilities, got other numbers; return"),
        (torch.tensor([0.5]), r"shape \(1, 3\) for 2 pairs"),
        (torch.full((2, 2), 0.5), r"shape \(2, 2\) for 2 pairs"),
    ],
)
def test_a_model_that_returns_something_else_is_named(answer, named):
    clips = [both(0.1, 0.2), both(0.5, 0.3)]
    with pytest.raises(ArgumentError, match=f"model: .*{named}"):
        FromModel(lambda first, second: answer)(clips, clips[::-1])


def test_gradients_reach_both_clips():
    generator = torch.Generator().manual_seed(3)
    sounds = [torch.rand(1, 8, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]
    video = picture(0.4).video
    for prefers in (PREFERENCES["reward"](), PREFERENCES["judge"]()):

        def win(one, other, prefers=prefers):
            a, b = (Clip(video=video, fps=8.0, audio=audio, sample_rate=16000) for audio in (one, other))
            found = prefers([a], [b])
            return torch.stack([found.win, found.tie])

        assert torch.autograd.gradcheck(win, tuple(sounds), fast_mode=True)
        assert all(grad.abs().max() > 0 for grad in torch.autograd.grad(win(*sounds)[0], sounds))


@pytest.mark.parametrize("name", ["reward", "judge"])
def test_pairs_that_cannot_be_compared_are_missing_with_the_reason(name):
    prefers = PREFERENCES[name]()
    loud, quiet, mute = both(0.5, 0.2), both(0.1, 0.2), picture(0.3)
    found = prefers.evaluate([loud, mute, mute], [quiet, loud, mute])
    assert found.present.tolist() == [True, False, False]
    assert torch.equal(found.win[:1], prefers([loud], [quiet]).win)
    assert found.win[1:].isnan().all()
    assert found.reasons[0] is None
    assert found.reasons[1].startswith(f"the first, {mute.name}: ")
    assert "the second" in found.reasons[2]
    with pytest.raises(MissingScore, match=r"2 of 3 .*<tensor> against <tensor> \(clip 1\): the first"):
        prefers([loud, mute, mute], [quiet, loud, mute])
    assert not prefers.evaluate([mute], [mute]).present.any()


def test_a_missing_clip_leaves_the_gradients_alone():
    audio = torch.full((1, 8), 0.5, dtype=torch.float64, requires_grad=True)
    heard = Clip(video=picture(0.4).video, fps=8.0, audio=audio, sample_rate=16000)
    for prefers in (PREFERENCES["reward"](), PREFERENCES["judge"]()):
        found = prefers.evaluate([heard, heard], [both(0.1, 0.3), picture(0.3)])
        found.win[found.present].sum().backward()
        assert audio.grad.isfinite().all()
        assert audio.grad.abs().max() > 0
        audio.grad = None


def test_lists_of_different_length_are_named():
    with pytest.raises(ArgumentError, match="first, second: expected one clip each per pair, got 2 and 1"):
        PREFERENCES["reward"]()([sound(0.1)] * 2, [sound(0.2)])


def test_no_pairs_are_no_preferences():
    assert len(PREFERENCES["reward"]()([], [])) == 0


def test_a_judge_takes_batches():
    sizes = []

    def counted(clips):
        sizes.append(len(clips))
        return features(clips)

    a, b, c = both(0.1, 0.2), both(0.5, 0.3), both(0.4, 0.3)
    whole = FromJudge(judge(), features)([a, b], [b, c])
    found = FromJudge(judge(), counted)([a, b], [b, c], batch_size=2)
    assert sizes == [2, 1]
    assert torch.allclose(found.win, whole.win)


@pytest.fixture(scope="module")
def lmm():
    return toy_rater()


def test_a_language_model_is_asked_pair_by_pair(lmm):
    one, other, third = dubs(3, frames=4)
    prefers = FromLmm(lmm)
    found = prefers([one, other], [other, third])
    assert torch.allclose(torch.stack([found.win[0], found.loss[0]]), lmm.compare([one, other]), atol=1e-6)
    assert found.tie.tolist() == [0, 0]
    turned = prefers([other, third], [one, other])
    assert torch.allclose(turned.win, found.loss, atol=1e-6)
    scores = Tournament(prefers)([one, other, third])
    assert float(scores.sum()) == pytest.approx(1.5, rel=1e-5)
    against_third = lmm.compare([one, third])[0]
    assert float(scores[0]) == pytest.approx(float(found.win[0] + against_third) / 2, rel=1e-5)


def test_a_tournament_encodes_each_candidate_once(monkeypatch):
    """Also of more candidates than a rater keeps by itself, and of several videos whose pairs are mixed."""
    monkeypatch.setattr(preference, "TOKENS_AT_ONCE", 2)
    monkeypatch.setattr(preference, "LOADED_AT_ONCE", 1)
    lmm, clips = toy_rater(), dubs(6, frames=4)
    loads = Counter()
    load_track = lmm.load_track

    def counted(clip, track):
        loads[track] += 1
        return load_track(clip, track)

    monkeypatch.setattr(lmm, "load_track", counted)
    found = Tournament(FromLmm(lmm))(clips)
    assert lmm.backbone.calls == loads == {"video": 1, "audio": 6}
    apart = [lmm.compare([one, other]) for one, other in combinations(clips, 2)]
    assert float(found[0]) == pytest.approx(float(torch.stack(apart[:5])[:, 0].mean()), rel=1e-4)

    lmm = toy_rater()
    others = [Clip(video=picture(0.5).video, fps=8.0).with_audio(clip) for clip in clips[:3]]
    pairs = [(0, 1), (3, 4), (1, 2), (4, 5), (0, 2), (3, 5)]
    every = [*clips[:3], *others]
    mixed, _ = FromLmm(lmm).among(every, pairs)
    assert lmm.backbone.calls["video"] == 2
    assert lmm.backbone.calls["audio"] <= 6
    for row, (i, j) in enumerate(pairs):
        expected = lmm.compare([every[i], every[j]])[0]
        assert float(mixed.win[row]) == pytest.approx(float(expected), rel=1e-4)


def test_a_language_model_leaves_out_what_it_cannot_hear(lmm):
    one, other, third = dubs(3, frames=4)
    silent = Clip(video=one.video, fps=8.0)
    found = Tournament(FromLmm(lmm)).evaluate([one, silent, other, third])
    assert found.present.tolist() == [True, False, True, True]
    assert "audio: " in found.reasons[1]
    assert torch.allclose(found.values[[0, 2, 3]], Tournament(FromLmm(lmm))([one, other, third]), atol=1e-6)
    with pytest.raises(AvrewardError, match="got clips of different videos"):
        FromLmm(lmm)([one], [both(0.1, 0.2)])
