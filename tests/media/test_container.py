"""What can't be opened says so in one line, and nothing else is read than the file itself."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from media_files import write

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError


def refused(path: Path | str, **limits: float) -> MediaError:
    with pytest.raises(MediaError) as caught:
        Clip.open(path, **limits)
    assert "\n" not in str(caught.value)
    assert caught.value.source == str(path)
    assert caught.value.remedy
    return caught.value


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("container") / "video.mp4", sound="aac")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.mp4", None, "no such file"),
        ("empty.mp4", b"", "0 bytes"),
        ("text.mp4", b"hello world\n" * 50, "not media"),
        ("noise.mkv", bytes(range(256)) * 8, "not media"),
    ],
)
def test_what_is_no_media_says_so(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert problem in refused(tmp_path / name).problem


def test_a_directory_a_pipe_and_odd_names(tmp_path: Path) -> None:
    assert "directory" in refused(tmp_path).problem
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in refused(tmp_path / "pipe").problem  # and doesn't wait for a writer
    refused(tmp_path / ("x" * 300))
    refused("a\0b.mp4")


def test_a_file_without_permission(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "permission" in refused(video).problem


def test_an_empty_path() -> None:
    with pytest.raises(MediaError, match="path: it is empty; pass the path of a file"):
        Clip.open("")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.mp4", "rtmp://host/x", "concat:a|b.mp4", "data://x"])
def test_addresses_are_not_opened(address: str) -> None:
    refused(address)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {}\n"),
        ("list.mp4", "ffconcat version 1.0\nfile '{}'\n"),
    ],
)
def test_playlists_reach_no_other_file(tmp_path: Path, video: Path, name: str, content: str) -> None:
    for target in (video.name, str(video), f"file:{video}"):
        (tmp_path / video.name).write_bytes(video.read_bytes())
        (tmp_path / name).write_text(content.format(target))
        refused(tmp_path / name)


def test_names_are_taken_literally(tmp_path: Path, video: Path) -> None:
    for name in ("a b%03d.mp4", "subfile,,start,0.mp4", "ü:x.mp4", "-i.mp4"):
        (tmp_path / name).write_bytes(video.read_bytes())
        assert Clip.open(tmp_path / name).name == name


def test_limits_name_value_and_remedy(video: Path) -> None:
    for limit, value in (("max_seconds", 1), ("max_side", 63), ("max_pixels", 48 * 64 - 1)):
        error = refused(video, **{limit: value})
        assert f"{limit}={value}" in error.problem
        assert limit in error.remedy
    assert Clip.open(video, max_seconds=1.3, max_side=64, max_pixels=48 * 64).width == 64
    assert Clip.open(video, max_seconds=1e9, max_side=float("inf"), max_pixels=float("inf")).video.shape[2] == 48
    for nonsense in (0, -1, float("nan")):
        with pytest.raises(ArgumentError, match="max_seconds: expected a positive number"):
            Clip.open(video, max_seconds=nonsense)


@pytest.mark.parametrize("side", [20_000, 100_000, 2**31 - 1])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    file = tmp_path / "huge.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b""))
    assert "max_pixels" in str(refused(file))


def test_ten_hours_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "long.mkv", times=[0, 1, 36_000], count=3, codec="ffv1", pixels="bgr0")
    assert "max_seconds" in refused(file).remedy
    assert Clip.open(file, max_seconds=40_000).seconds > 36_000
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 0)
    wav = tmp_path / "long.wav"
    with wav.open("wb") as out:  # a sparse file
        out.write(header[:4] + struct.pack("<I", 36 + 8000 * 36_000) + header[8:40] + struct.pack("<I", 8000 * 36_000))
        out.truncate(44 + 8000 * 36_000)
    assert "36000.0 s" in refused(wav).problem


def test_a_replaced_file_is_noticed(tmp_path: Path, video: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(video.read_bytes())
    clip = Clip.open(file)
    write(file, count=5)
    for use in (lambda: clip.video, lambda: clip.audio, lambda: clip.keys["video"]):
        with pytest.raises(MediaError, match="changed"):
            use()
    file.unlink()
    with pytest.raises(MediaError, match="no such file"):
        _ = clip.audio


def test_metadata_that_is_not_text_does_not_matter(tmp_path: Path, video: Path) -> None:
    file = tmp_path / "clip.mp4"
    data = video.read_bytes()
    assert b"VideoHandler" in data
    file.write_bytes(data.replace(b"VideoHandler", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4"))
    assert Clip.open(file).has_video


def test_formats_and_codecs_out_of_use_are_refused_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path / "old.avi", codec="magicyuv", pixels="gbrp", count=2)
    assert "AVREWARD_DECODERS=magicyuv" in str(refused(old))
    rare = write(tmp_path / "rare.sox", codec=None, sound="pcm_s32le", form="sox", seconds=0.1)
    assert "AVREWARD_DECODERS=all" in str(refused(rare))
    monkeypatch.setenv("AVREWARD_DECODERS", "magicyuv, sox")
    assert Clip.open(old).has_video
    assert Clip.open(rare).has_audio


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.mp4").open("wb") as file:
        file.truncate((1 << 36) + 1)  # sparse
    assert "64 GiB" in refused(tmp_path / "x.mp4").problem
