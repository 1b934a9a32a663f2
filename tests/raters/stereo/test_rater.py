"""`signals.stereo`: the side of a sound against the side of motion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avreward import Clip, list_raters, load_rater
from avreward.raters import StereoRater

RATE = 16000


def square(places: Tensor, width: int = 64) -> Tensor:
    """A bright square at `places` (frames,), −1 … 1, on a faint texture."""
    base = 0.1 * torch.rand(3, 32, width, generator=torch.Generator().manual_seed(3))
    columns = torch.arange(width) - (places[:, None] + 1) / 2 * (width - 12) - 6
    inside = torch.sigmoid(5 - columns.abs())[:, None, None, :] * (torch.arange(32)[:, None].sub(16).abs() < 5)
    return base + 0.8 * inside


def noise(seconds: float, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def clip_of(level: float = 6.0, samples_late: int = 0, seconds: float = 2.0, **changes) -> Clip:
    """A square that goes right and back, with noise that follows it in level (dB a side) or by a fixed lag."""
    frames = round(12 * seconds)
    sound = noise(seconds)
    place = torch.sin(2 * torch.pi * torch.arange(len(sound)) / len(sound))
    gains = [10 ** (sign * level * place / 40) for sign in (-1, 1)]
    ears = torch.stack([gain * sound for gain in gains])
    if samples_late:  # the far ear hears it later
        late = sound.roll(samples_late)
        right = (place > 0).float()
        ears = torch.stack([late * right + sound * (1 - right), sound * right + late * (1 - right)])
    video = square(torch.sin(2 * torch.pi * torch.arange(frames) / frames))
    return Clip(**{"video": video, "fps": 12, "audio": ears, "sample_rate": RATE, **changes})


def mirrored(clip: Clip) -> Clip:
    return clip.with_audio(clip.audio.flip(0), clip.sample_rate)


@pytest.mark.parametrize("cue", [{"level": 6.0}, {"level": 0.0, "samples_late": 6}])
def test_the_side_is_heard_by_level_and_by_time(cue) -> None:
    scores = StereoRater()([clip := clip_of(**cue), mirrored(clip)])
    assert scores.present.all()
    assert scores["panning"][0] > 0.6
    torch.testing.assert_close(scores.values[0], -scores.values[1], atol=1e-4, rtol=0)
    by_level, by_time = scores["level_panning"][0], scores["time_panning"][0]
    assert (by_level > 0.6 and by_time.abs() < 0.2) if "samples_late" not in cue else by_time > 0.6


def test_sound_without_a_side_of_its_own_is_near_zero() -> None:
    ears = torch.stack([noise(2.0, 1), noise(2.0, 2)])
    assert StereoRater()([clip_of(audio=ears)])["panning"].abs() < 0.25


def test_what_stays_on_one_side_counts_and_the_balance_of_a_recording_alone_does_not() -> None:
    there = square(0.7 + 0.05 * torch.sin(torch.arange(24.0)))
    right = torch.stack([0.4 * noise(2.0), noise(2.0)])
    aside, balance = StereoRater()([clip_of(video=there, audio=right), clip_of(audio=right)])["panning"]
    assert aside > 0.4
    assert balance.abs() < 0.2


MONO = noise(2.0)[None]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"audio": MONO}, "the audio is mono: it has no sides"),
        ({"audio": MONO.expand(2, -1)}, "both channels are the same"),
        ({"audio": torch.zeros(2, 32000)}, "the audio is silent throughout"),
        ({"audio": None, "sample_rate": None}, "no audio was given"),
        ({"video": None, "fps": None}, "no video was given"),
        ({"video": square(torch.zeros(24))}, "nothing moves"),
        ({"video": square(torch.zeros(2))}, "fewer than 3 frames"),
        ({"audio": clip_of().audio[:, :4000]}, "less than 0.5 s in common"),
    ],
    ids=["mono", "equal channels", "silence", "no audio", "no video", "still", "two frames", "short"],
)
def test_clips_without_sides_are_missing_with_a_reason(changes, why) -> None:
    scores = StereoRater()([clip_of(**changes), clip_of()])
    assert scores.present.tolist() == [[False] * 3, [True] * 3]
    assert all(why in reason for reason in scores.reasons[0].values())


def test_neighbours_do_not_matter_and_later_parts_are_not_rated() -> None:
    rater, clip = StereoRater(), clip_of()
    torch.testing.assert_close(rater([mirrored(clip), clip]).values[1], rater([clip]).values[0])
    tail = torch.cat([clip.audio, clip.audio.flip(0).repeat(1, 15)], 1)
    long = Clip(video=clip.video.repeat(16, 1, 1, 1), fps=12, audio=tail, sample_rate=RATE)
    cut = Clip(video=long.video[:360], fps=12, audio=tail[:, : 30 * RATE], sample_rate=RATE)
    torch.testing.assert_close(rater([long])["panning"], rater([cut])["panning"], atol=1e-3, rtol=0)


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    rater = StereoRater()
    clip = clip_of(seconds=0.8)
    video, audio = clip.video[:, :, 10:22:4, ::6].double(), clip.audio.double()
    joined = torch.cat([video.flatten(), audio.flatten()])

    def scored(both: Tensor) -> Tensor:
        frames, wave = both[: video.numel()].reshape(video.shape), both[video.numel() :].reshape(audio.shape)
        return rater([Clip(video=frames, fps=12, audio=wave, sample_rate=RATE)]).values[0]

    check_gradient(scored, joined)


def test_descent_on_the_balance_brings_the_sound_to_the_side_of_the_motion() -> None:
    clip = clip_of(level=0.0)
    pan = torch.zeros(32000, requires_grad=True)
    for _ in range(20):
        ears = torch.stack([(1 - pan) * noise(2.0), (1 + pan) * noise(2.0, 0) + 0.02 * noise(2.0, 5)])
        score = StereoRater()([clip.with_audio(ears, RATE)])["panning"].sum()
        (slope,) = torch.autograd.grad(score, pan)
        pan = (pan + 0.05 * slope.sign()).clamp(-0.8, 0.8).detach().requires_grad_()
    assert score > 0.7


def test_it_is_loaded_by_name_and_signals_is_as_it_was() -> None:
    rater = load_rater("signals.stereo")
    assert isinstance(rater, StereoRater)
    assert "signals.stereo" in repr(list_raters("signals*"))
    assert "panning" not in [dimension.name for dimension in load_rater("signals").dimensions]
    assert rater["panning"]([clip_of()]) > 0.6
