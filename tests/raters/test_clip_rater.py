"""Raters that are one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from toy_raters import AUDIO, VIDEO, picture, sound

from avreward import ArgumentError, Clip, ClipRater, Dimension, MediaError


class Level(ClipRater):
    """The mean of each track, and whether the prompt is long; counts its clips."""

    name, fingerprint = "level", "level 1"
    dimensions = (
        Dimension("loud", 0, 1, AUDIO),
        Dimension("bright", 0, 1, VIDEO),
        Dimension("wordy", 0, 1, frozenset({"prompt"})),
        Dimension("spoken", 0, 1, frozenset({"texts.speech"})),
    )

    def __init__(self) -> None:
        self.seen: list[Clip] = []

    def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
        self.seen.append(clip)
        found: dict[str, Any] = {}
        if clip.has_audio:
            found["loud"] = clip.audio.square().mean()
        if clip.has_video:
            found["bright"] = clip.video.mean()
        return found | {"wordy": len(clip.prompt or ""), "spoken": len(clip.texts.get("speech", ""))}


def both(level: float, **texts: Any) -> Clip:
    return Clip(video=picture(level).video, fps=8, audio=sound(level).audio, sample_rate=16000, **texts)


def test_scores_in_order() -> None:
    first = both(0.25, prompt="a b", texts={"speech": "hi"})
    scores = Level()([first, both(0.0625, prompt="ab", texts={"speech": "x"})])
    assert scores.values.tolist() == [[0.25, 0.25, 3, 2], [0.0625, 0.0625, 2, 1]]
    assert scores.reasons == [{}, {}]


def test_what_is_missing() -> None:
    rater = Level()
    scores = rater([sound(0.25), both(0.25, prompt=" \n", texts={"speech": " "})])
    assert scores.present.tolist() == [[True, False, False, False], [True, True, False, False]]
    assert scores.reasons[0] == {
        "bright": "no video was given",
        "wordy": "no prompt was given; pass prompt=… with the clip, or --prompt",
        "spoken": "no texts.speech was given; pass texts={'speech': …}, or a manifest with the column texts.speech",
    }
    assert scores.reasons[1].keys() == {"wordy", "spoken"}


def test_a_clip_that_lacks_everything_is_not_rated() -> None:
    class OnlyVideo(Level):
        dimensions = (Dimension("bright", 0, 1, VIDEO),)

    rater = OnlyVideo()
    assert rater.tracks == ("video",)
    assert not rater.prompt_anchored
    assert rater([sound(0.25)]).reasons == [{"bright": "no video was given"}]
    assert rater.seen == []


def test_what_it_needs_follows_from_the_dimensions() -> None:
    rater = Level()
    assert rater.tracks == ("video", "audio")
    assert rater.prompt_anchored


def test_clips_that_share_what_is_needed_share_the_scores() -> None:
    class OnlyVideo(Level):
        dimensions = (Dimension("bright", 0, 1, VIDEO),)

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return {"bright": super().rate_clip(clip)["bright"]}

    rater, silent = OnlyVideo(), picture(0.25)
    dubs = [silent.with_audio(sound(level).audio, 16000) for level in (0.1, 0.2, 0.3)]
    assert rater(dubs)["bright"].tolist() == [0.25] * 3
    assert len(rater.seen) == 1
    rater([picture(0.25), picture(0.5)])
    assert len(rater.seen) == 3


def test_prompts_are_not_shared() -> None:
    scores = Level()([both(0.25, prompt=text, texts={"speech": text}) for text in ("a", "bb")])
    assert scores["wordy"].tolist() == scores["spoken"].tolist() == [1, 2]


def test_a_clip_at_fault_is_missing_with_its_reason() -> None:
    class Failing(Level):
        dimensions = (Dimension("loud", 0, 1, AUDIO), Dimension("bright", 0, 1, VIDEO))

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            if clip.audio.abs().amax() > 0.9:
                raise MediaError(clip.name, "is too loud", "turn it down")
            return {"loud": clip.audio.mean()}

    scores = Failing()([sound(0.25), sound(1.0)])
    assert scores.reasons[1] == {"loud": "<tensor>: is too loud; turn it down", "bright": "no video was given"}
    assert scores.present.tolist() == [[True, False], [False, False]]
    assert Failing()([both(0.25)]).reasons == [{"bright": "level gave no score"}]


def test_a_damaged_file_is_missing(tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    both(0.25).save(path)
    clip = Clip.open(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    class Watching(ClipRater):
        name, fingerprint = "watching", "watching 1"
        dimensions = (Dimension("bright", 0, 1, VIDEO),)

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return {"bright": clip.video.mean()}

    [reasons] = Watching()([clip]).reasons
    assert "clip.mp4" in reasons["bright"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"lowd": 1}, "level.rate_clip: expected one of loud, bright, wordy, spoken, got 'lowd'; did you mean 'loud'"),
        (3, "level.rate_clip: expected a mapping of dimensions to scores, got 3"),
        ({"loud": torch.zeros(2)}, "level.loud: expected a tensor of one element, got a Tensor of shape .2,. and"),
        ({"loud": "much"}, "level.loud: expected a tensor of one element, or a number, got 'much'"),
    ],
)
def test_what_is_no_score(value, said) -> None:
    class Wrong(Level):
        def rate_clip(self, clip: Clip) -> Any:
            return value

    with pytest.raises(ArgumentError, match=said):
        Wrong()([sound(0.25)])


def test_values_that_are_not_finite_are_missing() -> None:
    class Odd(Level):
        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return {"loud": float("nan")}

    assert Odd()([sound(0.25)]).reasons[0]["loud"] == "the score is nan, not a finite number"


def test_gradients() -> None:
    wave = torch.linspace(-1, 1, 12, dtype=torch.float64)[None].requires_grad_()
    rater = type("Loud", (Level,), {"rate_clip": lambda self, clip: {"loud": clip.audio.square().mean()}})()

    def score(audio: torch.Tensor) -> torch.Tensor:
        return rater([Clip(audio=audio, sample_rate=16000)])["loud"]

    assert torch.autograd.gradcheck(score, (wave,))


def test_a_number_ends_the_gradient_and_says_so() -> None:
    class Number(Level):
        dimensions = (Dimension("loud", 0, 1, AUDIO),)

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return {"loud": 0.5}

    clip = Clip(audio=torch.zeros(1, 8, requires_grad=True), sample_rate=16000)
    with pytest.raises(ArgumentError, match=r"level\.loud: expected a tensor, got the number 0\.5 for a clip with"):
        Number()([clip])
    with torch.no_grad():
        assert Number()([clip])["loud"].tolist() == [0.5]
    blocked = Number()
    blocked.differentiable = False
    assert not blocked([clip]).values.requires_grad


def test_a_gradient_moves_the_named_streams_alone() -> None:
    class Sync(ClipRater):
        name, fingerprint = "sync", "sync 1"
        dimensions = (
            Dimension("both", 0, 1, AUDIO | VIDEO),
            Dimension("heard", 0, 1, AUDIO | VIDEO, streams=("audio",)),
        )

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return dict.fromkeys(("both", "heard"), clip.video.mean() * clip.audio.square().mean())

    clip = both(0.25)
    video, audio = clip.video.clone().requires_grad_(), clip.audio.clone().requires_grad_()
    joint = Clip(video=video, fps=8, audio=audio, sample_rate=16000)
    rater = Sync()
    heard = torch.autograd.grad(rater["heard"]([joint]).sum(), (video, audio), allow_unused=True)
    free = torch.autograd.grad(rater["both"]([joint]).sum(), (video, audio))
    assert heard[0] is None or not heard[0].any()
    torch.testing.assert_close(heard[1], free[1])
    assert free[0].any()


def test_a_text_alone_is_no_prompt() -> None:
    class Spoken(Level):
        dimensions = (Dimension("spoken", 0, 1, frozenset({"texts.speech"})),)

        def rate_clip(self, clip: Clip) -> Mapping[str, Any]:
            return {"spoken": len(clip.texts["speech"])}

    assert not Spoken().prompt_anchored
    assert Spoken()([both(0.25, texts={"speech": "abc"})])["spoken"].tolist() == [3]


def test_a_complex_score_is_missing_with_a_reason() -> None:
    class Root(ClipRater):
        name, fingerprint, dimensions = "root", "root 1", (Dimension("root", 0, 1, AUDIO),)

        def rate_clip(self, clip: Clip) -> dict[str, Any]:
            value = clip.audio.sum()
            return {"root": value if value > 0 else value.to(torch.complex64).sqrt()}

    negative = Clip(audio=torch.full((1, 8), -0.5), sample_rate=16000)
    scores = Root()([sound(0.25), negative])
    assert scores.present.tolist() == [[True], [False]]
    assert "root.root: expected a real tensor, got one of torch.complex64; take its .real" in scores.reasons[1]["root"]
    with pytest.raises(ArgumentError, match="expected a real tensor"):
        Root()([negative])
