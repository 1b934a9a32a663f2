"""What is kept of a file is all that the file says: a clip made of it can't be told from one that read it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from media_files import write

from avreward.clip import Clip
from avreward.media import _index_cache
from avreward.media._container import FileStamp, Limits
from avreward.media._file_tracks import FileAudio, FileVideo
from avreward.media._index import read_index
from avreward.media._index_cache import FORMAT, made_by, pack, unpack

KINDS: dict[str, dict[str, Any]] = {
    "a.mp4": {"sound": "aac", "options": {"bf": "2"}},
    "late.mkv": {"sound": "flac", "sound_at": 0.4, "times": [0.1, 0.2, 0.35, 0.8], "count": 4},
    "turned.mp4": {"turned": 90},
    "sound.wav": {"codec": None, "sound": "pcm_s16le"},
    "raw.h264": {"form": "h264"},
}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_lost(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **KINDS[name])
    stamp, limits = FileStamp.of(path), Limits()
    index = read_index(stamp, limits)
    picture = FileVideo(index) if index.picture is not None else None
    sound = FileAudio(index) if index.sound is not None else None
    data = pack(index, picture, sound)
    assert len(data) < 2000
    again, seen, heard = unpack(data, stamp, limits)
    assert again == index
    assert ((seen is None), (heard is None)) == ((picture is None), (sound is None))
    if picture is not None and seen is not None:
        assert (seen.orientation, seen.key, seen.size, seen.end) == (
            picture.orientation,
            picture.key,
            picture.size,
            picture.end,
        )
    if sound is not None and heard is not None:
        assert heard.key == sound.key

    clip, read = Clip._of_file(again, seen, heard, "a ball", {"speech": "hm"}), Clip.open(path, prompt="a ball")
    assert (clip.prompt, clip.texts, clip.path) == ("a ball", {"speech": "hm"}, path)
    assert (dict(clip.keys), clip.missing, clip.seconds, clip.fps) == (
        dict(read.keys),
        read.missing,
        read.seconds,
        read.fps,
    )
    if read.has_video:
        assert clip.times.equal(read.times)
        assert clip.video.equal(read.video)
    if read.has_audio:
        assert torch.equal(clip.audio, read.audio)


def test_nothing_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", sound="aac")
    stamp, limits = FileStamp.of(path), Limits()
    index = read_index(stamp, limits)
    data = pack(index, FileVideo(index), FileAudio(index))
    path.unlink()
    clip = Clip._of_file(*unpack(data, stamp, limits), None, None)
    assert (clip.height, clip.width, clip.sample_rate, len(clip.keys["video"])) == (48, 64, 48000, 32)


LAYOUTS = {
    1: {
        "top": ["keys", "missing", "orientation", "picture", "sound"],
        "picture": [
            "base",
            "count",
            "end",
            "height",
            "interval",
            "keyframes",
            "origin",
            "plain",
            "stamps",
            "stream",
            "width",
        ],
        "sound": ["base", "channels", "end", "names", "origin", "rate", "start", "stream"],
        "orientation": ["flip_columns", "flip_rows", "transpose"],
        "missing": [],
        "keys": ["audio", "video"],
    }
}
LAYOUTS[2] = LAYOUTS[1] | {"sound": [*LAYOUTS[1]["sound"][:5], "primed", *LAYOUTS[1]["sound"][5:]]}
LAYOUTS[3] = LAYOUTS[2] | {name: sorted([*LAYOUTS[2][name], "glance"]) for name in ("picture", "sound")}


def test_another_layout_is_another_format(tmp_path: Path) -> None:
    """Who changes what is kept raises `FORMAT`, and adds the layout here."""
    path = write(tmp_path / "a.mp4", sound="aac")
    index = read_index(FileStamp.of(path), Limits())
    content = json.loads(zlib.decompress(pack(index, FileVideo(index), FileAudio(index))))
    found = {"top": sorted(content)} | {
        name: sorted(content[name]) for name in ("picture", "sound", "orientation", "missing", "keys")
    }
    assert found == LAYOUTS[FORMAT]


@pytest.mark.parametrize("name", ["FORMAT", "VERSION", "decoder"])
def test_what_found_it_out_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = made_by()
    monkeypatch.setattr(_index_cache, name, (lambda: "17.0.1") if name == "decoder" else 99)
    assert made_by() != before
