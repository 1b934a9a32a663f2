"""Channels in any order come in the usual one, and unusual orders don't end the process."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from media_files import tones, write

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._channels import is_mixable, usual_order
from avreward.media.resampling import remix

LEFT, RIGHT, CENTRE, LOW, LEFT_BEHIND, RIGHT_BEHIND = range(1, 7)  # Apple's labels


def described(path: Path, labels: list[int]) -> Path:
    """An AIFF file whose channels are labelled one by one."""
    layout = {2: "stereo", 6: "5.1"}[len(labels)]
    data = write(path, codec=None, sound="pcm_s16be", channels=len(labels), layout=layout, seconds=0.3).read_bytes()
    chunk = struct.pack(">III", 0, 0, len(labels)) + b"".join(
        struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels
    )
    chunk = b"CHAN" + struct.pack(">I", len(chunk)) + chunk
    place = data.index(b"SSND")
    path.write_bytes(data[:4] + struct.pack(">I", len(data) - 8 + len(chunk)) + data[8:place] + chunk + data[place:])
    return path


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ([LEFT, RIGHT], [0, 1]),
        ([RIGHT, LEFT], [1, 0]),
        ([LEFT, CENTRE, RIGHT, LEFT_BEHIND, RIGHT_BEHIND, LOW], [0, 2, 1, 5, 3, 4]),
    ],
)
def test_channels_come_in_the_usual_order(tmp_path: Path, labels: list[int], order: list[int]) -> None:
    file = described(tmp_path / "x.aiff", labels)
    program = (
        "import sys, torch; from avreward.clip import Clip; clip = Clip.open(sys.argv[1]); dict(clip.keys); "
        "torch.save((clip.audio, clip.sound(channels=1)), sys.argv[2]); clip.save(sys.argv[3])"
    )
    arguments = [str(file), str(tmp_path / "out.pt"), str(tmp_path / "out.wav")]  # PyAV 18 aborts: elsewhere, please
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    audio, mono = torch.load(tmp_path / "out.pt")
    there = torch.from_numpy(tones(0.3, 48000, len(labels)))[order]
    assert torch.equal(audio, there)
    assert torch.allclose(mono, remix(there, 1), atol=1e-6)
    assert torch.equal(Clip.open(tmp_path / "out.wav").audio, there)


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("5.1(side)", 6), ("6.0", 6), ("hexagonal", 6)])
def test_only_what_has_a_rule_is_mixed(tmp_path: Path, layout: str, channels: int) -> None:
    clip = Clip.open(write(tmp_path / "x.wav", codec=None, sound="pcm_s16le", channels=channels, layout=layout))
    there = torch.from_numpy(tones(1.2, 48000, channels))
    assert torch.equal(clip.audio, there)
    if layout.startswith("5.1"):
        assert torch.allclose(clip.sound(channels=2), remix(there, 2), atol=1e-6)
    else:
        with pytest.raises(MediaError, match="no rule makes 1 channels of FL"):
            clip.sound(channels=1)


def test_orders() -> None:
    assert usual_order(("FL", "FR", "LFE", "FC")) == [0, 1, 3, 2]
    assert usual_order(("FL", "FR")) is None
    assert usual_order(()) is None
    assert is_mixable(("FC",))
    assert is_mixable(("SR", "FL", "FR", "FC", "LFE", "SL"))
    assert not is_mixable(("FL", "FR", "FC", "LFE", "SL", "BR"))
