import pytest
import torch
from signal_inputs import motion, noise
from torch.nn.functional import adaptive_avg_pool2d

from avreward.raters.signals import _motion as measure
from avreward.raters.signals import _video
from avreward.raters.signals._gates import hard, soft


def moving(count=50, speed=1.0, size=(48, 80)):
    """A soft pattern that drifts `speed` pixels a frame (frames, h, w)."""
    y, x = torch.meshgrid(*(torch.arange(s, dtype=torch.float64) for s in size), indexing="ij")
    return torch.stack(
        [0.5 + 0.3 * torch.sin((x - speed * k) / 6) * torch.cos((y + 0.4 * speed * k) / 9) for k in range(count)]
    )


def test_flicker_is_the_deviation_of_the_mean_from_its_neighbours():
    steady = moving()
    gain = 1 + 0.04 * noise(50)[:, None, None]
    assert float(measure.flicker(motion(steady), soft)) < 0.3
    # deviation from the neighbours' mean: √1.5 of the standard deviation of 0.04 · 0.5 · 255
    assert float(measure.flicker(motion(steady * gain), soft)) == pytest.approx(0.04 * 0.5 * 255 * 1.5**0.5, rel=0.35)
    fade = steady * torch.linspace(0.5, 1, 50)[:, None, None]
    assert float(measure.flicker(motion(fade), soft)) < 0.3


@pytest.mark.parametrize("gate", [soft, hard])
def test_frozen_is_the_share_of_time_in_holds(gate):
    order = torch.arange(50)
    order[10:20] = 10  # nine steps of 49 are still
    assert float(measure.frozen(motion(moving()), gate)) < 3
    assert float(measure.frozen(motion(moving()[order]), gate)) == pytest.approx(100 * 9 / 49, abs=2)
    assert float(measure.frozen(motion(moving(1).expand(50, -1, -1)), gate)) > 97


def test_a_slow_but_steady_rate_is_no_freeze():
    held = moving(60)[torch.arange(60) // 6 * 6]  # five pictures a second in thirty frames
    assert float(measure.frozen(motion(held, fps=30), soft)) < 5
    assert float(measure.frozen(motion(moving(20, speed=5), fps=5), soft)) < 5
    assert float(measure.dropped(motion(moving(20), fps=5), hard)) == 0


def test_dropped_frames_are_gaps_of_the_time_stamps():
    times = torch.arange(50, dtype=torch.float64) / 25
    times[20:] += 0.4  # ten frames are gone
    lost = float(measure.dropped(motion(moving(), times=times), hard))
    assert lost == pytest.approx(100 * 0.4 / float(times[-1]), rel=0.01)


def test_jerkiness_and_disorder_rise_when_frames_are_shuffled():
    smooth = motion(moving(48))
    generator = torch.Generator().manual_seed(0)
    jerk, mess = [], []
    for window in (1, 2, 4, 8):
        order = torch.cat([s + torch.randperm(window, generator=generator) for s in range(0, 48, window)])
        shuffled = motion(moving(48)[order])
        jerk.append(float(measure.jerkiness(shuffled, soft)))
        mess.append(float(measure.disorder(shuffled, soft)))
    assert jerk[0] == float(measure.jerkiness(smooth, soft))
    assert jerk[0] < min(jerk[1:]) - 3
    assert mess == sorted(mess)


def test_uneven_time_stamps_of_smooth_motion_are_no_jerk():
    steps = torch.rand(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    at = steps.cumsum(0)
    luma = torch.cat([moving(1, speed=0)] * 80) + 0.005 * at[:, None, None]
    assert float(measure.jerkiness(motion(luma, times=at / 25), soft)) < -3


def test_dynamic_degree_is_speed_whatever_the_contrast_and_the_frame_rate():
    slow, fast = (float(measure.dynamic_degree(motion(moving(speed=s)), soft)) for s in (0.3, 0.9))
    assert fast == pytest.approx(3 * slow, rel=0.1)
    pale = 0.5 + 0.3 * (moving(speed=0.9) - 0.5)
    assert float(measure.dynamic_degree(motion(pale), soft)) == pytest.approx(fast, rel=0.1)
    half_rate = motion(moving(speed=0.9)[::2], fps=12.5)
    assert float(measure.dynamic_degree(half_rate, soft)) == pytest.approx(fast, rel=0.1)
    assert float(measure.dynamic_degree(motion(moving(1).expand(20, -1, -1)), soft)) < 0.1


def test_the_course_is_the_same_for_some_frames_at_a_time():
    luma = torch.rand(23, 20, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    luma[5:9] = luma[5]
    course = motion(luma.clone().requires_grad_()).course  # all at once
    whole, blocks = course.whole, course.blocks
    assert float(whole.detach()[6]) == pytest.approx(0, abs=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        for together in (1, 3, 22, 23):
            patch.setattr(_video, "IN_CACHE", together * 20 * 30)
            for found, expected in zip(motion(luma).course, course, strict=True):
                torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(course.mean, luma.mean((1, 2)))
    torch.testing.assert_close(course.coarse, adaptive_avg_pool2d(luma, (5, 7)))
    assert blocks.shape == (22, 6, 8)
    moved = whole.detach() > 1e-6
    assert int(moved.sum()) == 19
    assert float((blocks.mean((1, 2)) / whole).detach()[moved].sub(1).abs().max()) < 0.1


def test_levels_have_the_course_of_floats():
    rgb = torch.randint(0, 256, (23, 3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_video, "IN_CACHE", 5 * 20 * 30)
        levels = motion(rgb).course
    floats = motion(_video.to_luma(rgb.double() / 255)).course
    for found, expected in zip(levels, floats, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-7)


def test_one_frame_has_no_change():
    course = motion(torch.rand(1, 20, 30)).course
    assert [len(part) for part in course] == [1, 1, 0, 0]
