"""Containers that carry checksums or lengths: intact files pass, and damage is found where the container can tell."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
from media_files import picture, write
from PIL import Image

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._intact.check import damage
from avreward.media._intact.ogg import checksum

KINDS: dict[str, dict[str, Any]] = {
    "x.ogg": {"codec": None, "sound": "libopus"},
    "x.mkv": {"codec": "ffv1", "pixels": "bgr0", "sound": "pcm_s16le", "seconds": 0.4, "count": 4},
    "x.png": {"codec": "png", "pixels": "rgb24", "count": 1, "form": "image2"},
    "x.gif": {"codec": "gif", "pixels": "rgb8", "count": 3},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("intact")
    made = {name: write(folder / name, **kind).read_bytes() for name, kind in KINDS.items()}
    image = Image.fromarray(picture(3))
    for name, options in (
        ("x.jpg", {}),
        ("y.jpg", {"progressive": True}),
        ("x.webp", {}),
        ("y.webp", {"lossless": True}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if name.endswith("jpg") else "WEBP", **options)
        made[name] = buffer.getvalue()
    return made


def found(data: bytes) -> str | None:
    return damage(io.BytesIO(data), len(data))  # type: ignore[arg-type]


NAMES = [*KINDS, "x.jpg", "y.jpg", "x.webp", "y.webp"]


@pytest.mark.parametrize("name", NAMES)
def test_intact_files_pass_and_open(files: dict[str, bytes], tmp_path: Path, name: str) -> None:
    assert found(files[name]) is None
    (tmp_path / name).write_bytes(files[name])
    clip = Clip.open(tmp_path / name)
    assert clip.video.isfinite().all() if clip.has_video else clip.sound().isfinite().all()


@pytest.mark.parametrize(("name", "share"), [("x.ogg", 1.0), ("x.png", 1.0), ("x.mkv", 0.95)])
def test_a_changed_byte_does_not_match_the_checksum(files: dict[str, bytes], name: str, share: float) -> None:
    data, rng = files[name], random.Random(0)
    noticed = 0
    for _ in range(100):
        spoilt = bytearray(data)
        spoilt[rng.randrange(60 if name == "x.mkv" else 8, len(data))] ^= 1 << rng.randrange(8)
        noticed += found(bytes(spoilt)) is not None
    assert noticed >= 100 * share


@pytest.mark.parametrize("name", [name for name in NAMES if name != "x.mkv"])
def test_a_cut_is_noticed(files: dict[str, bytes], name: str) -> None:
    for part in (0.3, 0.7, 0.95):
        cut = files[name][: int(len(files[name]) * part)]
        assert found(cut) is not None, part


def test_a_page_that_is_missing_is_noticed(files: dict[str, bytes]) -> None:
    data = files["x.ogg"]
    starts = [place for place in range(len(data)) if data.startswith(b"OggS", place)]
    assert len(starts) > 3
    assert "pages are missing" in str(found(data[: starts[2]] + data[starts[3] :]))


def test_the_checksum_is_that_of_ogg(files: dict[str, bytes]) -> None:
    data = files["x.ogg"]
    page = bytearray(data[: data.index(b"OggS", 4)])
    said = int.from_bytes(page[22:26], "little")
    page[22:26] = bytes(4)
    assert checksum(bytes(page)) == said


@pytest.mark.parametrize("name", ["x.jpg", "x.gif", "x.webp"])
def test_damaged_structure_is_noticed(files: dict[str, bytes], name: str) -> None:
    data = files[name]
    place = {"x.jpg": data.find(b"\xff\xdb") + 2, "x.gif": data.find(b"\x21\xf9"), "x.webp": 16}[name]
    spoilt = data[:place] + b"\x7f\x7f\x7f" + data[place + 3 :]
    assert found(spoilt) is not None


def test_damage_is_an_error_of_the_file(files: dict[str, bytes], tmp_path: Path) -> None:
    spoilt = bytearray(files["x.mkv"])
    spoilt[len(spoilt) // 2] ^= 1
    (tmp_path / "x.mkv").write_bytes(spoilt)
    with pytest.raises(MediaError, match="does not match its checksum"):
        Clip.open(tmp_path / "x.mkv")


def test_a_track_without_a_decoder_is_not_taken_for_an_absent_one(files: dict[str, bytes], tmp_path: Path) -> None:
    unknown = files["x.mkv"].replace(b"V_FFV1", b"V_XXXX")
    assert unknown != files["x.mkv"]
    place = unknown.rindex(b"\x16\x54\xae\x6b")  # Tracks: without its checksum, which would be noticed first
    crc = unknown.index(b"\xbf\x84", place)
    unknown = unknown[:crc] + b"\xec\x84" + unknown[crc + 2 :]  # an element that says nothing
    (tmp_path / "x.mkv").write_bytes(unknown)
    with pytest.raises(MediaError, match="no decoder for the picture track"):
        Clip.open(tmp_path / "x.mkv")


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_breaks_off_is_no_traceback(files: dict[str, bytes], name: str) -> None:
    data = files[name]
    starts = [data[:length] for length in range(1, 120)]
    for spoilt in (*starts, *(data + start for start in starts), *(data[:-length] for length in range(1, 120))):
        answer = found(spoilt)
        assert answer is None or isinstance(answer, str)
