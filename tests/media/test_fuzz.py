"""Whatever the bytes are, a file gives a clip or a `MediaError`: no crash, no other exception, no endless loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_files import write

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import AllFrames, FramePlan, Spread

KINDS: dict[str, dict[str, Any]] = {
    "x.mp4": {"sound": "aac", "options": {"bf": "2"}},
    "pieces.mp4": {"sound": "aac", "mux": {"movflags": "frag_keyframe+empty_moov"}},
    "x.mkv": {"codec": "ffv1", "pixels": "bgr0", "sound": "pcm_s16le", "seconds": 0.4, "count": 4},
    "x.webm": {"codec": "libvpx-vp9", "sound": "libopus", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "x.ts": {"sound": "aac"},
    "x.avi": {"codec": "mpeg4", "sound": "libmp3lame"},
    "x.wav": {"codec": None, "sound": "pcm_s16le", "seconds": 0.2},
    "x.mp3": {"codec": None, "sound": "libmp3lame"},
    "x.ogg": {"codec": None, "sound": "libopus"},
    "x.flac": {"codec": None, "sound": "flac", "seconds": 0.4},
    "x.wv": {"codec": None, "sound": "wavpack", "seconds": 0.4},
    "x.m4a": {"codec": None, "sound": "aac"},
    "x.gif": {"codec": "gif", "pixels": "rgb8", "count": 3},
    "x.png": {"codec": "png", "pixels": "rgb24", "count": 1, "form": "image2"},
}
HEADS = st.integers(0, 600)  # most of what can go wrong is in the header
PLACES = st.one_of(HEADS, st.integers(0, 2**20))
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), PLACES, st.integers(0, 7)),
        st.tuples(st.just("set"), PLACES, st.sampled_from([0, 1, 127, 128, 255])),
        st.tuples(st.just("zero"), PLACES, st.integers(1, 600)),
        st.tuples(st.just("insert"), PLACES, st.integers(1, 60)),
        st.tuples(st.just("drop"), PLACES, st.integers(1, 60)),
        st.tuples(st.just("cut"), PLACES, st.just(0)),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    return {name: write(folder / name, **kind).read_bytes() for name, kind in KINDS.items()}


def spoilt(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    out = bytearray(data)
    for kind, anywhere, value in changes:
        place = anywhere % max(1, len(out))
        if not out:
            break
        if kind == "flip":
            out[place] ^= 1 << value
        elif kind == "set":
            out[place] = value
        elif kind == "zero":
            out[place : place + value] = bytes(len(out[place : place + value]))
        elif kind == "insert":
            out[place:place] = bytes((place * 7 + i * 31) % 256 for i in range(value))
        elif kind == "drop":
            del out[place : place + value]
        else:
            del out[place:]
    return bytes(out)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(KINDS)), changes=CHANGES)
def test_spoilt_files(
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
    files: dict[str, bytes],
    name: str,
    changes: list[tuple[str, int, int]],
) -> None:
    file = tmp_path / name
    file.write_bytes(spoilt(files[name], changes))
    try:
        clip = Clip.open(file, max_seconds=600, max_pixels=2**22)
        if clip.has_video:
            small, whole = clip.views([FramePlan(Spread(3), max_side=32), FramePlan(AllFrames(), crop=32)])
            assert len(whole) == len(clip.times)
            assert clip.keys["video"]
            assert small.isfinite().all()
        if clip.has_audio:
            sound = clip.sound(16000, 1 if clip.channels in (1, 2, 5, 6, 8) else None)
            assert sound.shape[1] <= 601 * 16000
            assert clip.keys["audio"]
    except MediaError as error:
        problem = error
    else:
        problem = MediaError(file, "none", "none")
    assert "\n" not in str(problem)
    assert problem.source in (str(file), "audio")
    assert capfd.readouterr().err == ""
