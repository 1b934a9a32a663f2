"""Files that are decoded once for several readers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import write

from avreward import Clip
from avreward.errors import MediaError
from avreward.media import AllFrames, FramePlan, Spread, _file_tracks
from avreward.media._audio import clock
from avreward.media._video import seek
from avreward.media._video import shared as shared_video

WHOLE, FEW, SMALL = FramePlan(AllFrames()), FramePlan(Spread(3)), FramePlan(Spread(5), max_side=24)


@pytest.fixture
def file(tmp_path) -> Path:
    video = torch.rand(12, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    audio = torch.rand(2, 30000, generator=torch.Generator().manual_seed(1)) - 0.5
    Clip(video=video, fps=8, audio=audio, sample_rate=24000).save(tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


@pytest.fixture
def read(monkeypatch) -> Counter:
    """Files opened for decoding, and frames and packets that came out."""
    counts: Counter = Counter()
    for module in (seek, clock):
        own = module.reading
        name = module.__name__.rsplit(".", 1)[-1]

        def counted(*args, own=own, name=name):
            counts[name] += 1
            return own(*args)

        monkeypatch.setattr(module, "reading", counted)
    advance = seek._Walk._advance

    def counting(walk):
        counts["frames"] += (there := advance(walk))
        return there

    monkeypatch.setattr(seek._Walk, "_advance", counting)
    return counts


def test_known_plans_come_from_one_pass_and_are_the_same_frames(file, read) -> None:
    clip = Clip.open(file)
    expected = [clip.frames(plan) for plan in (WHOLE, FEW, SMALL)]
    shared = clip.decoded_once(lambda: [WHOLE, FEW, SMALL])
    read.clear()
    for plan, frames in zip((WHOLE, FEW, SMALL), expected, strict=True):
        assert torch.equal(shared.frames(plan), frames)
    assert read == {"seek": 1, "frames": 12}
    both = shared.views([SMALL, FEW])
    assert torch.equal(both[0], expected[2])
    assert torch.equal(both[1], expected[1])
    assert read["seek"] == 1


def test_planes_are_the_frames_in_8_bits(file, read) -> None:
    clip, plans = Clip.open(file), [WHOLE, SMALL, FramePlan(Spread(5), crop=32)]
    shared = clip.decoded_once(lambda: [WHOLE, FEW])
    for given in (clip, shared):
        for frames, planes in zip(given.views(plans), given._planes(plans), strict=True):
            levels = np.stack([np.stack(image) for image in planes])
            assert levels.dtype == np.uint8
            assert torch.equal(torch.from_numpy(levels).float() / 255, frames)
    assert Clip(video=torch.rand(1, 3, 8, 8), fps=1)._planes([WHOLE]) is None  # it may lie between 8-bit levels


def test_planes_of_frames_that_are_not_converted_hold_no_other_memory(tmp_path) -> None:
    path = write(tmp_path / "x.mkv", 4, codec="libx264rgb", pixels="rgb24", size=(160, 192))
    plan = FramePlan(AllFrames(), crop=32)
    [planes], [frames] = Clip.open(path)._planes([plan]), Clip.open(path).views([plan])
    for image, frame in zip(planes, frames, strict=True):
        assert torch.equal(torch.from_numpy(np.stack(image)).float() / 255, frame)
        assert all(plane.base.nbytes < 160 * 192 and plane.base.base is None for plane in image)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_planes_of_turned_frames_are_tensors(tmp_path, turned) -> None:
    path, plan = write(tmp_path / "x.mp4", 4, size=(96, 128), turned=turned), FramePlan(AllFrames(), crop=32)
    [planes], [frames] = Clip.open(path)._planes([plan]), Clip.open(path).views([plan])
    for image, frame in zip(planes, frames, strict=True):
        assert torch.equal(torch.stack([torch.from_numpy(plane) for plane in image]).float() / 255, frame)
        assert all(plane.base is None for plane in image)  # it holds no other memory


def test_another_plan_is_decoded_when_it_is_asked_for(file, read) -> None:
    shared = Clip.open(file).decoded_once(lambda: [FEW])
    shared.frames(FEW)
    other = FramePlan(AllFrames(), size=(16, 16))
    for plan in (other, WHOLE):
        assert torch.equal(shared.frames(plan), Clip.open(file).frames(plan))
    first, second = shared.views([other, FEW])
    assert torch.equal(first, Clip.open(file).frames(other))
    assert torch.equal(second, Clip.open(file).frames(FEW))


def test_audio_is_decoded_once_at_every_rate(file, read) -> None:
    clip, shared = Clip.open(file), Clip.open(file).decoded_once(list)
    for rate, channels in ((16000, 1), (24000, 2), (8000, 1)):
        assert torch.equal(shared.sound(rate, channels), clip.sound(rate, channels))
        parts = [(0.1, 0.4), (0.9, 2.0)]
        for own, other in zip(shared.spans(parts, rate, channels), clip.spans(parts, rate, channels), strict=True):
            assert torch.equal(own, other)
    read.clear()
    shared.sound(), shared.sound(16000, 1)
    assert not read


def test_what_is_too_large_is_not_kept(file, read, monkeypatch) -> None:
    monkeypatch.setattr(shared_video, "MOST_PIXELS", 12 * 3 * 32 * 48 - 1)
    monkeypatch.setattr(_file_tracks, "MOST_SAMPLES", 2 * 29000)
    shared = Clip.open(file).decoded_once(lambda: [WHOLE])
    assert torch.equal(shared.frames(WHOLE), shared.frames(WHOLE))
    assert torch.equal(shared.sound(), shared.sound())
    assert read["clock"] == 2
    assert read["frames"] == 24


def test_keys_and_limits_are_those_of_the_clip(file) -> None:
    clip = Clip.open(file)
    shared = clip.decoded_once(list)
    assert dict(shared.keys) == dict(clip.keys)
    assert shared.work_key("video") == clip.work_key("video")
    assert shared.loaded_key("audio") == clip.loaded_key("audio")
    assert (shared.fps, shared.width, shared.seconds) == (clip.fps, clip.width, clip.seconds)
    assert (shared.sample_rate, shared.channels, shared.requires_grad) == (24000, 2, frozenset())
    assert torch.equal(shared.detached().video, clip.video)
    shared.save(file.with_name("again.mp4"))
    assert Clip.open(file.with_name("again.mp4")).seconds == pytest.approx(clip.seconds, abs=0.05)


def test_tensors_stay_as_they_are() -> None:
    video = torch.rand(4, 3, 8, 8).requires_grad_()
    clip = Clip(video=video, fps=4).decoded_once(lambda: [WHOLE])
    assert clip.video is video


def test_each_reader_gets_the_error_that_it_would_get_alone() -> None:
    def failing():
        yield torch.zeros(1, 2)
        raise MediaError("a.wav", "its audio does not decode", "give another file")

    blocks = _file_tracks.KeptBlocks(failing())
    assert len(next(iter(blocks))) == 1
    for _ in range(2):
        with pytest.raises(MediaError, match="does not decode"):
            list(blocks)
