"""Whatever the bytes are, a file gives a clip or a `MediaError`: no crash, no other exception, no endless loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from attacks.mutations import KINDS, PICTURES, make, spoilt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import AllFrames, FramePlan, Spread

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
    return make(folder)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted([*KINDS, *PICTURES])), changes=CHANGES)
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
