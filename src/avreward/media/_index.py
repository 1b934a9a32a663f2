"""Tracks of a media file and their time stamps, read from header and packets without decoding."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from avreward.errors import MediaError
from avreward.media._channels import channel_names, guard
from avreward.media._container import DAMAGED, FileStamp, Limits, opened, pick_audio, pick_video, reading, translated
from avreward.media._intact.check import damage
from avreward.media._packets import PacketTimes, read_packets
from avreward.media._truncation import PLACEHOLDER, announced_bytes, has_length_header, is_animated_webp

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Formats whose header tells how long each track is (for the others FFmpeg estimates it): a file cut short shows.
_EXACT_LENGTHS = frozenset({"mov", "wav", "avi", "w64", "aiff", "caf"})
_CUT_SECONDS, _CUT_SHARE = 0.25, 0.02  # what may be missing of it: writers count the last frame differently
_CUT_FRAME = 0.03  # seconds, where the header counts samples: about a frame of MP3
_USUAL_RATE = Fraction(25)
_AVI_CHUNK = 8  # bytes that each frame takes at least


@dataclass(frozen=True)
class IndexedVideo:
    """A video track and its time stamps, in ticks of `base` seconds.

    `stamps` are the ascending display times of the frames; a file without any has None there, and its frame i is shown
    at i · `interval` seconds. `keyframes` are the display times at which decoding can start. `origin` is clip time 0
    and `end` the clip time at which the last frame ends, in seconds; it is held for the median interval. `plain`: each
    packet in the file gives one displayed frame. `glance`: that of `PacketTimes`.
    """

    stream: int
    width: int
    height: int
    base: Fraction
    stamps: tuple[int, ...] | None
    count: int
    keyframes: tuple[int, ...]
    interval: Fraction
    origin: Fraction
    end: float
    plain: bool
    glance: int

    def times(self) -> Tensor:
        """Return the display times in seconds of clip time, float64 (n,)."""
        if self.stamps is None:
            return torch.arange(self.count, dtype=torch.float64) * float(self.interval)
        zero = self.origin / self.base  # whole, unless the tracks count in different units
        ticks = torch.tensor([stamp - floor(zero) for stamp in self.stamps], dtype=torch.float64)
        return (ticks - float(zero - floor(zero))) * self.base.numerator / self.base.denominator

    def step(self) -> float:
        """Return the seconds between frames: as the file states them where its time stamps agree, else their median.

        They agree if each is within a tick of a multiple of the stated interval (containers round them: Matroska to a
        millisecond, GIF to a hundredth), most steps are one interval, and the rounding errors do not add up.
        """
        stamps, median = self.stamps, self.end - float(self.times()[-1])
        if stamps is None or len(stamps) < 2:
            return median
        ticks, parts = (self.interval / self.base).as_integer_ratio()  # an interval is ticks/parts ticks
        counts = [max(1, (2 * (b - a) * parts + ticks) // (2 * ticks)) for a, b in pairwise(stamps)]
        errors = [(b - a) * parts - count * ticks for (a, b), count in zip(pairwise(stamps), counts, strict=True)]
        agree = max(map(abs, errors)) <= parts and abs(sum(errors)) <= parts and 2 * counts.count(1) > len(counts)
        return float(self.interval) if agree else median

    def keyframe_before(self, stamp: int) -> int | None:
        """Return the display time of the last keyframe at or before `stamp`, or None."""
        place = bisect_right(self.keyframes, stamp)
        return self.keyframes[place - 1] if place else None


@dataclass(frozen=True)
class IndexedAudio:
    """An audio track of `channels` at `rate` Hz; `names` are those of the channels, empty if unknown.

    Its time stamps count in ticks of `base` seconds. It lasts from `start` to `end` in seconds of clip time, of which
    `origin` is 0; what a codec trims from its first and last frame doesn't count. Of what the decoder returns, the
    first `primed` samples are not sound. `glance`: that of `PacketTimes`.
    """

    stream: int
    rate: int
    channels: int
    names: tuple[str, ...]
    base: Fraction
    start: float
    end: float
    origin: Fraction
    primed: int
    glance: int


@dataclass(frozen=True)
class MediaIndex:
    """A file's tracks, and the reason for each one that is missing ("video", "audio")."""

    stamp: FileStamp
    limits: Limits
    picture: IndexedVideo | None
    sound: IndexedAudio | None
    missing: dict[str, str]


def read_index(stamp: FileStamp, limits: Limits) -> MediaIndex:
    """Read header and time stamps of a file; raise `MediaError` if it is broken, empty or beyond `limits`."""
    path = stamp.path
    with opened(path) as file:
        whole, measured = announced_bytes(file, stamp.size), has_length_header(file)
        animated, damaged = is_animated_webp(file), damage(file, stamp.size)
    if animated:
        raise MediaError(path, "FFmpeg does not decode animated WebP", "convert it to GIF, APNG, WebM or MP4")
    if whole > stamp.size:
        raise MediaError(path, f"it is cut short: {stamp.size} of at least {whole} bytes are there", DAMAGED[1])
    if damaged is not None:
        raise MediaError(path, damaged, DAMAGED[1])
    with reading(path, limits) as container, translated(path, *DAMAGED):
        video, no_video = pick_video(container)
        audio, no_audio = pick_audio(container)
        if video is None and audio is None:
            raise MediaError(path, f"it has {no_video} and {no_audio}", "give a file with a video or an audio track")
        if video is not None:
            _check_size(stamp, video, limits)
        streams = [stream for stream in (video, audio) if stream is not None]
        announced = {stream.index: _announced(container, stream, measured, stamp.size) for stream in streams}
        for header in announced.values():
            limits.check_seconds(path, header.seconds)
        packets = read_packets(stamp, container, streams, limits)
        for number, header in announced.items():
            _check_whole(stamp, packets[number], header)
        frames = packets[video.index] if video is not None else None
        heard = packets[audio.index] if audio is not None else None
        if heard is not None and "matroska" in container.format.name and audio is not None:
            heard.said = Fraction(announced[audio.index].seconds) or None
        missing = {}
        if frames is None or not frames.displayed():
            frames, missing["video"] = None, no_video or "the picture track is empty"
        if heard is None or not any(heard.shown):
            heard, missing["audio"] = None, no_audio or "the sound track is empty"
        origin = _origin(frames, heard)
        if origin is None:
            raise MediaError(path, "its tracks are empty", DAMAGED[1])
        picture = _indexed_video(video, frames, origin) if video is not None and frames is not None else None
        sound = _indexed_audio(audio, heard, origin) if audio is not None and heard is not None else None
        return MediaIndex(stamp, limits, picture, sound, missing)


def _origin(frames: PacketTimes | None, heard: PacketTimes | None) -> Fraction | None:
    """Return clip time 0 on the file's clock: where the first track begins."""
    begins = []
    if frames is not None:
        begins.append(min((stamp for stamp in frames.displayed() if stamp is not None), default=0) * frames.base)
    if heard is not None:
        begins.append(max(Fraction(0), heard.span()[0]))  # what comes before 0 only primes a codec
    return min(begins, default=None)


def _indexed_video(stream: VideoStream, packets: PacketTimes, origin: Fraction) -> IndexedVideo:
    base, displayed = packets.base, packets.displayed()
    known = sorted({stamp for stamp in displayed if stamp is not None})
    interval = 1 / Fraction(stream.guessed_rate or stream.average_rate or _USUAL_RATE)
    stamped = None not in displayed
    if stamped:
        steps = sorted(later - sooner for sooner, later in pairwise(known))
        held = steps[(len(steps) - 1) // 2] * base if steps else packets.lasting.get(known[0], 0) * base or interval
        end = known[-1] * base - origin + held
    else:
        end = len(displayed) * interval
    return IndexedVideo(
        stream.index,
        stream.codec_context.width,
        stream.codec_context.height,
        base,
        tuple(known) if stamped else None,
        len(known) if stamped else len(displayed),
        packets.keyframes() if stamped else (),
        interval,
        origin,
        float(end),
        stamped and len(known) == len(packets.stamps),
        packets.glance,
    )


def _indexed_audio(stream: AudioStream, packets: PacketTimes, origin: Fraction) -> IndexedAudio:
    (start, end), rate = packets.span(), stream.codec_context.sample_rate
    layout = guard(stream.codec_context.layout)
    if rate <= 0 or layout.nb_channels <= 0:
        raise ValueError("an audio track without a sample rate")
    clip, names = (float(start - origin), float(end - origin)), channel_names(layout)
    return IndexedAudio(
        stream.index, rate, layout.nb_channels, names, packets.base, *clip, origin, packets.primed, packets.glance
    )


class _Announced(NamedTuple):
    """How many `seconds` the header gives to a track, from 0 or else from its start; `slack` of them may be missing."""

    seconds: float
    slack: float
    from_zero: bool = True


def _announced(container: InputContainer, stream: VideoStream | AudioStream, measured: bool, size: int) -> _Announced:
    formats, seconds = container.format.name.split(","), float((stream.duration or 0) * (stream.time_base or 0))
    if _is_placeholder(formats, stream, seconds, size):
        return _Announced(0.0, 0.0)
    if "flac" in formats or ("mp3" in formats and measured):
        return _Announced(seconds, _CUT_FRAME)
    if not _EXACT_LENGTHS.isdisjoint(formats):
        return _Announced(seconds, max(_CUT_SECONDS, _CUT_SHARE * seconds), "mov" not in formats)
    written = stream.metadata.get("DURATION", "").split(":")  # Matroska: hours:minutes:seconds
    try:
        hours, minutes, rest = (float(part) for part in written)
    except ValueError:
        return _Announced(0.0, 0.0)
    seconds = hours * 3600 + minutes * 60 + rest
    return _Announced(seconds, max(_CUT_SECONDS, _CUT_SHARE * seconds))


def _is_placeholder(formats: list[str], stream: VideoStream | AudioStream, seconds: float, size: int) -> bool:
    """Return whether the header was written to a pipe, before the length was known: the file cannot hold as much."""
    if "avi" in formats:
        return stream.frames * _AVI_CHUNK > size
    said = seconds * (stream.codec_context.bit_rate or 0) / 8 if {"wav", "aiff"} & set(formats) else 0
    return said > size and said >= PLACEHOLDER


def _check_size(stamp: FileStamp, stream: VideoStream, limits: Limits) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width <= 0 or height <= 0:
        problem = f"its video has no readable size, or more than max_pixels={limits.max_pixels}"
        raise MediaError(stamp.path, problem, "write it again, scale it down, or raise max_pixels")
    if max(width, height) > limits.max_side:
        problem = f"{width}x{height} pixels exceed max_side={limits.max_side}"
        raise MediaError(stamp.path, problem, "scale it down, or raise max_side")
    if width * height > limits.max_pixels:
        problem = f"{width}x{height} = {width * height} pixels exceed max_pixels={limits.max_pixels}"
        raise MediaError(stamp.path, problem, "scale it down, or raise max_pixels")


def _check_whole(stamp: FileStamp, packets: PacketTimes, announced: _Announced) -> None:
    reach = packets.reach()
    if reach is None:
        return
    read = reach[1] - (0.0 if announced.from_zero else reach[0])
    if read < announced.seconds - announced.slack:
        problem = f"it is cut short: its header announces {announced.seconds:.2f} s, {max(read, 0):.2f} s can be read"
        raise MediaError(stamp.path, problem, DAMAGED[1])
