"""What is saved is what is read: values, times, sync; nothing half-written stays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from media_files import frames, tones, write

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.media import _encode as encode
from avreward.media.sampling import FramePlan, Spread

WAVE = torch.from_numpy(tones(1.0, 44100, 2))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(gaps=[], size=(16, 16), sound=(11025, 50_000), channels=1, first=0)  # its end is announced 1.1 ms early
@given(
    gaps=st.lists(st.integers(1, 200), min_size=0, max_size=12),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    sound=st.one_of(st.none(), st.tuples(st.sampled_from([8000, 11025, 44100, 48000]), st.integers(1, 50_000))),
    channels=st.sampled_from([1, 2, 6]),
    first=st.sampled_from([0, 250]),
)
def test_matroska_is_exact(
    tmp_path: Path, gaps: list[int], size: tuple[int, int], sound: tuple[int, int] | None, channels: int, first: int
) -> None:
    generator = torch.Generator().manual_seed(sum(gaps))
    times = (first + np.cumsum([0, *gaps])) / 1000
    video = torch.randint(0, 256, (len(times), 3, *size), generator=generator) / 255
    given = {}
    if sound is not None:
        audio = torch.randint(-32768, 32768, (channels, sound[1]), generator=generator) / 32768
        given = {"audio": audio, "sample_rate": sound[0]}
    clip = Clip(video=video, times=torch.tensor(times), **given)
    clip.save(tmp_path / "exact.mkv")
    back = Clip.open(tmp_path / "exact.mkv")
    assert torch.equal(back.video, video)
    zero = 0 if sound is not None else first / 1000  # a file's clock starts with its first track
    assert back.times.tolist() == pytest.approx((times - zero).tolist(), abs=1e-9)
    if sound is not None:
        assert torch.equal(back.audio, audio)
        assert back.sample_rate == sound[0]


@pytest.mark.parametrize("ending", ["mp4", "mov", "m4a"])
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 37800])
def test_a_click_stays_where_it_was(tmp_path: Path, ending: str, rate: int) -> None:
    picture = {"video": frames(10), "fps": 10} if ending != "m4a" else {}
    for at in (0.004, 0.31, 0.97):
        audio = torch.zeros(1, rate)
        audio[0, round(at * rate)] = 0.9
        Clip(audio=audio, sample_rate=rate, **picture).save(tmp_path / f"click.{ending}")
        back = Clip.open(tmp_path / f"click.{ending}")
        place = int(back.audio[0].abs().argmax()) / back.sample_rate
        assert abs(place - at) < 1 / 8000  # far below the 1024 samples of a frame
        assert back.audio.shape[1] == pytest.approx(back.sample_rate, abs=1)


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63), (2, 2)])
def test_mp4_keeps_size_times_and_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    video = frames(12, *size)
    times = torch.tensor([0, 1, 2, 3, 10, 11, 12.5, 13, 17, 18, 19, 30]) / 30 + 0.1
    Clip(video=video, times=times, audio=WAVE, sample_rate=44100).save(tmp_path / "x.mp4", crf=4)
    back = Clip.open(tmp_path / "x.mp4")
    assert back.video.shape == video.shape
    assert back.times.tolist() == pytest.approx(times.tolist(), abs=1e-5)
    if size != (2, 2):
        assert (back.video - video).abs().mean() < 2 / 255
        assert abs(float((back.video - video).mean())) < 0.5 / 255
    with av.open(str(tmp_path / "x.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (1, 1)  # told to whoever plays it
        assert codec.pix_fmt == ("yuv420p" if size in ((48, 64), (2, 2)) else "yuv444p")


def test_better_quality_is_larger(tmp_path: Path) -> None:
    clip = Clip(video=frames(10), fps=10)
    for crf in (2, 40):
        clip.save(tmp_path / f"{crf}.mp4", crf=crf)
    assert (tmp_path / "2.mp4").stat().st_size > 2 * (tmp_path / "40.mp4").stat().st_size


@pytest.mark.parametrize(("ending", "bound"), [("wav", 0), ("flac", 0), ("m4a", 0.05)])
def test_sound_alone(tmp_path: Path, ending: str, bound: float) -> None:
    Clip(audio=WAVE, sample_rate=44100).save(tmp_path / f"x.{ending}")
    back = Clip.open(tmp_path / f"x.{ending}")
    assert back.audio.shape == WAVE.shape
    assert (back.audio - WAVE)[:, 2000:-2000].abs().max() <= bound


def test_what_exceeds_full_scale_is_clipped(tmp_path: Path) -> None:
    audio = torch.tensor([[1.5, -1.5, 1.0, -1.0, 0.5]])
    video = torch.tensor([-0.2, 0.5, 1.3]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    Clip(audio=audio, sample_rate=8000, video=video, fps=1).save(tmp_path / "x.mkv")
    back = Clip.open(tmp_path / "x.mkv")
    assert back.audio[0].tolist() == audio[0].tolist()  # of PCM alone, which is float then
    Clip(audio=audio, sample_rate=8000).save(tmp_path / "x.flac")
    clipped = Clip.open(tmp_path / "x.flac").audio[0].tolist()
    assert clipped == [1 - 2**-23, -1, 1 - 2**-23, -1, 0.5]
    assert back.video[0, :, 0, 0].tolist() == pytest.approx([0, 128 / 255, 1])


def test_halves_with_gradients_are_saved(tmp_path: Path) -> None:
    video = frames(2).half().requires_grad_()
    audio = WAVE.bfloat16().requires_grad_()
    Clip(video=video, fps=5, audio=audio, sample_rate=44100).save(tmp_path / "x.mkv")
    back = Clip.open(tmp_path / "x.mkv")
    assert (back.video - video.detach().float()).abs().max() < 1 / 255
    assert torch.allclose(back.audio, audio.detach().float(), atol=1e-4)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_an_untouched_picture_is_copied(tmp_path: Path, ending: str) -> None:
    times = [i / 10 + 0.003 * (i % 3) for i in range(20)]
    source = Clip.open(write(tmp_path / "in.mp4", 20, times=times, options={"bf": "3"}, sound="aac"))
    dub = Clip(audio=WAVE, sample_rate=44100)
    source.with_audio(dub).save(tmp_path / f"out.{ending}")
    out = Clip.open(tmp_path / f"out.{ending}")
    assert torch.equal(out.video, source.video)
    assert out.times.tolist() == pytest.approx(times, abs=5.1e-4 if ending == "mkv" else 1e-6)
    if ending == "mkv":
        assert torch.equal(out.audio, WAVE)
    else:
        assert out.keys["video"] == source.keys["video"]
        assert (out.audio - WAVE)[:, 2000:-2000].abs().max() < 0.05


def test_untouched_sound_is_copied(tmp_path: Path) -> None:
    source = Clip.open(write(tmp_path / "in.mp4", sound="aac"))
    source.save(tmp_path / "out.mp4")
    out = Clip.open(tmp_path / "out.mp4")
    assert torch.equal(out.audio, source.audio)
    assert torch.equal(out.video, source.video)
    assert dict(out.keys) == dict(source.keys)


def test_a_late_sound_stays_late_when_it_is_copied(tmp_path: Path) -> None:
    source = Clip.open(write(tmp_path / "in.mp4", sound="aac", sound_at=0.5))
    assert source.audio[:, :20000].abs().max() < 1e-3
    for ending in ("mp4", "mkv"):
        source.save(tmp_path / f"out.{ending}")
        assert (Clip.open(tmp_path / f"out.{ending}").audio - source.audio).abs().max() < 1e-4


def test_a_copy_starts_where_the_clip_does(tmp_path: Path) -> None:
    times = [0.75 + i / 10 for i in range(8)]
    file = write(tmp_path / "in.mkv", 8, times=times, sound="pcm_s16le", sound_at=0.5)
    source = Clip.open(file)
    assert float(source.times[0]) == pytest.approx(0.25)
    source.with_audio(WAVE, 44100).save(tmp_path / "out.mp4")
    out = Clip.open(tmp_path / "out.mp4")
    assert out.times.tolist() == pytest.approx(source.times.tolist(), abs=1e-3)
    assert torch.equal(out.video, source.video)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_rotated_picture_is_copied_with_its_rotation(tmp_path: Path, ending: str) -> None:
    source = Clip.open(write(tmp_path / "in.mp4", 4, turned=90))
    source.save(tmp_path / f"out.{ending}")
    assert torch.equal(Clip.open(tmp_path / f"out.{ending}").video, source.video)


def test_a_transport_stream_is_not_copied_as_it_is(tmp_path: Path) -> None:
    source = Clip.open(write(tmp_path / "in.ts", 8, sound="aac"))
    source.save(tmp_path / "out.mp4", crf=6)
    out = Clip.open(tmp_path / "out.mp4")
    assert (out.video - source.video).abs().mean() < 3 / 255
    assert out.times.tolist() == pytest.approx(source.times.tolist(), abs=1e-3)
    middle = slice(4800, 48000)  # its sound begins with what the encoder put in front, and nothing tells
    assert (out.audio[:, middle] - source.audio[:, middle]).abs().max() < 0.05


@pytest.mark.parametrize("kind", [{"codec": "mpeg2video"}, {"codec": "ffv1", "pixels": "bgr0"}])
def test_a_picture_that_cannot_be_copied_is_encoded(tmp_path: Path, kind: dict[str, object]) -> None:
    source = Clip.open(write(tmp_path / "in.mkv", 8, **kind))
    source.save(tmp_path / "out.mp4", crf=6)
    out = Clip.open(tmp_path / "out.mp4")
    assert out.video.shape == source.video.shape
    assert (out.video - source.video).abs().mean() < 3 / 255
    assert out.times.tolist() == pytest.approx(source.times.tolist(), abs=1e-3)


def test_a_cut_picture_is_not_copied_with_what_was_cut(tmp_path: Path) -> None:
    from media_files import remux

    file = write(tmp_path / "whole.mp4", count=20)

    def earlier(_: int, packet: av.Packet) -> av.Packet:
        shift = round(Fraction(1, 2) / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return packet

    cut = Clip.open(remux(file, tmp_path / "cut.mp4", earlier))
    cut.save(tmp_path / "out.mkv")
    assert torch.equal(Clip.open(tmp_path / "out.mkv").video, cut.video)


def test_a_clip_can_be_saved_over_its_own_file(tmp_path: Path) -> None:
    file = write(tmp_path / "x.mp4", 6)
    clip = Clip.open(file)
    picture = clip.frames(FramePlan(Spread(3)))
    clip.with_audio(WAVE, 44100).save(file)
    assert torch.equal(Clip.open(file).frames(FramePlan(Spread(3))), picture)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("fail", ["encode", "rename"])
def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: str) -> None:
    file = tmp_path / "x.mkv"
    file.write_bytes(b"what was there")

    def broken(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(*((encode, "_samples", broken) if fail == "encode" else (Path, "replace", broken)))
    with pytest.raises(MediaError, match="No space left") as caught:
        Clip(video=frames(3), fps=5, audio=WAVE, sample_rate=44100).save(file)
    assert caught.value.source == str(file)
    assert file.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_saved_says_why(tmp_path: Path) -> None:
    clip = Clip(video=frames(2), fps=5)
    with pytest.raises(ArgumentError, match=r"path: expected a name that ends in one of \.mp4, .*, got '.*x\.xyz'"):
        clip.save(tmp_path / "x.xyz")
    with pytest.raises(MediaError, match="it cannot be written"):
        clip.save(tmp_path / "none" / "x.mp4")
    with pytest.raises(MediaError, match=r"\.wav cannot hold video"):
        clip.save(tmp_path / "x.wav")
    for crf in (-1, 52, float("nan")):
        with pytest.raises(ArgumentError, match="crf: expected a number from 0 to 51"):
            clip.save(tmp_path / "x.mp4", crf=crf)
    with pytest.raises(MediaError, match="neither"):
        Clip(prompt="a dog").save(tmp_path / "x.mp4")
    with pytest.raises(MediaError, match="channels"):
        Clip(audio=torch.zeros(9, 100), sample_rate=8000).save(tmp_path / "x.wav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["wav", "mkv"])
def test_samples_are_kept_above_full_scale_and_below_16_bits(tmp_path: Path, ending: str) -> None:
    for gain, codec in ((1, "pcm_s16le"), (4, "pcm_f32le"), (1 / 3, "pcm_s24le")):
        loud = torch.from_numpy(tones(0.5, 44100, 2)) * gain
        Clip(audio=loud, sample_rate=44100).save(tmp_path / f"x.{ending}")
        assert (Clip.open(tmp_path / f"x.{ending}").sound() - loud).abs().max() <= (2**-24 if gain < 1 else 0)
        with av.open(str(tmp_path / f"x.{ending}")) as container:
            assert container.streams.audio[0].codec_context.name == codec
