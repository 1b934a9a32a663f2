"""The table of differences from the originals' libraries, on a small file."""

from __future__ import annotations

from pathlib import Path

import file_parity
import pytest
from media_files import write


def test_each_step_is_compared_with_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file_parity.main([str(write(tmp_path / "x.mp4", 6, sound="aac"))])
    rows = {tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in capsys.readouterr().out.splitlines()}
    assert float(rows["| FFmpeg", "ffmpeg"][0]) < 1e-5 < 1e-4 < float(rows["| FFmpeg", "julius"][0])
    assert rows["| PyAV's default", "fast"] == ["0", "0.00", "+0.00 |"]
    assert float(rows["| PyAV's default", "accurate"][1]) > 0.2


def test_clips_that_show_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="CLIPS: expected videos of five frames or more"):
        file_parity.main([str(write(tmp_path / "x.wav", codec=None, sound="pcm_s16le", rate=16000))])
