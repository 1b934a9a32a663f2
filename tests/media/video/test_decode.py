"""Frames at the size asked for: one pass for many plans, colours, rotation, odd formats."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_files import frames, picture, write

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._video import decode
from avreward.media.sampling import AllFrames, FramePlan, Spread, Windows

EXACT: dict[str, Any] = {"codec": "ffv1", "pixels": "bgr0"}
LEVEL = 1 / 255
PLANS = st.builds(
    lambda rule, size: FramePlan(rule, **size),
    st.sampled_from([AllFrames(), Spread(3), Spread(40), Windows(0.3, 2)]),
    st.one_of(
        st.just({}),
        st.tuples(st.integers(1, 90), st.integers(1, 90)).map(lambda size: {"size": size}),
        st.integers(1, 90).map(lambda side: {"max_side": side}),
        st.integers(1, 90).map(lambda side: {"crop": side}),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decode")


@pytest.fixture(scope="module")
def exact(folder: Path) -> Clip:
    return Clip.open(write(folder / "exact.mkv", 10, size=(53, 71), **EXACT))


@pytest.fixture(scope="module")
def coded(folder: Path) -> Clip:
    return Clip.open(write(folder / "coded.mp4", 10, size=(96, 128)))


@settings(max_examples=40, deadline=None)
@given(st.lists(PLANS, max_size=4))
def test_views_are_the_frames_one_by_one(coded: Clip, plans: list[FramePlan]) -> None:
    views = coded.views(plans)
    assert len(views) == len(plans)
    for view, plan in zip(views, plans, strict=True):
        assert torch.equal(view, coded.frames(plan))


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_a_file_gives_what_its_tensor_gives(exact: Clip, plan: FramePlan) -> None:
    tensor = Clip(video=frames(10, 53, 71), times=exact.times)
    ours, theirs = exact.frames(plan), tensor.frames(plan)
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    if plan.output_size(53, 71) == plan.crop_box(53, 71)[2:]:
        assert torch.equal(ours, theirs)
    elif plan.output_size(53, 71) <= (53, 71):
        assert (ours - theirs).abs().max() <= 4 * LEVEL  # FFmpeg weighs with fewer bits
        assert (ours - theirs).abs().mean() <= LEVEL


def test_many_plans_take_one_pass(coded: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    wanted = decode.shown_frames
    monkeypatch.setattr(decode, "shown_frames", lambda *given: passes.append(1) or wanted(*given))
    coded.views([FramePlan(AllFrames(), max_side=32), FramePlan(Spread(2)), FramePlan(Spread(3), crop=16)])
    assert len(passes) == 1


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv411p", "yuv444p", "bgr0"])
@pytest.mark.parametrize("size", [(96, 128), (94, 126), (95, 127)])
def test_a_crop_is_cut_from_the_whole_frame(tmp_path: Path, size: tuple[int, int], pixels: str) -> None:
    clip = Clip.open(write(tmp_path / "crop.mkv", 2, codec="ffv1", pixels=pixels, size=size))
    whole = clip.video
    for side in (1, 17, 40, 63, 95, 96, 200):
        top, left, height, width = FramePlan(AllFrames(), crop=side).crop_box(*size)
        part = clip.frames(FramePlan(AllFrames(), crop=side))
        assert torch.equal(part, whole[..., top : top + height, left : left + width])


def test_shrinking_averages(coded: Clip) -> None:
    small = coded.frames(FramePlan(AllFrames(), size=(24, 32)))
    means = torch.nn.functional.avg_pool2d(coded.video, 4)
    assert (small - means).abs().max() < 3 * LEVEL
    assert abs(float((small - means).mean())) < 0.2 * LEVEL  # no drift of brightness


@pytest.mark.parametrize("turned", [90, 180, -90, 270])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_rotated_frames_stand_upright(tmp_path: Path, turned: int, ending: str) -> None:
    plain = Clip.open(write(tmp_path / f"plain.{ending}", 4, size=(48, 96)))
    clip = Clip.open(write(tmp_path / f"turned.{ending}", 4, size=(48, 96), turned=turned))
    upright = torch.rot90(plain.video, turned // 90, (2, 3))  # counter-clockwise, as PyAV counts
    assert (clip.height, clip.width) == upright.shape[2:]
    assert torch.equal(clip.video, upright)
    crop = FramePlan(AllFrames(), crop=20)
    top, left, height, width = crop.crop_box(clip.height, clip.width)
    assert torch.equal(clip.frames(crop), upright[..., top : top + height, left : left + width])
    small = FramePlan(AllFrames(), max_side=30)
    assert torch.equal(clip.frames(small), torch.rot90(plain.frames(small), turned // 90, (2, 3)))


def test_mirrored_frames(tmp_path: Path) -> None:
    file = tmp_path / "mirrored.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = 64, 48
        stream.set_display_rotation(0, hflip=True)
        for number in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    assert torch.equal(Clip.open(file).video, Clip.open(write(tmp_path / "plain.mp4", 3)).video.flip(3))


@pytest.mark.parametrize(("matrix", "span"), [(1, 1), (5, 1), (9, 1), (1, 2), (5, 2)])
def test_colours_follow_the_tags(tmp_path: Path, matrix: int, span: int) -> None:
    tags = {"colorspace": matrix, "color_range": span}
    clip = Clip.open(write(tmp_path / "tags.mkv", 3, codec="ffv1", pixels="yuv444p", colours=tags))
    assert (clip.video - frames(3)).abs().max() <= 2.5 * LEVEL
    small = clip.frames(FramePlan(AllFrames(), size=(24, 32)))
    assert (small - torch.nn.functional.avg_pool2d(frames(3), 2)).abs().max() <= 3.5 * LEVEL


@pytest.mark.parametrize(
    ("codec", "pixels", "ending", "bound"),
    [
        ("libx265", "yuv420p10le", "mp4", 8),
        ("ffv1", "yuv444p10le", "mkv", 1.01),
        ("ffv1", "yuv422p12le", "mkv", 8),
        ("ffv1", "rgb48le", "mkv", 0.01),
        ("ffv1", "bgra", "mkv", 0.01),
        ("prores_ks", "yuv422p10le", "mov", 8),
        ("mjpeg", "yuvj420p", "avi", 16),
    ],
)
def test_deep_and_other_pixels(tmp_path: Path, codec: str, pixels: str, ending: str, bound: float) -> None:
    options = {"x265-params": "log-level=none", "crf": "4"} if codec == "libx265" else {}
    clip = Clip.open(write(tmp_path / f"deep.{ending}", 3, codec=codec, pixels=pixels, options=options))
    assert clip.video.dtype == torch.float32
    assert (clip.video - frames(3)).abs().mean() <= bound / 2 * LEVEL
    assert abs(float((clip.video - frames(3)).mean())) < LEVEL


def test_grey_pictures_have_three_equal_channels(tmp_path: Path) -> None:
    video = Clip.open(write(tmp_path / "grey.mkv", 3, codec="ffv1", pixels="gray")).video
    assert torch.equal(video[:, 0], video[:, 1])
    assert torch.equal(video[:, 0], video[:, 2])
    assert video.std() > 0.05


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(1, 40))
def test_any_size_is_read_as_it_is(tmp_path: Path, height: int, width: int) -> None:
    clip = Clip.open(write(tmp_path / "size.mov", 2, size=(height, width), codec="png", pixels="rgb24"))
    assert (clip.height, clip.width) == (height, width)
    assert torch.equal(clip.video, frames(2, height, width))


def test_a_stream_that_changes_its_size_is_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{size[0]}.h264", 5, size=size, form="h264") for size in ((48, 64), (96, 128))]
    (tmp_path / "both.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = Clip.open(tmp_path / "both.h264")
    assert len(clip.times) == 10
    for plan in (FramePlan(AllFrames()), FramePlan(AllFrames(), crop=16), FramePlan(AllFrames(), size=(20, 30))):
        view = clip.frames(plan)
        assert view.shape[2:] == plan.output_size(48, 64)
        assert len(view) == len(clip.times)
    top, left, height, width = FramePlan(AllFrames(), crop=16).crop_box(48, 64)
    part = clip.frames(FramePlan(AllFrames(), crop=16))
    assert torch.equal(part, clip.video[..., top : top + height, left : left + width])
    grown = Clip.open(tmp_path / "both.h264", max_pixels=64 * 48)
    with pytest.raises(MediaError, match="decode"):
        _ = grown.video


def test_pixels_that_are_not_square_stay_as_they_are_stored(tmp_path: Path) -> None:
    file = tmp_path / "wide.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = 64, 48
        stream.codec_context.sample_aspect_ratio = av.rational.AVRational(4, 3) if hasattr(av, "rational") else (4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        container.mux(stream.encode())
    clip = Clip.open(file)
    assert (clip.width, clip.height) == (64, 48)


def test_threads_decode_one_clip_alike(coded: Clip) -> None:
    plan, results = FramePlan(AllFrames(), max_side=50), []
    expected = coded.frames(plan)
    clip = Clip.open(coded.path)

    def work() -> None:
        results.append(clip.frames(plan))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(torch.equal(result, expected) for result in results)


def test_a_rule_that_chooses_nothing_that_exists_is_a_programming_error(coded: Clip) -> None:
    with pytest.raises(IndexError, match="outside"):
        coded.frames(FramePlan(lambda times: torch.tensor([len(times)])))
