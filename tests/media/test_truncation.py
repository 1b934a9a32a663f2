"""A file that was cut short is an error wherever its format says how long it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from media_files import write

from avreward.clip import Clip
from avreward.errors import MediaError

KINDS: dict[str, dict[str, Any]] = {
    "last.mp4": {"sound": "aac"},
    "first.mp4": {"sound": "aac", "mux": {"movflags": "faststart"}},
    "pieces.mp4": {"sound": "aac", "mux": {"movflags": "frag_keyframe+empty_moov"}},
    "x.mov": {"codec": "mpeg4", "sound": "pcm_s16le"},
    "x.mkv": {"sound": "aac"},
    "x.webm": {"codec": "libvpx-vp9", "sound": "libopus", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "x.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "sound": "pcm_s16le"},
    "x.wav": {"codec": None, "sound": "pcm_s16le"},
    "x.flac": {"codec": None, "sound": "flac"},
    "x.gif": {"codec": "gif", "pixels": "rgb8"},
    "x.m4a": {"codec": None, "sound": "aac"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return {name: write(folder / name, **kind).read_bytes() for name, kind in KINDS.items()}


def used(file: Path) -> None:
    clip = Clip.open(file)
    if clip.has_video:
        _ = clip.video
    if clip.has_audio:
        clip.sound()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(KINDS)), share=st.floats(0, 1, exclude_max=True))
def test_any_cut_is_an_error(tmp_path: Path, files: dict[str, bytes], name: str, share: float) -> None:
    data = files[name]
    cut = data[: min(int(len(data) * share), len(data) - 2)]
    assume(not (name == "x.gif" and cut.endswith(b";")))  # by chance the byte that closes a GIF
    (tmp_path / name).write_bytes(cut)
    with pytest.raises(MediaError):
        used(tmp_path / name)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_whole_file_is_none(tmp_path: Path, files: dict[str, bytes], name: str) -> None:
    (tmp_path / name).write_bytes(files[name])
    used(tmp_path / name)


def test_a_cut_mp3_with_a_length_header(tmp_path: Path) -> None:
    file = write(tmp_path / "x.mp3", codec=None, sound="libmp3lame", seconds=2)
    data = file.read_bytes()
    used(file)
    file.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(MediaError, match="cut short"):
        used(file)
    file.write_bytes(b"ID3\x04\x00\x00\x00\x00\x10\x00" + bytes(2048) + data[data.index(b"\xff\xfb") : -len(data) // 4])
    with pytest.raises(MediaError, match="cut short"):
        used(file)


def test_a_box_of_64_bit_length(tmp_path: Path, files: dict[str, bytes]) -> None:
    data = files["last.mp4"]
    place = data.index(b"free") - 4  # eight bytes left for a longer length of the box behind
    assert data[place + 12 : place + 16] == b"mdat"
    length = int.from_bytes(data[place + 8 : place + 12], "big") + 8
    large = data[:place] + b"\0\0\0\1mdat" + length.to_bytes(8, "big") + data[place + 16 :]
    (tmp_path / "large.mp4").write_bytes(large)
    used(tmp_path / "large.mp4")
    (tmp_path / "large.mp4").write_bytes(large[:-9])
    with pytest.raises(MediaError, match="cut short"):
        Clip.open(tmp_path / "large.mp4")


def test_a_cut_packet_shows_where_nothing_else_does(tmp_path: Path) -> None:
    file = write(tmp_path / "x.flv", sound="aac", rate=44100)
    used(file)
    with av.open(str(file)) as container:
        place = max(packet.pos for packet in container.demux(audio=0) if packet.size)
    file.write_bytes(file.read_bytes()[: place + 40])
    with pytest.raises(MediaError, match="cut short or damaged at"):
        Clip.open(file)


def test_junk_behind_a_file_is_not_its_matter(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name in ("last.mp4", "x.mkv", "x.wav"):
        (tmp_path / name).write_bytes(files[name] + bytes(100))
        used(tmp_path / name)


def test_a_stream_of_unknown_length_is_read(tmp_path: Path) -> None:
    file = tmp_path / "live.mkv"
    write(file, sound="aac", mux={"live": "1"})
    used(file)


LENGTHS = {  # of the whole and of the samples
    "sox": (0x7FFFF024, 0x7FFFF000),
    "signed": (0x7FFFFFFF, 0x7FFFFFDB),
    "arecord": (0x80000024, 0x80000000),
    "ffmpeg": (0xFFFFFFFF, 0xFFFFFFFF),
    "zero": (0, 0),
}


@pytest.mark.parametrize("writer", LENGTHS)
def test_placeholders_in_wav_are_not_believed(tmp_path: Path, writer: str) -> None:
    file = write(tmp_path / "x.wav", codec=None, sound="pcm_s16le", seconds=0.5)
    data, (whole, samples) = bytearray(file.read_bytes()), LENGTHS[writer]
    place = data.index(b"data")
    before = Clip.open(file)
    data[4:8], data[place + 4 : place + 8] = whole.to_bytes(4, "little"), samples.to_bytes(4, "little")
    (tmp_path / "pipe.wav").write_bytes(data)
    clip = Clip.open(tmp_path / "pipe.wav")
    assert clip.seconds == before.seconds == pytest.approx(0.5)
    assert torch.equal(clip.audio, before.audio)


def test_placeholders_in_aiff_are_not_believed(tmp_path: Path) -> None:
    file = write(tmp_path / "x.aiff", codec=None, sound="pcm_s16be", channels=1, seconds=0.5)
    data, before = bytearray(file.read_bytes()), Clip.open(file).audio
    common, samples = data.index(b"COMM"), data.index(b"SSND")
    for place, length in ((4, 0x7F00002E), (common + 10, 0x7F000000 // 2), (samples + 4, 0x7F000008)):  # as SoX has it
        data[place : place + 4] = length.to_bytes(4, "big")
    (tmp_path / "pipe.aiff").write_bytes(data)
    assert torch.equal(Clip.open(tmp_path / "pipe.aiff").audio, before)


PIPED: dict[str, dict[str, Any]] = {
    "x.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "sound": "pcm_s16le"},
    "x.wav": {"codec": None, "sound": "pcm_s16le"},
    "x.nut": {"codec": "mjpeg", "pixels": "yuvj420p", "sound": "pcm_s16le"},
    "x.mka": {"codec": None, "sound": "pcm_s16le", "form": "matroska"},
    "x.flac": {"codec": None, "sound": "flac"},
    "x.au": {"codec": None, "sound": "pcm_s16be"},
}


@pytest.mark.parametrize("name", PIPED)
def test_a_piped_file_is_the_file(tmp_path: Path, name: str) -> None:
    whole = Clip.open(write(tmp_path / name, **PIPED[name]))
    piped = Clip.open(write(tmp_path / f"piped{Path(name).suffix}", piped=True, **PIPED[name]))
    assert piped.seconds == pytest.approx(whole.seconds, abs=1e-3)
    assert torch.equal(piped.audio, whole.audio)
    if whole.has_video:
        assert piped.times.tolist() == pytest.approx(whole.times.tolist())
        assert torch.equal(piped.video, whole.video)


def test_a_short_avi_with_a_length_is_cut(tmp_path: Path) -> None:
    file = write(tmp_path / "x.avi", 30, codec="mjpeg", pixels="yuvj420p")
    data = bytearray(file.read_bytes())
    place = data.index(b"strh") + 40  # of the length in frames
    assert int.from_bytes(data[place : place + 4], "little") == 30
    data[place : place + 4] = (90).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(MediaError, match=r"announces 9\.00 s"):
        Clip.open(file)


def test_animated_webp_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.webp").write_bytes(b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(15))
    with pytest.raises(MediaError, match="does not decode animated WebP; convert it"):
        Clip.open(tmp_path / "x.webp")
