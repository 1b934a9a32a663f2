"""Sound on the clip's clock: codecs, late starts, gaps, rates and channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import remux, repacked, tones, write

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media import _waveform as waveform
from avreward.media._waveform import resampled
from avreward.media.resampling import remix, resample


def sound_file(path: Path, sound: str, **given: object) -> Path:
    return write(path, codec=None, sound=sound, **given)


@pytest.mark.parametrize(
    ("ending", "sound", "bound"),
    [
        ("wav", "pcm_s16le", 0),
        ("wav", "pcm_s24le", 0),
        ("wav", "pcm_s32le", 0),
        ("wav", "pcm_f32le", 0),
        ("wav", "pcm_f64le", 0),
        ("wav", "pcm_u8", 1 / 128),
        ("wav", "pcm_alaw", 0.02),
        ("flac", "flac", 0),
        ("m4a", "alac", 0),
        ("aiff", "pcm_s16be", 0),
        ("mkv", "pcm_s16le", 0),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_sound_is_exact(tmp_path: Path, ending: str, sound: str, bound: float, channels: int) -> None:
    clip = Clip.open(sound_file(tmp_path / f"x.{ending}", sound, channels=channels, rate=44100, seconds=0.7))
    assert (clip.sample_rate, clip.channels) == (44100, channels)
    assert clip.audio.dtype == torch.float32
    assert clip.audio.shape == (channels, 30870)
    assert (clip.audio - torch.from_numpy(tones(0.7, 44100, channels))).abs().max() <= bound
    assert clip.seconds == pytest.approx(0.7, abs=2e-3)


@pytest.mark.parametrize(
    ("ending", "sound", "rate"),
    [
        ("m4a", "aac", 44100),
        ("mp4", "aac", 48000),
        ("mkv", "aac", 48000),
        ("mp3", "libmp3lame", 44100),
        ("ogg", "libopus", 48000),
        ("webm", "libopus", 48000),
        ("mkv", "libopus", 48000),
    ],
)
def test_what_a_codec_puts_in_front_is_cut(tmp_path: Path, ending: str, sound: str, rate: int) -> None:
    clip = Clip.open(sound_file(tmp_path / f"x.{ending}", sound, rate=rate, seconds=1.5))
    there, here = torch.from_numpy(tones(1.5, rate, 2)), clip.audio
    assert 0 <= here.shape[1] - there.shape[1] <= (1024 if ending == "mkv" else 1)  # Matroska keeps what fills up AAC
    middle = slice(rate // 4, rate)
    assert (here[:, middle] - there[:, middle]).abs().max() < 0.05  # a shift by two samples would be 0.03 more
    assert clip.seconds == pytest.approx(1.5, abs=0.022 if ending == "mkv" else 2e-3)


def test_five_channels_and_one(tmp_path: Path) -> None:
    clip = Clip.open(sound_file(tmp_path / "x.flac", "flac", channels=6))
    there = torch.from_numpy(tones(1.2, 48000, 6))
    assert torch.equal(clip.audio, there)
    for channels in (1, 2):
        assert torch.allclose(clip.sound(channels=channels), remix(there, channels), atol=1e-6)
    with pytest.raises(MediaError, match="channels"):
        clip.sound(channels=3)


@settings(max_examples=30, deadline=None)
@given(
    rates=st.tuples(st.integers(30, 400), st.integers(30, 400)),
    cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    channels=st.integers(1, 2),
)
def test_resampling_in_pieces_is_resampling(rates: tuple[int, int], cuts: list[int], channels: int) -> None:
    audio = torch.rand(channels, sum(cuts), generator=torch.Generator().manual_seed(0)) - 0.5
    with pytest.MonkeyPatch.context() as patch:  # small blocks, so that there are many
        patch.setattr(waveform, "_BLOCK", 256)
        patch.setattr(waveform, "_CONTEXT", 64)
        pieces = list(resampled(iter(audio.split(cuts, dim=1)), *rates))
    whole = resample(audio, *rates)
    joined = torch.cat(pieces, dim=1)
    assert joined.shape == whole.shape
    assert torch.allclose(joined, whole, atol=2e-6)


def test_a_long_sound_at_another_rate_is_that_of_its_tensor(tmp_path: Path) -> None:
    clip = Clip.open(sound_file(tmp_path / "long.wav", "pcm_s16le", rate=44100, seconds=20, channels=1))
    tensor = Clip(audio=clip.audio, sample_rate=44100)
    for rate in (16000, 48000, 44100):
        ours, theirs = clip.sound(rate, 1), tensor.sound(rate, 1)
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=2e-6)


def paused(path: Path, starts: list[float], rate: int = 48000) -> Path:
    """One second of PCM, in tenths that begin at `starts`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate)
        stream.layout = "mono"
        pieces = np.split(np.round(tones(1.0, rate, 1) * 32768).astype(np.int16), 10, axis=1)
        for start, piece in zip(starts, pieces, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_gaps_are_silent_and_time_goes_on(tmp_path: Path) -> None:
    starts = [i / 10 + (0.25 if i >= 4 else 0.0) for i in range(10)]
    audio = Clip.open(paused(tmp_path / "gap.mkv", starts)).audio
    there = torch.from_numpy(tones(1.0, 48000, 1))
    assert torch.equal(audio, torch.cat([there[:, :19200], torch.zeros(1, 12000), there[:, 19200:]], dim=1))


def test_jitter_of_time_stamps_leaves_no_gap(tmp_path: Path) -> None:
    starts = [i / 10 + (0.004 if i % 2 else 0.0) for i in range(10)]
    assert torch.equal(Clip.open(paused(tmp_path / "jitter.mkv", starts)).audio, torch.from_numpy(tones(1.0, 48000, 1)))


def test_rates_that_milliseconds_do_not_divide_stay_exact(tmp_path: Path) -> None:
    clip = Clip.open(sound_file(tmp_path / "x.mkv", "pcm_s16le", rate=44100, seconds=3, channels=1))
    assert torch.equal(clip.audio, torch.from_numpy(tones(3.0, 44100, 1)))


@pytest.mark.parametrize(("ending", "sound"), [("mkv", "flac"), ("mp4", "aac"), ("mkv", "aac"), ("mka", "alac")])
def test_damage_in_the_middle_is_an_error(tmp_path: Path, ending: str, sound: str) -> None:
    file = sound_file(tmp_path / f"x.{ending}", sound)

    def spoil(number: int, packet: av.Packet) -> av.Packet:
        return repacked(packet, b"\xff" * packet.size) if number == 5 else packet

    assert Clip.open(file).sound().isfinite().all()
    clip = Clip.open(remux(file, tmp_path / f"spoilt.{ending}", spoil))
    with pytest.raises(MediaError, match="does not decode"):
        clip.sound()


@pytest.mark.parametrize(
    ("name", "sound", "tail"),
    [
        ("x.mp3", "libmp3lame", b"TAG" + b"a title".ljust(125, b"\0")),
        ("x.mp3", "libmp3lame", b"LYRICSBEGIN la la la " * 20),
        ("x.mp3", "libmp3lame", bytes(500)),
        ("x.aac", "aac", bytes(number * 151 % 251 for number in range(700))),
    ],
)
def test_tags_at_the_end_are_no_damage(tmp_path: Path, name: str, sound: str, tail: bytes) -> None:
    file = sound_file(tmp_path / name, sound, rate=44100)
    before = Clip.open(file).audio
    file.write_bytes(file.read_bytes() + tail)
    assert torch.equal(Clip.open(file).audio, before)


def test_glued_files_of_two_rates_play_at_the_first(tmp_path: Path) -> None:
    parts = [sound_file(tmp_path / f"{rate}.mp3", "libmp3lame", rate=rate, seconds=1.0) for rate in (48000, 24000)]
    file = tmp_path / "glued.mp3"
    file.write_bytes(b"".join(part.read_bytes() for part in parts))
    try:
        clip = Clip.open(file)
        audio = clip.audio
    except MediaError:
        return  # its header counts the frames of the first part only, or the second doesn't fit: said, not guessed
    assert clip.sample_rate == 48000
    assert audio.isfinite().all()


def test_sound_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    file = sound_file(tmp_path / "x.ogg", "libopus", seconds=3)
    assert Clip.open(file, max_seconds=3.1).audio.shape[1] > 140_000
    with pytest.raises(MediaError, match="max_seconds"):
        Clip.open(file, max_seconds=2).sound()


@pytest.mark.parametrize("ending", ["wav", "mkv", "aiff", "caf", "mov"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 32767.0, -9.0])
def test_a_bad_sample_is_named_with_its_moment(tmp_path: Path, ending: str, bad: float) -> None:
    samples = tones(0.5, 16000, 2)
    samples[1, 4000] = bad
    codec = "pcm_f32be" if ending in ("aiff", "caf") else "pcm_f32le"
    clip = Clip.open(write(tmp_path / f"x.{ending}", codec=None, sound=codec, rate=16000, samples=samples))
    problem = r"values up to .*, far outside \[-1, 1\], at" if abs(bad) < 1e9 else "contains NaN or infinity at"
    for read in (clip.sound, lambda: clip.sound(8000, 1), lambda: clip.spans([(0.0, 0.4)])):
        with pytest.raises(MediaError, match=rf"x\.{ending}: its audio .*{problem} 0\.250 s; ") as error:
            read()
        assert error.value.source == str(clip.path)
    with pytest.raises(MediaError, match=r"NaN or infinity|far outside \[-1, 1\]"):  # as of a tensor
        Clip(audio=torch.from_numpy(samples), sample_rate=16000)


def test_a_double_beyond_float32_is_infinity(tmp_path: Path) -> None:
    file = sound_file(tmp_path / "x.wav", "pcm_f64le", seconds=0.1)
    data = bytearray(file.read_bytes())
    data[-8:] = np.float64(1e300).tobytes()
    file.write_bytes(data)
    with pytest.raises(MediaError, match=r"NaN or infinity at 0\.100 s"):
        Clip.open(file).sound()


def test_peaks_of_a_loud_mix_are_kept(tmp_path: Path) -> None:
    loud = 8 * tones(0.1, 48000, 2) / 0.31
    file = write(tmp_path / "x.wav", codec=None, sound="pcm_f32le", samples=loud)
    assert torch.equal(Clip.open(file).sound(), torch.from_numpy(loud))


@pytest.mark.parametrize(("ending", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("m4a", "aac"), ("ac3", "ac3")])
def test_opposite_channels_in_a_file_are_not_silence(tmp_path: Path, ending: str, codec: str) -> None:
    wave = tones(1.0, 48000, 1)
    path = write(tmp_path / f"x.{ending}", codec=None, sound=codec, samples=np.concatenate([wave, -wave]))
    clip = Clip.open(path)
    assert float(clip.sound(16000, 1).square().mean()) == pytest.approx(0.045, rel=0.05)
    tensor = Clip(audio=clip.audio, sample_rate=48000)
    assert torch.allclose(clip.sound(16000, 1), tensor.sound(16000, 1), atol=1e-6)
    for ours, theirs in zip(*(c.spans([(0.1, 0.3), (0.5, 0.7)], 16000, 1) for c in (clip, tensor)), strict=True):
        assert float(ours.square().mean()) > 0.04
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_channels_are_judged_up_to_the_end_of_what_is_asked_for(tmp_path: Path) -> None:
    wave = tones(1.0, 48000, 1)
    samples = np.concatenate([wave, -wave])
    samples[1, 24000:] *= -1  # opposite in the first half, the same in the second
    clip = Clip.open(write(tmp_path / "x.wav", codec=None, sound="pcm_f32le", samples=samples))
    tensor = Clip(audio=torch.from_numpy(samples), sample_rate=48000)
    for either in (clip, tensor):
        assert float(either.spans([(0.1, 0.5)], 48000, 1)[0].abs().max()) > 0.2
        whole = either.sound(48000, 1)
        assert torch.equal(whole, torch.from_numpy(samples).mean(0, keepdim=True))
