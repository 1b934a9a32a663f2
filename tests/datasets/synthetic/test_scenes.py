import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avreward.datasets.synthetic.scenes import KINDS, Scene, scene
from avreward.errors import ArgumentError

STRUCK = ("bounce", "strike", "steps", "bursts", "keys")  # kinds whose events are separate contacts


def level(one: Scene, hop: float) -> Tensor:
    """RMS (dB) of the sound in steps of `hop` seconds."""
    audio, block = one.clip.audio.mean(0), round(hop * one.clip.sample_rate)
    return 10 * torch.log10(audio[: len(audio) // block * block].view(-1, block).square().mean(1) + 1e-9)


def motion(one: Scene) -> Tensor:
    """How much the most changed blocks change from frame to frame, camera motion taken off: (frames - 1,)."""
    blocks = functional.avg_pool2d(one.clip.video.mean(1, keepdim=True), 8)
    change = (blocks[1:] - blocks[:-1]).abs().flatten(1)
    return change.topk(max(4, change.shape[1] // 50), dim=1).values.mean(1) - change.median(1).values


def test_same_seed_same_scene() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first, second = scene(5, seconds=1.0), scene(5, seconds=1.0)
    assert first.kind == second.kind
    assert first.events == second.events
    assert torch.equal(first.clip.video, second.clip.video)
    assert torch.equal(first.clip.audio, second.clip.audio)
    assert torch.equal(torch.random.get_rng_state(), state)  # no global random numbers were drawn


def test_other_seed_other_scene() -> None:
    first, second = scene(5, "strike", seconds=1.0), scene(6, "strike", seconds=1.0)
    assert first.clip.video.shape != second.clip.video.shape or not torch.equal(first.clip.video, second.clip.video)


def test_kind_is_drawn_from_the_seed() -> None:
    assert len({scene(seed, seconds=0.5).kind for seed in range(12)}) >= 4


def test_formats_vary(scenes: list[Scene]) -> None:
    assert len({one.clip.fps for one in scenes}) >= 4
    assert len({one.clip.sample_rate for one in scenes}) >= 4
    assert len({one.clip.audio.shape[0] for one in scenes}) == 2
    assert len({one.clip.video.shape[-2:] for one in scenes}) >= 20


def test_finite_and_in_range(scenes: list[Scene]) -> None:
    for one in scenes:
        clip = one.clip
        assert clip.video.dtype == clip.audio.dtype == torch.float32
        assert torch.isfinite(clip.audio).all()
        assert clip.video.min() >= 0
        assert clip.video.max() <= 1
        steps = clip.video[::7] * 255
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        assert clip.audio.shape[-1] == 3 * clip.sample_rate
        assert clip.video.shape[0] == round(3 * clip.fps)
        assert list(one.events) == sorted(one.events)
        assert all(0 <= time < 3.0 for time in one.events)


def test_sound_is_clean(scenes: list[Scene]) -> None:
    for one in scenes:
        audio = one.clip.audio
        peak = audio.abs().max()
        assert 0.01 < peak < 0.9
        assert (audio.abs() > 0.999 * peak).float().mean() < 1e-3  # no plateau at a ceiling
        quiet = audio.abs().amax(0).unfold(0, 64, 64).amax(1) == 0
        assert not quiet.any()  # no stretch of digital silence: it would look like a drop-out
        assert -60 < 10 * math.log10(audio.square().mean()) < -8
        assert audio.mean().abs() < 0.01


def test_picture_is_clean(scenes: list[Scene]) -> None:
    for one in scenes:
        video = one.clip.video
        change = (video[1:] - video[:-1]).abs().mean(dim=(1, 2, 3))
        assert change.min() > 0, one.kind  # no frame repeats
        mean = video[..., ::6, ::6].flatten(1).median(1).values
        flicker = (mean[2:] - 2 * mean[1:-1] + mean[:-2]).abs().mean()  # what a slow change of light leaves out
        assert flicker < 0.01, one.kind
        assert 0.02 < video.mean() < 0.9
        assert video.std() > 0.02
        assert ((video <= 0) | (video >= 1)).float().mean() < 0.5


def test_events_are_heard(scenes: list[Scene]) -> None:
    for kind in STRUCK:
        rises, at_any_time = [], []
        for one in (each for each in scenes if each.kind == kind):
            loud = level(one, 0.01)
            loud = loud.clamp_min(loud.max() - 40)  # what noise does far below is not heard
            rise = loud[2:].unfold(0, 3, 1).amax(1) - loud[:-4]  # from 20 ms before a step to the loudest of 30 ms
            rises += [float(rise[int(time / 0.01) - 2]) for time in one.events if 0.02 < time < 2.9]
            at_any_time.append(float((rise > 3).float().mean()))
        # Where balls ring on, a weaker contact is drowned by the one before it.
        assert sum(rise > 3 for rise in rises) >= (0.6 if kind == "bounce" else 0.85) * len(rises), kind
        assert sum(at_any_time) / len(at_any_time) < 0.3, kind


def test_events_are_seen(scenes: list[Scene]) -> None:
    for kind in STRUCK:
        near, all_of_it = [], []
        for one in (each for each in scenes if each.kind == kind):
            moved, fps = motion(one), one.clip.fps
            near += [float(moved[max(0, int(t * fps) - 3) : int(t * fps) + 3].max()) for t in one.events if t < 2.9]
            all_of_it += moved.tolist()
        assert sum(near) / len(near) > 1.15 * sum(all_of_it) / len(all_of_it), kind


@pytest.mark.parametrize("kind", KINDS)
def test_sound_follows_motion(scenes: list[Scene], kind: str) -> None:
    """Motion and loudness agree best when nothing is shifted: half a second either way is clearly worse."""
    lags = range(-12, 13)
    total = torch.zeros(len(lags))
    for one in (each for each in scenes if each.kind == kind):
        hop = 0.05
        loud = level(one, hop).clamp_min(level(one, hop).max() - 40)
        heard = (loud[1:] - loud[:-1]).clamp_min(0) if kind in STRUCK else loud[1:]
        seen = functional.interpolate(motion(one)[None, None], size=len(heard), mode="linear")[0, 0].sqrt()
        heard, seen = (heard - heard.mean()) / heard.std(), (seen - seen.mean()) / seen.std()
        total += torch.stack([(heard * seen.roll(lag)).mean() for lag in lags])
    best = abs(int(total.argmax()) - 12) * 0.05
    assert best <= 0.2, total
    assert total[10:15].max() > 0.3


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match=r"^kind: expected one of bounce, .*, got 'nonsense'"):
        scene(1, "nonsense")
    with pytest.raises(ArgumentError, match=r"^seconds: expected a duration of 0\.5 s or more, got 0\.1"):
        scene(1, seconds=0.1)
