"""A score's gradient moves the tracks that the score names and no other, whichever way the score is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_raters import Toy, both

from avreward import ArgumentError, Clip
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers import EnsembleRater
from avreward.rewards import minimum

AV = frozenset({"video", "audio"})


class Entangled(Rater):
    """Every score depends on both tracks, whatever its dimension says; counts its passes and loads."""

    dimensions = (
        Dimension("heard", 0, 1, AV, streams={"audio"}),
        Dimension("seen", 0, 1, AV, streams=("video",)),
        Dimension("sync", 0, 1, AV),
        Dimension("mood", 0, 1, AV, streams=()),
        Dimension("clean", 0, 1, frozenset({"audio"})),
    )

    def __init__(self, name: str = "entangled") -> None:
        self.name, self.fingerprint = name, f"{name} 1"
        self.passes: list[tuple[bool, bool]] = []  # of each pass, whether video and audio had a gradient
        self.loads: list[Track] = []

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        self.loads.append(track)
        return clip.video if track == "video" else clip.sound()

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        tracks = [(s.tracks["video"], s.tracks["audio"]) for s in samples]
        self.passes.append((any(v.requires_grad for v, _ in tracks), any(a.requires_grad for _, a in tracks)))
        return Scores.collect([self.row(video, audio) for video, audio in tracks], self.dimensions)

    def row(self, video: Tensor, audio: Tensor) -> tuple[dict[str, Tensor], dict[str, str], dict[str, Any]]:
        value = (video.mean() + 2 * audio.square().mean()).tanh()
        return {d.name: (i + 1) * value for i, d in enumerate(self.dimensions)}, {}, {}


def joint(seed: int = 0, **options: Any) -> tuple[Clip, Tensor, Tensor]:
    """A clip of both tracks with gradients, and the tracks."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(4, 3, 16, 16, generator=generator, dtype=torch.float64).requires_grad_()
    audio = (torch.rand(1, 64, generator=generator, dtype=torch.float64) - 0.5).requires_grad_()
    return Clip(video=video, fps=8, audio=audio, sample_rate=16000, **options), video, audio


def moved(value: Tensor, *tracks: Tensor) -> list[bool]:
    """Which of the tracks a gradient of `value` moves at all; exactly zero counts as not at all."""
    if not value.requires_grad:
        return [False for _ in tracks]
    grads = torch.autograd.grad(value, tracks, retain_graph=True, allow_unused=True)
    return [gradient is not None and bool((gradient != 0).any()) for gradient in grads]


EXPECTED = {
    "heard": [False, True],
    "seen": [True, False],
    "sync": [True, True],
    "mood": [False, False],
    "clean": [False, True],
}


def test_streams_default_to_what_is_needed():
    assert Dimension("a", 0, 1, frozenset({"audio", "prompt"})).streams == {"audio"}
    assert Dimension("a", 0, 1, AV).streams == AV
    assert Dimension("overall", 0, 1, frozenset()).streams == AV  # made of what there is
    assert Dimension("a", 0, 1, AV, streams=()).streams == frozenset()
    assert Dimension("a", 0, 1, AV, streams="audio").streams == {"audio"}
    assert hash(Dimension("a", 0, 1, AV, streams=["audio"])) == hash(Dimension("a", 0, 1, AV, streams=("audio",)))


@pytest.mark.parametrize("streams", [("video",), "sound", {"prompt"}])
def test_streams_beyond_what_is_needed_are_refused(streams):
    with pytest.raises(ArgumentError, match=r"streams: expected some of the tracks that a needs \(audio\), got "):
        Dimension("a", 0, 1, frozenset({"audio", "prompt"}), streams=streams)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_score_moves_its_streams_alone(name):
    clip, *tracks = joint()
    rater = Entangled()
    assert moved(rater([clip])[name][0], *tracks) == EXPECTED[name]
    assert moved(rater[name]([clip])[0], *tracks) == EXPECTED[name]
    sample = rater.load(clip)
    assert moved(rater.rate([sample])[name][0], *tracks) == EXPECTED[name]


@pytest.mark.parametrize("name", ["heard", "seen", "sync"])
def test_gradients_into_streams_are_the_true_ones(name):
    """Finite differences see no detaching: along the streams they agree with the gradient."""
    clip, video, audio = joint()
    rater = Entangled()
    gradients = torch.autograd.grad(rater([clip])[name][0], [video, audio], allow_unused=True)

    def value(v: Tensor, a: Tensor) -> float:
        return float(rater([Clip(video=v, fps=8, audio=a, sample_rate=16000)])[name][0])

    for i, (track, gradient) in enumerate(zip(("video", "audio"), gradients, strict=True)):
        if track not in rater.dimension(name).streams:
            continue
        tensors = [video.detach(), audio.detach()]
        step = torch.randn(tensors[i].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1e-6
        ends = [[*tensors[:i], tensors[i] + sign * step, *tensors[i + 1 :]] for sign in (1, -1)]
        numeric = (value(*ends[0]) - value(*ends[1])) / 2
        assert float((gradient * step).sum()) == pytest.approx(numeric, rel=1e-5)


def test_values_are_the_same_with_and_without_gradients():
    clip, *_ = joint()
    rater = Entangled()
    with torch.no_grad():
        plain = rater([clip])
    assert torch.equal(rater([clip]).values, plain.values)
    assert rater([clip]).present.all()


def test_what_needs_no_gradient_is_one_pass():
    rater = Entangled()
    clip, video, audio = joint()
    with torch.no_grad():
        rater([clip])
    rater([both(0.2, 0.3)])  # gradients on, but none in the clip
    assert rater.passes == [(True, True), (False, False)]
    rater([Clip(video=video.detach(), fps=8, audio=audio, sample_rate=16000)])
    assert rater.passes[2:] == [(False, True), (False, False)]  # as it is, and without the audio's gradient


def test_a_rater_that_reads_what_it_needs_is_one_pass():
    class Honest(Toy):
        def reads(self, dimension: str | None = None) -> frozenset[str]:
            return super().reads() if dimension is None else self.dimension(dimension).tracks

    clip, *tracks = joint()
    rater = Honest()
    scores = rater([clip])
    assert rater.calls == [1]
    assert [moved(scores[name][0], *tracks) for name in ("power", "brightness", "overall")] == [
        [False, True],
        [True, False],
        [True, True],
    ]
    strict = Toy()
    strict([clip])
    assert strict.calls == [1, 1, 1]  # nothing is known of what a score reads


def test_a_reward_asks_for_the_passes_of_its_terms_alone():
    clip, *tracks = joint()
    rater = Entangled()
    value = rater["heard"]([clip])
    assert rater.passes == [(False, True)]
    assert torch.autograd.grad(value[0], tracks, allow_unused=True)[0] is None
    rewards = (rater["heard"] + rater["clean"]).evaluate([clip])
    assert rater.passes == [(False, True)] * 2
    assert rewards.scores["entangled"].present.all()  # the other scores are there, without a gradient
    assert moved(rewards.scores["entangled"]["sync"][0], *tracks) == [False, False]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda r: 0.5 * r["heard"] + 2 * r["clean"], [False, True]),
        (lambda r: r["heard"] * r["mood"], [False, True]),
        (lambda r: r["heard"] - r["seen"], [True, True]),
        (lambda r: minimum(r["seen"], r["mood"]), [True, False]),
        (lambda r: r["seen"] * r["seen"], [True, False]),
    ],
)
def test_rewards_keep_streams(build, expected):
    clip, *tracks = joint()
    assert moved(build(Entangled())([clip])[0], *tracks) == expected


def test_a_sum_moves_each_track_by_its_own_terms():
    """The video's gradient of heard + seen is that of seen alone."""
    clip, video, audio = joint()
    rater = Entangled()
    whole = torch.autograd.grad((rater["heard"] + rater["seen"])([clip])[0], [video, audio])
    alone = [
        torch.autograd.grad(rater[name]([clip])[0], track)[0] for name, track in (("seen", video), ("heard", audio))
    ]
    torch.testing.assert_close(list(whole), alone)


def test_streams_in_batches_that_share_tracks():
    clip, video, audio = joint()
    other, _, dub = joint(1)
    still = both(0.1, 0.2)  # no gradient at all
    shared = clip.with_audio(dub, 16000)
    rater = Entangled()
    scores = rater([clip, shared, other, still], batch_size=4)
    assert moved(scores["heard"][0], video, audio, dub) == [False, True, False]
    assert moved(scores["heard"][1], video, audio, dub) == [False, False, True]
    assert moved(scores["seen"][1], video, audio, dub) == [True, False, False]
    assert moved(scores["seen"][3], video, audio) == [False, False]
    for i, one in enumerate([clip, shared, other, still]):
        torch.testing.assert_close(scores.values[i], rater([one]).values[0])


def test_clips_share_a_track_in_each_pass():
    clip, *_ = joint()
    rater = Entangled()
    rater([clip, clip.with_audio(joint(1)[2], 16000)])
    assert len(rater.passes) == 4
    assert rater.loads.count("video") == 2  # with its gradient and without


def test_ensembles_keep_the_narrower_streams():
    class Loose(Entangled):
        dimensions = tuple(Dimension(d.name, 0, 1, d.needs) for d in Entangled.dimensions)

    clip, *tracks = joint()
    ensemble = EnsembleRater([Loose("loose"), Entangled("tight")])
    scores = ensemble([clip])
    assert [moved(scores[name][0], *tracks) for name in EXPECTED] == list(EXPECTED.values())
    assert scores.sigma is not None
    assert moved(scores.sigma[0, scores.column("heard")], *tracks)[0] is False


def test_a_mixin_and_an_override_are_enforced_once():
    class Doubled(Entangled):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            return super().rate(samples, work)

    class Mixed(Doubled):
        pass

    clip, *tracks = joint()
    for rater in (Doubled(), Mixed()):
        assert moved(rater([clip])["heard"][0], *tracks) == EXPECTED["heard"]
        assert len(rater.passes) == 4  # heard and clean, seen, sync, mood


def test_an_error_leaves_the_next_call_enforced():
    class Fails(Entangled):
        failing = True

        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            if self.failing:
                raise RuntimeError("no")
            return super().rate(samples, work)

    clip, *tracks = joint()
    rater = Fails()
    with pytest.raises(RuntimeError, match="no"):
        rater["heard"]([clip])
    rater.failing = False
    assert moved(rater([clip])["heard"][0], *tracks) == EXPECTED["heard"]


def test_second_derivatives_exist():
    clip, _, audio = joint()
    (gradient,) = torch.autograd.grad(Entangled()["heard"]([clip])[0], audio, create_graph=True)
    assert torch.autograd.grad(gradient.square().sum(), audio)[0].any()


def test_detached_clips_share_no_work_with_attached_ones():
    clip, video, audio = joint()
    cut = clip.detached(("video",))
    assert clip.requires_grad == AV
    assert cut.requires_grad == {"audio"}
    assert cut.work_key("video") != clip.work_key("video")
    assert cut.work_key("audio") == clip.work_key("audio")
    assert cut.work_key("video") == clip.detached().work_key("video")
    assert cut.detached().detached().requires_grad == frozenset()
    assert torch.equal(cut.video, video)
    assert clip.detached(()).requires_grad == AV
    # one tensor at two speeds is two videos
    assert Clip(video=video, fps=8).work_key("video") != Clip(video=video, fps=16).work_key("video")
    assert Clip(audio=audio, sample_rate=8000).work_key("audio") != clip.work_key("audio")


class Left(Entangled):
    def load_track(self, clip: Clip, track: Track) -> Tensor:
        return super().load_track(clip, track)


class Right(Entangled):
    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        scores = super().rate(samples, work)
        return replace(scores, values=10 * scores.values)


class Diamond(Left, Right):
    pass


class Rates:
    """A mixin that is no rater."""

    rate, row = Entangled.__dict__["rate"].__wrapped__, Entangled.row


class Tenfold(Rates):
    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        scores = super().rate(samples, work)
        return replace(scores, values=10 * scores.values)


class Plain(Entangled):
    """One without a `rate` of its own."""


class Mixed(Rates, Plain):
    pass


class MixedDiamond(Mixed, Tenfold):
    pass


@pytest.mark.parametrize(("made", "factor"), [(Plain, 1), (Diamond, 10), (Mixed, 1), (MixedDiamond, 10)])
def test_an_inherited_rate_keeps_its_place_and_its_streams(made, factor):
    clip, video, audio = joint()
    heard = made()([clip])["heard"]
    assert heard.item() == pytest.approx(factor * Entangled()([clip])["heard"].item())
    assert moved(heard.sum(), video, audio) == [False, True]
