"""Degenerate inputs: what they replace, that they keep the shape of the real clip, and that a seed decides them."""

import pytest
import torch

from avreward.audit.inputs import PROBES, Probe, ProbeNotApplicable
from avreward.clip import Clip


def real(seed: int = 0, **texts) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    times = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5])
    video = 0.2 + 0.6 * torch.rand(5, 3, 16, 20, generator=generator)
    audio = 0.1 * torch.randn(2, 800, generator=generator)
    return Clip(video=video, times=times, audio=audio, sample_rate=8000, **texts)


OTHER = real(1, prompt="rain", texts={"sound": "rain on a roof"})


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_the_shape_is_that_of_the_real_clip(probe: Probe) -> None:
    clip = real(prompt="a dog")
    made = probe.apply(clip, 3, OTHER)
    assert made.video.shape == clip.video.shape
    assert torch.equal(made.times, clip.times)
    assert (made.sample_rate, made.sound().shape) == (8000, (2, 800))
    assert 0 <= made.video.min() <= made.video.max() <= 1
    assert made.sound().abs().max() <= 1
    kept = {"video": torch.equal(made.video, clip.video), "audio": torch.equal(made.sound(), clip.sound())}
    kept["prompt"] = made.prompt == clip.prompt
    assert {name for name, same in kept.items() if not same} == set(probe.replaces)


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_a_seed_states_it(probe: Probe) -> None:
    clip = real(prompt="a dog")
    first, again, other = (probe.apply(clip, seed, OTHER) for seed in (3, 3, 4))
    assert torch.equal(first.video, again.video)
    assert torch.equal(first.sound(), again.sound())
    if probe.name.startswith("mixture"):
        assert not torch.equal(first.video, other.video)
        assert not torch.equal(first.sound(), other.sound())


def test_mixtures_of_another_name_are_others() -> None:
    assert not torch.equal(PROBES["mixture 1"].apply(real()).video, PROBES["mixture 2"].apply(real()).video)


def test_what_they_are() -> None:
    clip = real()
    made = {name: probe.apply(clip, 0, OTHER) for name, probe in PROBES.items() if name != "swapped prompt"}
    assert made["silence"].sound().abs().max() == 0
    assert made["black"].video.max() == 0
    assert made["one colour"].video.std((0, 2, 3)).max() < 1e-6
    assert torch.equal(made["frozen"].video, clip.video[2].expand(5, -1, -1, -1))
    assert torch.equal(made["flicker"].video[0], clip.video[0])
    torch.testing.assert_close(made["flicker"].video[1], clip.video[1] / 3)
    assert set(made["checkerboard"].video.unique().tolist()) == {0.0, 1.0}
    assert (made["saturation"].video.sub(0.5).abs() > 0.49).float().mean() > 0.5
    assert (made["loud"].sound().abs() == 1).float().mean() > 0.8
    assert made["noise sound"].sound().square().mean().item() == pytest.approx(0.01, rel=0.1)
    spectrum = torch.fft.rfft(made["shrill"].sound()[0]).abs()
    assert int(spectrum.argmax()) == 360  # 0.9 of the Nyquist frequency's 400
    powers = [float(one.sound().square().mean()) for one in (made["swapped sound"], clip)]
    assert powers[0] == pytest.approx(powers[1], rel=1e-4)
    assert torch.equal(made["frozen + silence"].video, made["frozen"].video)


def test_prompts_are_swapped_with_their_texts() -> None:
    made = PROBES["swapped prompt"].apply(real(prompt="a dog", texts={"sound": "barking"}), 0, OTHER)
    assert (made.prompt, dict(made.texts)) == ("rain", {"sound": "rain on a roof"})


@pytest.mark.parametrize(
    ("name", "clip", "other", "why"),
    [
        ("silence", Clip(video=real().video, fps=8), None, "no audio to replace"),
        ("black + silence", Clip(audio=real().sound(), sample_rate=8000), None, "no video to replace"),
        ("swapped sound", real(), None, "no other clip has audio"),
        ("swapped sound", Clip(video=real().video, fps=8), OTHER, "no audio to swap"),
        ("swapped prompt", real(), OTHER, "no prompt to swap"),
        ("swapped prompt", real(prompt="rain"), OTHER, "no other clip has another prompt"),
    ],
)
def test_what_a_clip_lacks_is_said(name, clip, other, why) -> None:
    with pytest.raises(ProbeNotApplicable, match=why):
        PROBES[name].apply(clip, 0, other)
