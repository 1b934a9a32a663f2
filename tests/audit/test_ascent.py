"""Gradient ascent from real clips, and how steady the gradient is."""

import pytest
import torch
from toy_raters import Reading, Toy

from avreward import Clip
from avreward.audit.ascent import PICTURE_STEP, SOUND_STEP, ascend, climb
from avreward.audit.gradient_noise import gradient_snr
from avreward.errors import ArgumentError


def real(power: float, brightness: float) -> Clip:
    video = torch.full((4, 3, 8, 8), brightness, dtype=torch.float64)
    audio = torch.full((1, 64), power**0.5, dtype=torch.float64)
    return Clip(video=video, fps=4, audio=audio, sample_rate=8000, prompt="a dog")


def test_steps_are_bounded_and_known() -> None:
    way = ascend(Toy()["brightness"], real(0.25, 0.5), held_out=-1 * Toy("other")["brightness"], steps=4)
    assert way.trained == pytest.approx([0.5 + k * PICTURE_STEP for k in range(5)])
    assert way.held_out == pytest.approx([-value for value in way.trained])
    sound = ascend(Toy()["power"], real(0.25, 0.5), steps=3)
    assert sound.trained == pytest.approx([(0.5 + k * SOUND_STEP) ** 2 for k in range(4)])
    assert sound.held_out == (None,) * 4


def test_values_stay_in_range_also_where_a_decoder_overshot() -> None:
    way = ascend(Toy()["brightness"], real(0.25, 1.0), steps=2)
    assert way.trained == pytest.approx([1.0] * 3)
    over = Clip(video=torch.full((4, 3, 8, 8), 1.2, dtype=torch.float64), fps=4)
    assert ascend(Toy()["brightness"], over, steps=2).trained == pytest.approx([1.2] * 3)
    assert ascend(-1 * Toy()["brightness"], over, steps=1).trained == pytest.approx([-1.2, -1.2 + PICTURE_STEP])


def test_reasons() -> None:
    assert ascend(Reading()["power"], real(0.25, 0.5)).reason == "not differentiable: toy.power"
    silent = ascend(Toy()["power"], real(0.0, 0.5))
    assert (silent.trained, silent.reason) == ((0.0,), "after step 0 the gradient is 0 everywhere")
    missing = ascend(Toy()["power"], Clip(video=torch.rand(2, 3, 8, 8), fps=4))
    assert (missing.trained, missing.reason) == ((), "toy.power: no audio was given")


def test_several_clips_and_how_far_another_reward_disagrees() -> None:
    clips = [real(0.25, 0.4), real(0.36, 0.5), real(0.0, 0.6)]
    held_out = Toy("other")["brightness"] * -2
    found = climb(Toy()["brightness"], clips, held_out=held_out, names=["a", "b", "c"], steps=2)
    assert found.trained == pytest.approx([0, PICTURE_STEP, 2 * PICTURE_STEP])
    assert found.gain.value == pytest.approx(2 * PICTURE_STEP)
    assert found.gain.sds == pytest.approx(2 * PICTURE_STEP / 0.1)
    assert found.held_out_gain.value == pytest.approx(-4 * PICTURE_STEP)
    assert found.disagreement == pytest.approx(4 * PICTURE_STEP / 0.1)  # one is up by 2/255/0.1, the other down by it
    assert found.opposed == 1.0
    wide = climb(Toy()["brightness"], clips, held_out=held_out, real=([0.0, 2.0], [0.0, 4.0]), steps=2)
    assert wide.gain.sds == pytest.approx(2 * PICTURE_STEP / 2**0.5)
    assert wide.held_out_gain.sds == pytest.approx(-4 * PICTURE_STEP / 8**0.5)
    alone = climb(Toy()["brightness"], clips, steps=2)
    assert (alone.held_out_gain, alone.disagreement, alone.opposed) == (None, None, None)
    none = climb(Reading()["power"], clips, steps=2)
    assert (none.gain, none.trained) == (None, (None,) * 3)


def test_a_linear_reward_has_a_steady_gradient_and_a_random_one_none() -> None:
    clip = real(0.25, 0.5)
    assert gradient_snr(Toy()["brightness"], clip)["video"] == float("inf")

    class Chaotic(Toy):
        def row(self, sample):
            values, reasons, basis = super().row(sample)
            values["brightness"] = torch.sin(1e6 * sample.tracks["video"]).mean()
            return values, reasons, basis

    found = gradient_snr(Chaotic()["brightness"], clip, draws=8)
    assert sorted(found) == ["video"]
    assert abs(found["video"]) < 0.05
    assert found == gradient_snr(Chaotic()["brightness"], clip, draws=8)
    assert found != gradient_snr(Chaotic()["brightness"], clip, draws=8, seed=1)
    with pytest.raises(ArgumentError, match=r"^draws: expected an integer of at least 2, got "):
        gradient_snr(Toy()["power"], clip, draws=1)


def test_the_figure_is_signal_over_noise() -> None:
    class Quadratic(Toy):
        """A gradient of 1 + 2·noise in each pixel: signal 1, noise 4σ²."""

        def row(self, sample):
            values, reasons, basis = super().row(sample)
            x = sample.tracks["video"] - 0.5
            values["brightness"] = (x + x.square()).sum()
            return values, reasons, basis

    found = gradient_snr(Quadratic()["brightness"], real(0.25, 0.5), draws=8)
    assert found["video"] == pytest.approx(255**2 / 4, rel=0.1)


def test_large_pictures_are_scaled_down_for_gradients(monkeypatch) -> None:
    monkeypatch.setattr("avreward.audit.probes.GRADIENT_BYTES", 12 * 4 * 16 * 32)
    sizes = []

    class Looking(Toy):
        def load_track(self, clip, track):
            sizes.append((clip.height, clip.width))
            return super().load_track(clip, track)

    clip = Clip(video=torch.rand(4, 3, 32, 64), fps=4, prompt="a dog")
    assert ascend(Looking()["brightness"], clip, steps=1).reason is None
    gradient_snr(Looking()["brightness"], clip, draws=2)
    assert set(sizes) == {(16, 32)}
