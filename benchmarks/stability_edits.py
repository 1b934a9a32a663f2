"""Edits that nobody hears or sees, for `stability.py`: each leaves a clip as good as it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import torch
from torch import Tensor

from avreward import Clip
from avreward.datasets.synthetic._perturbations import with_video
from avreward.media.resampling import resample

END = 0.04  # s of padding at an end
PRIMING = 0.048  # s that an AAC encoder puts before a sound: 2112 samples at 44.1 kHz

_COPIES = tempfile.TemporaryDirectory(prefix="remuxed-")

Sound = Callable[[Tensor, int], "Tensor | None"]
Picture = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Edit:
    """One edit: `apply` returns the edited clip, or `None` where it can't be made from this one.

    Args:
        name: as in the table.
        track: what it touches.
        apply: (decoded clip, the file that it comes from) → edited clip.
    """

    name: str
    track: Literal["audio", "video", "file"]
    apply: Callable[[Clip, Path | None], Clip | None]


def edited_sound(name: str, function: Sound) -> Edit:
    """Return an edit of the waveform (channels, samples) at a rate."""

    def apply(clip: Clip, path: Path | None) -> Clip | None:
        if not clip.has_audio:
            return None
        changed = function(clip.sound(), clip.sample_rate)
        return None if changed is None else clip.with_audio(changed, clip.sample_rate)

    return Edit(name, "audio", apply)


def edited_picture(name: str, function: Picture) -> Edit:
    """Return an edit of the frames (n, 3, height, width)."""

    def apply(clip: Clip, path: Path | None) -> Clip | None:
        return with_video(clip, function(clip.video)) if clip.has_video else None

    return Edit(name, "video", apply)


def dither(samples: int, channels: int) -> Tensor:
    """Triangular noise at −80 dBFS (channels, samples), the same each time."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, channels, samples, generator=generator).diff(dim=0)[0]
    return noise * 1e-4 / (1 / 6) ** 0.5


def padded(audio: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return the audio between two others, all (channels, samples)."""
    return torch.cat([before.to(audio), audio, after.to(audio)], -1)


def _zeros(at: Literal["start", "end", "both"], seconds: float = END) -> Sound:
    def pad(audio: Tensor, rate: int) -> Tensor:
        new, none = audio.new_zeros(len(audio), round(seconds * rate)), audio[:, :0]
        return padded(audio, none if at == "end" else new, none if at == "start" else new)

    return pad


def _dithered(audio: Tensor, rate: int) -> Tensor:
    new = dither(round(END * rate), len(audio))
    return padded(audio, new, new)


def _faded(audio: Tensor, rate: int) -> Tensor:
    ramp = torch.linspace(0, 1, min(round(END * rate), audio.shape[-1])).to(audio)
    gain = torch.ones_like(audio[0])
    gain[: len(ramp)] *= ramp
    gain[len(gain) - len(ramp) :] *= ramp.flip(0)
    return audio * gain


def _louder(audio: Tensor, rate: int) -> Tensor | None:
    changed = audio * 10 ** (1 / 20)
    return changed if float(changed.abs().max()) <= 1 else None  # else it would clip


def _resampled(audio: Tensor, rate: int) -> Tensor:
    other = 44_100 if rate == 48_000 else 48_000
    there = resample(resample(audio, rate, other), other, rate)
    return there[:, : audio.shape[-1]]


def _aac(clip: Clip, path: Path | None) -> Clip | None:
    if not clip.has_audio or clip.sample_rate < 32_000:
        return None  # 256 kbit/s is more than AAC allows for slower rates
    audio, rate = clip.sound()[:2], clip.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sound.m4a"
        with av.open(str(file), "w", format="ipod") as container:
            layout = "stereo" if len(audio) == 2 else "mono"
            stream = container.add_stream("aac", rate=rate, layout=layout, bit_rate=256_000)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.numpy()), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        decoded = Clip.open(file).sound()
    return clip.with_audio(decoded, rate)


def _remuxed(clip: Clip, path: Path | None) -> Clip | None:
    if path is None:
        return None
    # Rated as a file too, so it stays until the process ends. Processes share the folder, and clips have equal names.
    file = Path(tempfile.mkdtemp(dir=_COPIES.name)) / f"{path.stem}.mkv"
    with av.open(str(path)) as source, av.open(str(file), "w", format="matroska") as container:
        copied = (*source.streams.video[:1], *source.streams.audio[:1])
        streams = {stream.index: container.add_stream_from_template(stream) for stream in copied}
        for packet in source.demux(list(copied)):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return Clip.open(file)


def _without_last_frame(clip: Clip, path: Path | None) -> Clip | None:
    if not clip.has_video or len(clip.times) < 4:
        return None
    shorter = Clip(video=clip.video[:-1], times=clip.times[:-1])
    return shorter.with_audio(clip) if clip.has_audio else shorter


def _letterboxed(video: Tensor) -> Tensor:
    return torch.nn.functional.pad(video[..., 2:-2, :], (0, 0, 2, 2))


EDITS: tuple[Edit, ...] = (
    edited_sound("40 ms of zeros before", _zeros("start")),
    edited_sound("40 ms of zeros after", _zeros("end")),
    edited_sound("a codec's padding", _zeros("start", PRIMING)),
    edited_sound("40 ms of dither at −80 dBFS before and after", _dithered),
    edited_sound("fades of 40 ms", _faded),
    edited_sound("1 dB louder", _louder),
    edited_sound("1 dB quieter", lambda audio, rate: audio * 10 ** (-1 / 20)),
    edited_sound("DC offset of 1 %", lambda audio, rate: audio + 0.01),
    edited_sound("resampled and back", _resampled),
    Edit("AAC at 256 kbit/s", "audio", _aac),
    Edit("last frame dropped", "video", _without_last_frame),
    edited_picture("cropped by one pixel", lambda video: video[..., 1:, 1:].contiguous()),
    edited_picture("letterbox of 2 pixels", _letterboxed),
    edited_picture("8 to 10 bit", lambda video: (video * 1023).round() / 1023),
    Edit("remuxed to Matroska", "file", _remuxed),
)
BY_NAME: Mapping[str, Edit] = {edit.name: edit for edit in EDITS}
