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


ORDERS = {  # labels of the channels → where each of the usual order stands among them
    "stereo": ([LEFT, RIGHT], [0, 1]),
    "turned": ([RIGHT, LEFT], [1, 0]),
    "surround": ([LEFT, CENTRE, RIGHT, LEFT_BEHIND, RIGHT_BEHIND, LOW], [0, 2, 1, 5, 3, 4]),
}
READ = """
import sys, torch
from avreward.clip import Clip
for name in sys.argv[1:]:
    clip = Clip.open(f"{name}.aiff")
    dict(clip.keys)
    torch.save((clip.audio, clip.sound(channels=1)), f"{name}.pt")
    clip.save(f"{name}.wav")
"""


@pytest.fixture(scope="module")
def read_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what another process read: PyAV 18 aborts on such files, which would end this one."""
    folder = tmp_path_factory.mktemp("aiff")
    for name, (labels, _) in ORDERS.items():
        described(folder / f"{name}.aiff", labels)
    command = [sys.executable, "-c", READ, *ORDERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ORDERS)
def test_channels_come_in_the_usual_order(read_elsewhere: Path, name: str) -> None:
    labels, order = ORDERS[name]
    audio, mono = torch.load(read_elsewhere / f"{name}.pt")
    there = torch.from_numpy(tones(0.3, 48000, len(labels)))[order]
    assert torch.equal(audio, there)
    assert torch.allclose(mono, remix(there, 1), atol=1e-6)
    assert torch.equal(Clip.open(read_elsewhere / f"{name}.wav").audio, there)


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("5.1(side)", 6), ("6.0", 6), ("hexagonal", 6)])
def test_only_what_has_a_rule_is_mixed(tmp_path: Path, layout: str, channels: int) -> None:
    clip = Clip.open(write(tmp_path / "x.wav", codec=None, sound="pcm_s16le", channels=channels, layout=layout))
    there = torch.from_numpy(tones(1.2, 48000, channels))
    assert torch.equal(clip.audio, there)
    if layout.startswith("5.1"):
        assert torch.allclose(clip.sound(channels=2), remix(there, 2), atol=1e-6)
    else:
        with pytest.raises(MediaError, match="no rule to mix FL"):
            clip.sound(channels=1)


def test_orders() -> None:
    assert usual_order(("FL", "FR", "LFE", "FC")) == [0, 1, 3, 2]
    assert usual_order(("FL", "FR")) is None
    assert usual_order(()) is None
    assert is_mixable(("FC",))
    assert is_mixable(("SR", "FL", "FR", "FC", "LFE", "SL"))
    assert not is_mixable(("FL", "FR", "FC", "LFE", "SL", "BR"))
