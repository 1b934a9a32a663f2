"""Tracks and time stamps: where frames and sound lie on the clip's clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_files import frames, picture, remux, repacked, tones, write

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import AllFrames, FramePlan

KEPT = {"avoid_negative_ts": "disabled"}
EXACT: dict[str, Any] = {"codec": "ffv1", "pixels": "bgr0"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 900), min_size=1, max_size=30), st.sampled_from(["mkv", "mp4"]))
def test_variable_frame_rates_are_kept(tmp_path: Path, gaps: list[int], ending: str) -> None:
    times = (np.cumsum([0, *gaps]) / 1000).tolist()
    codec = EXACT if ending == "mkv" else {"options": {"bf": "3", "preset": "ultrafast"}}
    clip = Clip.open(write(tmp_path / f"vfr.{ending}", count=len(times), times=times, **codec))
    assert clip.times.tolist() == pytest.approx(times, abs=1e-9)
    assert clip.seconds == pytest.approx(times[-1] + sorted(gaps)[(len(gaps) - 1) // 2] / 1000)


def test_reordered_frames_come_in_order(tmp_path: Path) -> None:
    file = write(tmp_path / "b.mp4", count=30, options={"bf": "4", "b-pyramid": "normal", "crf": "12"})
    with av.open(str(file)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert stamps != sorted(stamps)
    clip = Clip.open(file)
    assert clip.times.tolist() == pytest.approx([i / 10 for i in range(30)])
    assert (clip.video - frames(30)).abs().mean() < 0.02


def test_one_frame_has_a_time(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "one.mkv", count=1, **EXACT))
    assert clip.times.tolist() == [0.0]
    assert clip.seconds == pytest.approx(0.1)
    assert torch.equal(clip.video, frames(1))


@pytest.mark.parametrize("late", ["sound", "picture", "both"])
def test_a_track_that_starts_late_stays_late(tmp_path: Path, late: str) -> None:
    shift = 0.0 if late == "sound" else 0.5
    times = [shift + i / 10 for i in range(6)]
    at = {"sound": 0.3, "picture": 0.0, "both": 0.75}[late]
    file = write(tmp_path / "late.mkv", 6, times=times, sound="pcm_s16le", sound_at=at, seconds=0.5, **EXACT)
    clip = Clip.open(file)
    origin = 0.5 if late == "both" else 0.0  # clip time 0 is where the first track begins
    assert clip.times.tolist() == pytest.approx([time - origin for time in times], abs=1e-9)
    silence = torch.zeros(2, round((at - origin) * 48000))
    assert torch.equal(clip.audio, torch.cat([silence, torch.from_numpy(tones(0.5, 48000, 2))], dim=1))
    assert clip.seconds == pytest.approx(max(float(clip.times[-1]) + 0.1, at - origin + 0.5), abs=2e-3)


def test_sound_before_the_picture_counts_from_zero(tmp_path: Path) -> None:
    early = write(tmp_path / "early.mkv", 6, sound="pcm_s16le", sound_at=-0.1, seconds=0.5, mux=KEPT, **EXACT)
    clip = Clip.open(early)  # as if a codec needed a tenth of a second to start, and nothing said so
    assert clip.times.tolist() == pytest.approx([i / 10 for i in range(6)])
    assert torch.equal(clip.audio, torch.from_numpy(tones(0.5, 48000, 2))[:, 4800:])


def test_frames_that_an_edit_list_hides_are_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "whole.mp4", count=20, options={"bf": "2", "crf": "10"})

    def earlier(_: int, packet: av.Packet) -> av.Packet:
        shift = round(Fraction(1, 2) / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return packet

    cut = Clip.open(remux(file, tmp_path / "cut.mp4", earlier))
    whole = Clip.open(file)
    assert len(cut.times) == 15
    assert cut.times.tolist() == pytest.approx(whole.times[:15].tolist(), abs=1e-4)
    assert torch.equal(cut.video, whole.video[5:])


def test_frames_before_the_first_keyframe_are_left_out(tmp_path: Path) -> None:
    options = {"g": "6", "sc_threshold": "0", "bf": "0"}
    file = write(tmp_path / "whole.mkv", count=20, options=options)
    cut = remux(file, tmp_path / "cut.mkv", lambda number, packet: packet if number >= 2 else None)
    clip, whole = Clip.open(cut), Clip.open(file)
    assert len(clip.times) == 14
    assert torch.equal(clip.video, whole.video[6:])


def test_hidden_reference_frames_are_no_frames(tmp_path: Path) -> None:
    file = write(tmp_path / "shown.webm", count=10, codec="libvpx", options={"deadline": "realtime"})

    def hide(number: int, packet: av.Packet) -> av.Packet:
        data = bytes(packet)
        return repacked(packet, bytes([data[0] & ~0x10]) + data[1:]) if number in (4, 7) else packet

    clip = Clip.open(remux(file, tmp_path / "hidden.webm", hide))
    assert clip.times.tolist() == pytest.approx([i / 10 for i in range(10) if i not in (4, 7)])
    assert len(clip.video) == 8


def test_raw_streams_are_timed_by_their_rate(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "raw.h264", count=15, fps=25, form="h264", options={"bf": "2"}))
    assert len(clip.times) == 15
    assert clip.times.tolist() == pytest.approx([i / 25 for i in range(15)], abs=1e-3)
    assert (clip.video - frames(15)).abs().mean() < 0.03


def test_animations_and_stills(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "x.apng", 4, codec="apng", pixels="rgb24"))
    assert torch.equal(clip.video, frames(4))
    assert clip.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    clip = Clip.open(write(tmp_path / "x.gif", 4, codec="gif", pixels="rgb8"))
    assert clip.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    still = Clip.open(write(tmp_path / "x.png", 1, codec="png", pixels="rgb24", form="image2"))
    assert torch.equal(still.video, frames(1))
    assert still.missing == {"audio": "no sound track"}


@pytest.mark.parametrize(("ending", "sound"), [("m4a", "aac"), ("mp3", "libmp3lame"), ("flac", "flac")])
def test_cover_art_is_no_picture(tmp_path: Path, ending: str, sound: str) -> None:
    file = tmp_path / f"song.{ending}"
    with av.open(str(file), "w", format="mp4" if ending == "m4a" else None) as container:
        audio = container.add_stream(sound, rate=44100)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(tones(1.0, 44100, 2), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
        container.mux([*audio.encode(frame), *audio.encode()])
    clip = Clip.open(file)
    assert clip.has_audio
    assert not clip.has_video
    assert clip.missing == {"video": "no picture track"}
    with pytest.raises(MediaError, match="no picture track"):
        clip.frames(FramePlan(AllFrames()))


def test_silent_and_empty_tracks_are_missing_with_a_reason(tmp_path: Path) -> None:
    silent = Clip.open(write(tmp_path / "silent.mp4"))
    assert silent.missing == {"audio": "no sound track"}
    with pytest.raises(MediaError, match="no sound track"):
        silent.sound()
    empty = Clip.open(write(tmp_path / "empty.mkv", sound="pcm_s16le", seconds=0, **EXACT))
    assert empty.missing == {"audio": "the sound track is empty"}
    with pytest.raises(MediaError, match="empty"):
        Clip.open(write(tmp_path / "nothing.mkv", count=0, sound="pcm_s16le", seconds=0, **EXACT))


def test_the_default_track_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "two.mkv"
    with av.open(str(file), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000) for _ in range(2)]
        for stream, marked in zip(streams, (False, True), strict=True):
            stream.layout = "mono"
            stream.disposition = av.stream.Disposition.default if marked else av.stream.Disposition(0)
        for level, stream in enumerate(streams):
            frame = av.AudioFrame.from_ndarray(np.full((1, 800), 1000 * level, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
            container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    assert torch.equal(Clip.open(file).audio, torch.full((1, 800), 1000 / 32768))


RATES = {
    "x.mkv": {}, "x.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "x.mp4": {}, "x.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
}  # fmt: skip


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("fps", [24, 25, 30, 60, 120])
def test_fps_is_what_the_file_states(tmp_path: Path, name: str, fps: int) -> None:
    assert Clip.open(write(tmp_path / name, 31, fps=fps, **RATES[name])).fps == pytest.approx(fps, rel=1e-9)


@pytest.mark.parametrize("fps", [24, 25, 30, 50])
def test_fps_of_a_gif_is_its_mean(tmp_path: Path, fps: int) -> None:  # whose delays are hundredths of a second
    clip = Clip.open(write(tmp_path / "x.gif", 60, codec="gif", pixels="rgb8", fps=fps))
    assert clip.fps == pytest.approx(fps, rel=2e-3)


def test_fps_of_dropped_and_of_uneven_frames(tmp_path: Path) -> None:
    kept = [number for number in range(60) if number not in (7, 8, 20, 41)]
    dropped = write(tmp_path / "dropped.mkv", 56, fps=30, times=[number / 30 for number in kept])
    assert Clip.open(dropped).fps == pytest.approx(30)
    uneven = np.cumsum([0.033, 0.047, 0.041, 0.029, 0.044] * 6).tolist()
    clip = Clip.open(write(tmp_path / "uneven.mkv", 30, fps=30, times=uneven))
    assert clip.fps == pytest.approx(1 / 0.041)
