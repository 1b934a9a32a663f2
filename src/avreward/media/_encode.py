"""Write video and audio to one file, in sync: every frame and every sample has its time stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import numpy as np
import torch
from av.codec.context import Flags as CodecFlags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from avreward._whole_files import private_name, publish
from avreward.errors import ArgumentError, MediaError
from avreward.media._container import translated
from avreward.media._remux import copied_audio, copied_video
from avreward.media._tracks import AudioTrack, VideoTrack
from avreward.media._video.to_rgb import SCALING
from avreward.media._waveform import resampled

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_TICKS = 90_000  # a second has this many ticks: whole frames at 24, 25, 30, 50, 60 and 30000/1001 per second
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_AAC_OPTIONS = {
    "global_quality": "1180",  # 10 in FFmpeg's -q:a, beyond which nothing improves: as many bits as there may be
    "flags": "+qscale",
    "aac_pns": "0",  # noise in the place of noise, by which scores move by points
}
_FINER = {"pcm_s16le": "pcm_s24le", "flac": "flac"}  # for samples that 16 bits would round
_WORST = 51  # the largest rate factor of H.264
_BT709 = 1  # in FFmpeg's numbering of matrices, primaries and transfer curves


@dataclass(frozen=True)
class _ContainerFormat:
    """Container and codecs of a file name's ending; None for a track that the container cannot hold."""

    container: str
    video: str | None
    audio: str


_FORMATS = {
    ".mp4": _ContainerFormat("mp4", "libx264", "aac"),
    ".m4v": _ContainerFormat("mp4", "libx264", "aac"),
    ".mov": _ContainerFormat("mov", "libx264", "aac"),
    ".mkv": _ContainerFormat("matroska", "ffv1", "pcm_s16le"),
    ".m4a": _ContainerFormat("ipod", None, "aac"),
    ".wav": _ContainerFormat("wav", None, "pcm_s16le"),
    ".flac": _ContainerFormat("flac", None, "flac"),
}


class _MuxSink:
    """A file for libav to write. After its first error it only pretends to: PyAV prints later ones."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.failed = file, False

    def write(self, data: bytes) -> int:
        return self._try(self.file.write, len(data), data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self.file.seek, 0, offset, whence)

    def tell(self) -> int:
        return self._try(self.file.tell, 0)

    def _try(self, do: Callable[..., int], pretended: int, *arguments: Any) -> int:
        if self.failed:
            return pretended
        try:
            return do(*arguments)
        except OSError:
            self.failed = True
            raise


def save(picture: VideoTrack | None, sound: AudioTrack | None, path: Path, crf: float = 18.0) -> None:
    """Write the tracks to `path`, whose ending chooses the format (see `Clip.save`)."""
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise ArgumentError("path", f"a name that ends in one of {', '.join(_FORMATS)}", str(path))
    if not 0 <= crf <= _WORST:
        raise ArgumentError("crf", f"a number from 0 to {_WORST}", crf, "use 18 for good quality, less for better")
    if picture is not None and form.video is None:
        raise MediaError(path, f"{path.suffix} cannot hold video", "save as .mp4 or .mkv, or save the audio alone")
    if picture is None and sound is None:
        raise MediaError(path, "the clip has neither video nor audio", "give it one before saving")
    temporary = private_name(path)
    try:
        with translated(path, "it cannot be written", "check the folder, the disk and the clip's size"):
            with ExitStack() as stack:
                file = stack.enter_context(temporary.open("xb"))
                container = stack.enter_context(av.open(_MuxSink(file), "w", format=form.container))
                tracks: list[Iterator[tuple[float, Packet]]] = []
                if picture is not None and form.video is not None:
                    copied = copied_video(container, picture, stack)
                    tracks.append(copied or _encoded_video(container, picture, form.video, crf))
                if sound is not None:
                    tracks.append(copied_audio(container, sound, stack) or _encoded_audio(container, sound, form.audio))
                for _, packet in merge(*tracks, key=lambda item: item[0]):
                    container.mux(packet)
            publish(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _encoded_video(
    container: OutputContainer, picture: VideoTrack, codec_name: str, crf: float
) -> Iterator[tuple[float, Packet]]:
    """Add a track of the frames to `container` and return its packets with the times at which they are due."""
    times, (height, width) = picture.times, picture.size
    stamps = [round(float(time) * _TICKS) for time in times]
    stamps.append(max(round(picture.end * _TICKS), stamps[-1] + 1))
    rate = Fraction(_TICKS * len(times), max(1, stamps[-1] - stamps[0])).limit_denominator(1001)
    stream = cast("VideoStream", container.add_stream(codec_name, rate=rate))
    codec = stream.codec_context
    codec.flags |= CodecFlags.frame_duration
    stream.width, stream.height = width, height
    stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
    if codec_name == "ffv1":
        stream.pix_fmt, stream.options = "bgr0", {"slicecrc": "1"}
    else:
        # Half-size colour planes need even sides; full-size ones keep every pixel of an odd size.
        stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        stream.options = {"crf": str(crf)}
        codec.color_range = ColorRange.MPEG
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
    return _encode_frames(stream, picture, stamps)


def _encode_frames(stream: VideoStream, picture: VideoTrack, stamps: list[int]) -> Iterator[tuple[float, Packet]]:
    converter = VideoReformatter()
    lossless = stream.pix_fmt == "bgr0"
    target = {} if lossless else {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
    for image, stamp, after in zip(picture.images(), stamps, stamps[1:], strict=False):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = converter.reformat(frame, format=stream.pix_fmt, interpolation=SCALING, threads=1, **target)
        frame.pts, frame.duration, frame.time_base = stamp, after - stamp, Fraction(1, _TICKS)
        yield from _due(stream.encode(frame))
    yield from _due(stream.encode())


def _encoded_audio(container: OutputContainer, sound: AudioTrack, codec: str) -> Iterator[tuple[float, Packet]]:
    """Add a track of the audio to `container` and return its packets with the times at which they are due."""
    rate = sound.rate
    if codec == "aac" and rate not in _AAC_RATES:
        rate = next((known for known in _AAC_RATES if known >= rate), _AAC_RATES[-1])
    if not 1 <= sound.channels <= len(_LAYOUTS):
        raise ValueError(f"{sound.channels} channels")
    loud, fine = _extent(sound) if codec in _FINER else (False, False)
    if loud and codec == "pcm_s16le":
        codec = "pcm_f32le"
    elif fine:
        codec = _FINER[codec]
    stream = cast("AudioStream", container.add_stream(codec, rate=rate))
    stream.layout = _LAYOUTS[sound.channels - 1]
    if codec == "aac":
        stream.options = dict(_AAC_OPTIONS)
    elif codec == "flac" and fine:
        stream.format = "s32"
    blocks = sound.blocks()
    return _encode_audio(stream, blocks if rate == sound.rate else resampled(blocks, sound.rate, rate))


def _extent(sound: AudioTrack) -> tuple[bool, bool]:
    """Return whether samples exceed full scale, and whether there are any that 16 bits don't hold exactly."""
    loud = fine = False
    for block in sound.blocks():
        levels = block.float() * 2**15
        loud |= bool((levels.abs() > 2**15).any())
        fine |= bool((levels != levels.round().clamp(-(2**15), 2**15 - 1)).any())
    return loud, fine


def _encode_audio(stream: AudioStream, blocks: Iterator[Tensor]) -> Iterator[tuple[float, Packet]]:
    rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
    size = rate // 10 if rate % 10 == 0 else 1024  # tenths of a second: whole milliseconds, which is all Matroska keeps
    position = 0
    for block in blocks:
        for piece in block.split(size, dim=1):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(_samples(piece, stream)), stream.format.name, layout
            )
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), position
            position += piece.shape[1]
            yield from _due(stream.encode(frame))
    yield from _due(stream.encode())


def _samples(piece: Tensor, stream: AudioStream) -> NDArray:
    """Return float (channels, samples) in the encoder's format; all but 32-bit float clips what exceeds full scale."""
    if stream.format.name == "flt":
        return piece.float().cpu().T.reshape(1, -1).numpy()
    piece = piece.float().cpu().clamp(-1, 1)
    if stream.format.name == "fltp":  # of AAC, whose encoder distorts louder ones more than clipping does
        return piece.numpy()
    if stream.format.name == "s32":  # 24 bits, above 8 that are empty
        levels = (piece * 2**23).round().clamp(max=2**23 - 1).to(torch.int32)
        return (levels * 2**8).T.reshape(1, -1).numpy()
    return (piece * 32768).round().clamp(max=32767).to(torch.int16).T.reshape(1, -1).numpy()


def _due(packets: list[Packet]) -> Iterator[tuple[float, Packet]]:
    for packet in packets:
        moment = packet.dts if packet.dts is not None else packet.pts
        yield float((moment or 0) * packet.time_base), packet
