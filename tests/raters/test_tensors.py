"""`Rater.score`: batched tensors in, one differentiable score a sample out."""

from __future__ import annotations

import pytest
import torch
from toy_raters import AUDIO, Reading, Toy

from avreward import ArgumentError, Clip, load_rater
from avreward.raters.scores import Dimension
from avreward.rewards.results import MissingScore


def video(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def audio(batch: int = 2, channels: int = 1, samples: int = 64) -> torch.Tensor:
    return torch.rand(batch, channels, samples, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5


def test_scores_are_those_of_clips():
    frames, waves = video(), audio(channels=2)
    found = Toy().score(video=frames, audio=waves, fps=8, sample_rate=16000, dimension="power")
    clips = [Clip(video=v, fps=8, audio=a, sample_rate=16000) for v, a in zip(frames, waves, strict=True)]
    assert torch.equal(found, Toy()(clips)["power"])
    assert torch.equal(Toy().score(video=frames, fps=8), Toy()([Clip(video=v, fps=8) for v in frames])["overall"])


def test_gradients_reach_each_sample():
    frames, waves = video().requires_grad_(), audio(samples=8000).requires_grad_()
    rater = load_rater("signals")
    scores = rater.score(video=frames.float(), audio=waves, fps=8, sample_rate=16000, dimension="audio_quality")
    assert scores.shape == (2,)
    (gradient,) = torch.autograd.grad(scores[0], waves, retain_graph=True)
    assert gradient[0].any()
    assert not gradient[1].any()
    assert not torch.autograd.grad(scores.sum(), frames)[0].any()  # the video is not the audio's to move


def test_the_only_dimension_needs_no_name():
    class Single(Toy):
        dimensions = (Dimension("power", 0, 1, AUDIO), Dimension("peak", 0, 1, AUDIO, detail=True))

    waves = audio()
    torch.testing.assert_close(Single().score(audio=waves, sample_rate=16000), waves.square().mean((1, 2)))
    with pytest.raises(ArgumentError, match=r"dimension: expected one of faithful, power, got None; .*pass one"):
        Reading().score(audio=waves, sample_rate=16000)
    with pytest.raises(KeyError, match="did you mean 'power'"):
        Single().score(audio=waves, sample_rate=16000, dimension="powr")


def test_prompts_are_those_of_the_samples():
    class Length(Toy):
        dimensions = (Dimension("length", 0, 99, frozenset({"prompt"})),)

        def row(self, sample):
            return {"length": torch.tensor(float(len(sample.clip.prompt)))}, {}, {}

    given = {"audio": audio(), "sample_rate": 16000}
    assert Length().score(prompts=["a", "bcd"], **given).tolist() == [1, 3]
    assert Length().score(prompts="ab", **given).tolist() == [2, 2]


def test_a_missing_score_is_an_error_that_says_why():
    with pytest.raises(MissingScore, match="no audio was given"):
        Toy().score(video=video(), fps=8, dimension="power")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "video: expected a batch of video, of audio, or both, got neither"),
        (
            {"video": video()[0], "fps": 8},
            r"video: expected .*, got a Tensor .*; for one video pass video\[None\]",
        ),
        ({"video": video().transpose(1, 2), "fps": 8}, r"video: expected a tensor \(batch, frames, 3, height, width\)"),
        ({"video": [1, 2], "fps": 8}, r"video: expected a tensor .*, got \[1, 2\]"),
        ({"video": video()}, "fps: expected the frames per second of video, a positive number, got None"),
        ({"video": video(), "fps": -1}, "fps: .*got -1"),
        ({"video": video(), "fps": "8"}, "fps: .*got '8'"),
        ({"video": video(), "fps": float("nan")}, "fps: .*got nan"),
        ({"audio": audio()}, "sample_rate: expected the samples per second of audio, a positive number, got None"),
        ({"audio": audio()[:, 0], "sample_rate": 16000}, r"audio: expected .*; for mono pass audio\[:, None\]"),
        ({"audio": audio()[0, 0], "sample_rate": 16000}, r"audio: expected a tensor \(batch, channels, samples\), got"),
        ({"audio": audio(), "sample_rate": 16000, "fps": 8}, "fps: expected nothing without video, got 8"),
        ({"video": video(), "fps": 8, "sample_rate": 8000}, "sample_rate: expected nothing without audio, got 8000"),
        (
            {"video": video(), "fps": 8, "audio": audio(3), "sample_rate": 16000},
            r"audio: expected as many samples as video \(2\), got 3",
        ),
        ({"video": video(), "fps": 8, "prompts": ["a"]}, r"prompts: expected one a sample \(2\), got 1"),
        ({"video": video(), "fps": 8, "prompts": [1, 2]}, r"prompts: expected a text, .*, got \[1, 2\]"),
    ],
)
def test_wrong_arguments_are_named(given, says):
    with pytest.raises(ArgumentError, match=says):
        Toy().score(**given)
