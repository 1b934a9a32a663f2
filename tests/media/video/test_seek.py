"""Frames found by jumping are those found by reading on, and damage is an error, not another frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import frames, remux, repacked, write
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._video import seek as walk
from avreward.media.sampling import AllFrames, FramePlan


@dataclass(frozen=True)
class Pick:
    """A rule for the tests: these frames."""

    numbers: tuple[int, ...]

    def __call__(self, times: Tensor) -> Tensor:
        return torch.tensor(self.numbers)


GROUPS = {"keyint": "16", "min-keyint": "16", "scenecut": "0", "bframes": "3"}
LONG: dict[str, dict[str, Any]] = {
    "closed.mp4": {"options": {"g": "16", "sc_threshold": "0", "bf": "3"}},
    "open.mp4": {"options": {"x264-params": ":".join(f"{k}={v}" for k, v in {**GROUPS, "open-gop": "1"}.items())}},
    "open.ts": {"options": {"x264-params": ":".join(f"{k}={v}" for k, v in {**GROUPS, "open-gop": "1"}.items())}},
    "refresh.mkv": {"options": {"intra-refresh": "1", "g": "20"}},
    "leading.mkv": {
        "codec": "libx265",
        "options": {"x265-params": "log-level=none:open-gop=1:keyint=16:min-keyint=16:scenecut=0:bframes=4"},
    },
    "mpeg.avi": {"codec": "mpeg4", "options": {"g": "16", "bf": "2"}},
    "exact.mkv": {"codec": "ffv1", "pixels": "bgr0", "options": {"g": "16"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "16", "deadline": "realtime", "cpu-used": "8"}},
    "raw.h264": {"options": {"g": "16", "bf": "2"}, "form": "h264"},
}
COUNT = 72


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Clip, Tensor]]:
    folder = tmp_path_factory.mktemp("walk")
    clips = {name: Clip.open(write(folder / name, COUNT, **kind)) for name, kind in LONG.items()}
    return {name: (clip, clip.video) for name, clip in clips.items()}


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(LONG)), numbers=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5))
def test_jumping_gives_the_frames_of_reading_on(
    long_clips: dict[str, tuple[Clip, Tensor]], name: str, numbers: list[int]
) -> None:
    clip, video = long_clips[name]
    assert len(video) == COUNT
    assert torch.equal(clip.frames(FramePlan(Pick(tuple(numbers)))), video[numbers])


def test_the_frames_are_the_right_ones(long_clips: dict[str, tuple[Clip, Tensor]]) -> None:
    for name, (_, video) in long_clips.items():
        difference = (video - frames(COUNT)).abs().mean(dim=(1, 2, 3))
        assert difference.max() < 0.05, name  # the next frame differs by more
    assert (frames(2)[0] - frames(2)[1]).abs().mean() > 0.05


def test_a_far_frame_is_not_reached_by_decoding_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip.open(write(tmp_path / "far.mkv", 300, codec="ffv1", pixels="bgr0", options={"g": "30"}))
    passed = []
    advance = walk._Walk._advance
    monkeypatch.setattr(walk._Walk, "_advance", lambda self: passed.append(1) or advance(self))
    far = clip.frames(FramePlan(Pick((5, 280))))
    assert torch.equal(far, frames(300)[[5, 280]])
    assert len(passed) < 50


def test_one_packet_without_a_frame_shows_the_frame_before(tmp_path: Path) -> None:
    file = write(tmp_path / "still.avi", 12, codec="mpeg4", options={"g": "4"})

    def hide(number: int, packet: av.Packet) -> av.Packet:
        data = bytes(packet)  # the two bits after the start code of a plane are its kind, and zeros code nothing
        return repacked(packet, data[:4] + bytes([0x7F]) + data[5:]) if number in hidden else packet

    hidden = {6}
    whole = Clip.open(file).video
    clip = Clip.open(remux(file, tmp_path / "hidden.avi", hide))
    try:
        video = clip.video
    except MediaError:
        return  # a decoder may as well call it damage
    assert torch.equal(video[6], whole[5])


@pytest.mark.parametrize("name", ["closed.mp4", "exact.mkv"])
def test_damage_is_an_error_and_elsewhere_nothing(tmp_path: Path, name: str) -> None:
    kind = LONG[name]
    file = write(tmp_path / name, COUNT, **kind)

    def spoil(number: int, packet: av.Packet) -> av.Packet:
        return repacked(packet, bytes(5) + b"\xff" * (packet.size - 5)) if 40 <= number < 48 else packet

    clip = Clip.open(remux(file, tmp_path / f"spoilt_{name}", spoil))
    whole = Clip.open(file)
    with pytest.raises(MediaError) as caught:
        clip.frames(FramePlan(AllFrames()))
    assert "decode" in caught.value.problem
    near, far = FramePlan(Pick((0, 20))), FramePlan(Pick((70,)))
    assert torch.equal(clip.frames(near), whole.frames(near))
    assert torch.equal(clip.frames(far), whole.frames(far))
