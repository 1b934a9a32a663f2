"""Samples that only prime a codec are not heard, whether the container says so or not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from media_files import remux, write

from avreward.clip import Clip


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_a_copy_in_another_container_sounds_the_same(tmp_path: Path, codec: str, ending: str) -> None:
    original = write(tmp_path / "x.mp4", sound=codec, seconds=0.8, count=8)
    copy = remux(original, tmp_path / f"x{ending}", lambda number, packet: packet)
    first, second = Clip.open(original), Clip.open(copy)
    assert second.times.tolist() == pytest.approx(first.times.tolist(), abs=0.001)
    length = min(first.sound().shape[1], second.sound().shape[1])
    torch.testing.assert_close(first.sound()[:, :length], second.sound()[:, :length], rtol=0, atol=1e-6)
    if ending == ".mkv":  # which says when a track ends, to the millisecond; MPEG-TS does not
        assert second.ends["audio"] == pytest.approx(first.ends["audio"], abs=0.0011)
        assert second.sound().shape[1] == pytest.approx(first.sound().shape[1], abs=96)


def test_what_is_late_stays_late(tmp_path: Path) -> None:
    original = write(tmp_path / "x.mp4", sound="aac", seconds=0.4, sound_at=0.5, count=10)
    copy = remux(original, tmp_path / "x.mkv", lambda number, packet: packet)
    starts = [int((Clip.open(path).sound()[0].abs() > 0.05).nonzero()[0]) for path in (original, copy)]
    assert starts[0] == pytest.approx(24000, abs=100)
    assert starts[1] == pytest.approx(starts[0], abs=72)  # time stamps are whole milliseconds


def test_an_original_in_matroska_has_no_lead(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "x.mkv", sound="aac", seconds=0.8, count=8))
    assert clip.sound()[:, :480].abs().amax() > 0.05
