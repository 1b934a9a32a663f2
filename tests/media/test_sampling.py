"""Frame rules against the tables of the originals, and what holds for every clip."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from golden_sizes import dover_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import ArgumentError, MediaError
from avreward.media.sampling import AllFrames, FramePlan, FrameRule, Spread, Windows, duration, on_display, slack
from avreward.media.sampling_rules import (
    AgavRaterFrames,
    AigvAssessorFrames,
    CentredClip,
    DoverFrames,
    PerSecond,
    QwenFrames,
    SlowPathway,
    UniformFrames,
)

RULES: list[FrameRule] = [
    AllFrames(),
    Windows(seconds=0.5, most=3),
    Windows(seconds=1.0, most=1),
    Spread(8),
    PerSecond(1.0),
    PerSecond(2.5),
    QwenFrames(),
    QwenFrames(rate=1.0, nearest=True),
    AgavRaterFrames(),
    AigvAssessorFrames(),
    AigvAssessorFrames(bound=(0.5, 2.0)),
    CentredClip(),
    UniformFrames(1),
    UniformFrames(32),
    SlowPathway(UniformFrames(32)),
    SlowPathway(Spread(3)),
    DoverFrames(),
    DoverFrames(length=1, segments=32),
]


def stamps(frames: int, fps: float = 24.0) -> Tensor:
    return torch.arange(frames, dtype=torch.float64) / fps


# ---- the originals


@pytest.mark.golden("dover.rows")
def test_dover(golden) -> None:
    for row in golden.data["dover"]["rows"]:
        for name, view in dover_frames(golden.data["dover"]).items():
            rule = replace(view, offsets=tuple(row[name]["offsets"]))
            golden.same(rule(stamps(row["total_frames"])).tolist(), row[name]["indices"])


@pytest.mark.golden("dover.other_parameters")
def test_dover_with_other_parameters(golden) -> None:
    for row in golden.data["dover"]["other_parameters"]:
        offsets = tuple(offset for drawn in row["offsets"] for offset in drawn)
        rule = DoverFrames(row["fsize_t"], row["fragments_t"], row["frame_interval"], row["num_clips"], offsets)
        golden.same(rule(stamps(row["total_frames"])).tolist(), row["indices"])


@pytest.mark.golden("dover.rows")
def test_dover_draws_from_the_range_of_the_original(golden) -> None:
    generator = torch.Generator().manual_seed(0)
    for row in golden.data["dover"]["rows"]:
        for name, rule in dover_frames(golden.data["dover"]).items():
            low, high = row[name]["draw"] or (0, 1)
            frames = row["total_frames"]
            offsets = [offset for _ in range(20) for offset in rule.drawn(frames, generator).offsets]
            assert min(offsets) >= low
            assert max(offsets) < high
            middle = int(rule(stamps(frames))[0])
            assert low <= middle < high


@pytest.mark.golden("aigv_assessor.rows")
def test_aigv_assessor(golden) -> None:
    table = golden.data["aigv_assessor"]
    for row in table["rows"]:
        rule = AigvAssessorFrames(len(row["indices"]))
        golden.same(rule(stamps(row["total_frames"])).tolist(), row["indices"])
    for row in table.get("with_bound", []):
        rule = AigvAssessorFrames(len(row["indices"]), bound=tuple(row["bound_seconds"]))
        golden.same(rule(stamps(row["total_frames"], row["fps"])).tolist(), row["indices"])


@pytest.mark.golden("aigveval.rows")
def test_aigveval(golden) -> None:
    interval = int(re.search(r"frame_interval (\d+)", golden.data["aigveval"]["rule"])[1])
    for row in golden.data["aigveval"]["rows"]:
        times, count = stamps(row["total_frames"]), len(row["clip_test"])
        golden.same(CentredClip(count, interval)(times).tolist(), row["clip_test"])
        trained = CentredClip(count, interval, row["clip_train_offset"][0])
        golden.same(trained(times).tolist(), row["clip_train"])
        for name in row:
            if name.startswith("uniform"):
                golden.same(UniformFrames(int(name.removeprefix("uniform")))(times).tolist(), row[name])


@pytest.mark.golden("pack_pathway.rows")
def test_slow_pathway(golden) -> None:
    for row in golden.data["pack_pathway"]["rows"]:
        golden.same(SlowPathway(AllFrames())(stamps(row["fast_frames"])).tolist(), row["slow_indices"])


@pytest.mark.golden("frame_index_table")
def test_agav_rater(golden) -> None:
    for row in golden.data["frame_index_table"]:
        golden.same(AgavRaterFrames(row["wanted"])(stamps(row["frames"])).tolist(), row["indices"])


@pytest.mark.golden("frame_table")
def test_qwen_frames_of_videoreward(golden) -> None:
    for row in golden.data["frame_table"]:
        if row["indices"] is not None:
            rule = QwenFrames(rate=2.0, nearest=True)
            golden.same(rule(stamps(row["frames"], row["fps"])).tolist(), row["indices"])


def test_qwen_frames_are_rounded_down_today() -> None:
    times = stamps(110, 20.0)  # 5.5 s: eleven frames at 2 fps
    assert len(QwenFrames(rate=2.0)(times)) == 10
    assert len(QwenFrames(rate=2.0, nearest=True)(times)) == 12
    assert len(QwenFrames(rate=1.0)(stamps(30, 10.0))) == 4  # the least
    assert len(QwenFrames(rate=2.0, most=7)(times)) == 6
    assert QwenFrames()(stamps(1)).tolist() == [0, 0]


# ---- every rule, every clip


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    frames=st.integers(1, 400),
    fps=st.sampled_from([1.0, 7.5, 8.0, 23.976, 24.0, 25.0, 29.97, 30.0, 59.94, 120.0]),
    late=st.sampled_from([0.0, 0.25, 3.0]),
)
def test_rules_stay_within_the_clip(rule: FrameRule, frames: int, fps: float, late: float) -> None:
    times = stamps(frames, fps) + late
    indices = rule(times)
    assert indices.dtype == torch.int64
    assert indices.ndim == 1
    assert len(indices) > 0
    assert 0 <= int(indices.min()) <= int(indices.max()) < frames
    assert torch.equal(indices, rule(times))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_are_named_in_full_and_refuse_nothing_to_see(rule: FrameRule) -> None:
    assert eval(repr(rule)) == rule
    with pytest.raises(MediaError, match="times"):
        rule(torch.zeros(0, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 300), count=st.integers(1, 64), fps=st.sampled_from([8.0, 23.976, 24.0, 30.0]))
def test_spread_is_even(frames: int, count: int, fps: float) -> None:
    indices = Spread(count)(stamps(frames, fps))
    assert len(indices) == min(count, frames)
    steps = indices.diff()
    if len(indices) > 1:
        assert int(steps.min()) >= 1
        assert int(steps.max() - steps.min()) <= 1
        assert abs(int(indices[0]) - int(frames - 1 - indices[-1])) <= 1


def test_spread_goes_by_time_not_by_number() -> None:
    times = torch.cat(
        [torch.arange(90) * 0.01, torch.arange(10) + 1.0]
    ).double()  # 90 frames in the first of ten seconds
    assert Spread(10)(times).tolist() == [50, *range(90, 99)]


def test_windows_keep_the_frame_rate_and_touch_both_ends() -> None:
    times = stamps(24 * 60)
    assert torch.equal(Windows(2.0, 30)(times), torch.arange(len(times)))
    indices = Windows(2.0, 4)(times)
    assert len(indices) == 4 * 48
    assert indices[0] == 0
    assert indices[-1] == len(times) - 1
    assert (indices.diff() != 1).sum() == 3
    middle = Windows(2.0, 1)(times)
    assert middle.tolist() == list(range(29 * 24, 31 * 24))


def test_windows_of_a_slide_show_are_not_empty() -> None:
    assert Windows(1.0, 3)(torch.tensor([0.0, 40.0, 80.0]).double()).tolist() == [0, 1, 2]


@pytest.mark.parametrize("fps", [12.0, 23.976, 24.0, 25.0, 29.97, 30.0, 59.94])
@pytest.mark.parametrize("stamp", [1e-12, 1e-3], ids=["exact", "milliseconds"])
def test_per_second_is_the_frame_at_each_second(fps: float, stamp: float) -> None:
    frames = round(fps * 7.4)
    times = (stamps(frames, fps) / stamp).round() * stamp
    assert PerSecond(1.0)(times).tolist() == [int(i * fps) for i in range(int(frames / fps))]


def test_duration_and_display() -> None:
    assert duration(torch.tensor([2.0]).double()) == 0.0
    assert duration(stamps(48)) == pytest.approx(2.0)
    times = torch.tensor([0.5, 1.0, 2.0]).double()
    assert on_display(times, torch.tensor([0.0, 0.7, 1.0, 9.0]).double()).tolist() == [0, 0, 1, 2]


# ---- plans


def test_a_time_stamp_may_be_half_a_millisecond_late() -> None:
    """Matroska rounds 1/24 s = 41.67 ms to 42 ms: at 41.67 ms that frame is on display, though its stamp is later."""
    exact = torch.arange(8, dtype=torch.float64) / 24
    rounded = (exact * 1000).round() / 1000
    assert on_display(rounded, exact).tolist() == list(range(8))
    assert on_display(rounded, rounded - 6e-4).tolist() == [0, 0, 1, 2, 3, 4, 5, 6]  # more is not forgiven


def test_the_slack_is_smaller_for_very_high_rates() -> None:
    times = torch.arange(5, dtype=torch.float64) / 1000
    assert slack(times) == pytest.approx(0.00025)
    assert on_display(times, times - 0.0004).tolist() == [0, 0, 1, 2, 3]
    assert slack(stamps(5)) == pytest.approx(0.0005)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000), limit=st.integers(1, 2000))
def test_plans_of_every_size(height: int, width: int, limit: int) -> None:
    assert FramePlan(AllFrames()).output_size(height, width) == (height, width)
    assert FramePlan(AllFrames(), size=(7, 9)).output_size(height, width) == (7, 9)

    small = FramePlan(AllFrames(), max_side=limit).output_size(height, width)
    assert max(small) == min(limit, max(height, width))
    assert min(small) >= 1
    scale = max(small) / max(height, width)
    assert small == (height, width) or all(
        abs(a - b * scale) <= 0.5 + 1e-9 or a == 1 for a, b in zip(small, (height, width), strict=True)
    )

    plan = FramePlan(AllFrames(), crop=limit)
    top, left, *kept = plan.crop_box(height, width)
    assert tuple(kept) == plan.output_size(height, width) == (min(height, limit), min(width, limit))
    assert top % 16 == left % 16 == 0
    assert 0 <= (height - kept[0]) / 2 - top < 16
    assert 0 <= (width - kept[1]) / 2 - left < 16
    assert FramePlan(AllFrames(), max_side=limit).crop_box(height, width) == (0, 0, height, width)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (
            lambda: FramePlan(AllFrames(), size=(4, 4), crop=8),
            "at most one of .*, got size and crop",
        ),
        (lambda: FramePlan(AllFrames(), size=(0, 4)), "height"),
        (lambda: FramePlan(AllFrames(), max_side=0), "max_side"),
        (lambda: FramePlan(AllFrames(), crop=-1), "crop"),
        (lambda: Spread(0), "count"),
        (lambda: Windows(0.0, 3), "seconds"),
        (lambda: Windows(1.0, 0), "most"),
        (lambda: PerSecond(float("nan")), "rate"),
        (lambda: AigvAssessorFrames(bound=(2.0, 1.0)), "bound"),
        (lambda: DoverFrames(offsets=(1, 2)), "offsets"),
    ],
)
def test_arguments_out_of_range_are_named(make, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}: expected" if name.isidentifier() else name):
        make()
