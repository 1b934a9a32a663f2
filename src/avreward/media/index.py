"""What a media file holds and when: its tracks and their time stamps, read from header and packets without decoding."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.errors import MediaError
from avreward.media.container import FileStamp, Limits, guarded, pick, reading, translated

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

DAMAGED = ("is damaged or cut short", "write or download it again")
# Formats whose header tells how long the tracks are (for the others it is an estimate): a file cut short shows.
_EXACT_LENGTHS = frozenset({"mov", "wav", "flac", "avi", "matroska", "w64", "aiff", "caf"})
_CUT_SECONDS, _CUT_SHARE = 0.25, 0.02  # what may be missing from the announced length before a file counts as cut
_USUAL_RATE = Fraction(25)
_VP8_SHOWN = 0x10  # bit of the first byte of a VP8 frame; its hidden reference frames have packets and time stamps, too


@dataclass(frozen=True)
class PictureTrack:
    """A picture track and its time stamps, in ticks of `base` seconds.

    `stamps` are the ascending display times of the frames; a file without any has None there, and its frame i is shown
    at i · `interval` seconds. `keyframes` are the display times at which decoding can start. `origin` is clip time 0 and
    `end` the clip time at which the last frame goes, in seconds.
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

    def times(self) -> Tensor:
        """Return the display times in seconds of clip time, float64 (n,)."""
        if self.stamps is None:
            return torch.arange(self.count, dtype=torch.float64) * float(self.interval)
        zero = self.origin / self.base  # whole, unless the tracks count in different units
        ticks = torch.tensor([stamp - floor(zero) for stamp in self.stamps], dtype=torch.float64)
        return (ticks - float(zero - floor(zero))) * self.base.numerator / self.base.denominator

    def keyframe_before(self, stamp: int) -> int | None:
        """Return the display time of the last keyframe that is no later than `stamp`, or None."""
        place = bisect_right(self.keyframes, stamp)
        return self.keyframes[place - 1] if place else None


@dataclass(frozen=True)
class SoundTrack:
    """A sound track: `rate` in Hz, `channels`, its `start` and `end` in seconds of clip time, of which `origin` is 0.

    Its time stamps count in ticks of `base` seconds.
    """

    stream: int
    rate: int
    channels: int
    base: Fraction
    start: float
    end: float
    origin: Fraction


@dataclass(frozen=True)
class MediaIndex:
    """A file's tracks, and the reason for each one that is missing."""

    stamp: FileStamp
    limits: Limits
    picture: PictureTrack | None
    sound: SoundTrack | None
    missing: dict[str, str]


@dataclass
class _Packets:
    """What the packets of one track say, in the order of the file; times in ticks of `base` seconds."""

    stream: Stream
    base: Fraction
    stamps: list[int | None] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    lasting: dict[int, int] = field(default_factory=dict)  # from a time stamp to how long its packet lasts
    trimmed: dict[int, tuple[int, int]] = field(default_factory=dict)  # samples to drop at its start and end

    def displayed(self) -> list[int | None]:
        """Return the time stamps of the packets that give a frame to look at.

        Left out are those that an edit list discards, and those before the first keyframe in the file or before it in
        display (open groups of pictures): what they refer to isn't there.
        """
        first = self.keys.index(True) if True in self.keys else 0
        begin = self.stamps[first] if self.stamps else None
        return [
            stamp
            for stamp, shown in zip(self.stamps[first:], self.shown[first:], strict=True)
            if shown and (begin is None or stamp is None or stamp >= begin)
        ]


def read_index(stamp: FileStamp, limits: Limits) -> MediaIndex:
    """Read header and time stamps of a file; raise `MediaError` if it is broken, empty or beyond `limits`."""
    path = stamp.path
    with reading(path, limits) as container, translated(path, *DAMAGED):
        video, no_video = pick(container, "video")
        audio, no_audio = pick(container, "audio")
        streams = [stream for stream in (video, audio) if stream is not None]
        if not streams:
            raise MediaError(path, f"it has {no_video} and {no_audio}", "give a file with a picture or a sound track")
        if video is not None:
            _check_size(stamp, video, limits)
        announced = _announced(container, streams)
        _check_seconds(stamp, max(announced.values(), default=0.0), limits)
        tracks = _scan(stamp, container, streams, limits)
        missing = {}
        frames = tracks[video.index] if video is not None and tracks[video.index].displayed() else None
        sound = tracks[audio.index] if audio is not None and any(tracks[audio.index].shown) else None
        if frames is None:
            missing["video"] = no_video or "the picture track is empty"
        if sound is None:
            missing["audio"] = no_audio or "the sound track is empty"
        if frames is None and sound is None:
            raise MediaError(path, "its tracks are empty", DAMAGED[1])
        index = _index(stamp, limits, frames, sound, missing)
    _check_whole(index, announced)
    return index


def _scan(stamp: FileStamp, container: InputContainer, streams: list[Stream], limits: Limits) -> dict[int, _Packets]:
    """Read the packets of `streams`, looking at no payload; stop where the clip gets longer than the limit."""
    tracks = {stream.index: _Packets(stream, _base(stream)) for stream in streams}
    longest = {number: limits.max_seconds / track.base for number, track in tracks.items()}  # in ticks
    count = 0
    for packet in guarded(stamp.path, container.demux(streams), *DAMAGED):
        if packet.size == 0:
            continue
        count += 1
        if count > stamp.size + 1000:  # a packet takes a byte at least
            raise MediaError(stamp.path, "its index runs in circles", DAMAGED[1])
        track = tracks[packet.stream_index]
        _note(track, packet)
        time, start = track.stamps[-1], track.stamps[0]
        if packet.is_corrupt:
            where = "" if time is None else f" at {float(time * track.base):.3f} s"
            raise MediaError(stamp.path, f"is cut short or damaged{where}", DAMAGED[1])
        if time is not None and start is not None and time - start > longest[packet.stream_index]:
            _check_seconds(stamp, float((time - start) * track.base), limits)
    return tracks


def _note(track: _Packets, packet: Packet) -> None:
    time = packet.pts if packet.pts is not None else packet.dts
    shown = not packet.is_discard
    if track.stream.codec_context.name == "vp8":
        shown = shown and bool(bytes(memoryview(packet)[:1])[0] & _VP8_SHOWN)
    track.stamps.append(time)
    track.keys.append(packet.is_keyframe)
    track.shown.append(shown)
    if time is not None and packet.duration:
        track.lasting[time] = packet.duration
    if time is not None and packet.has_sidedata("skip_samples"):
        track.trimmed[time] = struct.unpack("<II", bytes(packet.get_sidedata("skip_samples"))[:8])


def _index(
    stamp: FileStamp, limits: Limits, frames: _Packets | None, sound: _Packets | None, missing: dict[str, str]
) -> MediaIndex:
    """Put the tracks on one clock: 0 is where the first of them begins."""
    begins = []
    if frames is not None:
        begins.append(min((time for time in frames.displayed() if time is not None), default=0) * frames.base)
    if sound is not None:
        begins.append(max(Fraction(0), _span(sound)[0]))  # what comes before 0 only starts a codec up
    origin = min(begins)
    picture = _picture(frames, origin) if frames is not None else None
    track = _sound(sound, origin) if sound is not None else None
    return MediaIndex(stamp, limits, picture, track, missing)


def _picture(packets: _Packets, origin: Fraction) -> PictureTrack:
    stream, base, displayed = packets.stream, packets.base, packets.displayed()
    interval = 1 / Fraction(stream.guessed_rate or stream.average_rate or _USUAL_RATE)
    stamps, keys, end = None, (), len(displayed) * interval
    if None not in displayed:
        stamps = tuple(sorted({time for time in displayed if time is not None}))
        starts = {time for time, key in zip(packets.stamps, packets.keys, strict=True) if key and time is not None}
        keys = tuple(sorted(starts))
        steps = sorted(later - sooner for sooner, later in zip(stamps, stamps[1:], strict=False))
        step = steps[(len(steps) - 1) // 2] * base if steps else packets.lasting.get(stamps[0], 0) * base or interval
        end = stamps[-1] * base - origin + step
    size = stream.codec_context.width, stream.codec_context.height
    count = len(displayed) if stamps is None else len(stamps)
    return PictureTrack(stream.index, *size, base, stamps, count, keys, interval, origin, float(end))


def _sound(packets: _Packets, origin: Fraction) -> SoundTrack:
    stream, (start, end) = packets.stream, _span(packets)
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if rate <= 0 or channels <= 0:
        raise ValueError("a sound track without a sample rate")
    return SoundTrack(stream.index, rate, channels, packets.base, float(start - origin), float(end - origin), origin)


def _span(packets: _Packets) -> tuple[Fraction, Fraction]:
    """Return when sound begins and ends in seconds of the file's clock, without what the codec trims."""
    rate = packets.stream.codec_context.sample_rate or 1
    heard = [time for time, shown in zip(packets.stamps, packets.shown, strict=True) if shown and time is not None]
    if not heard:
        return Fraction(0), Fraction(0)
    known = [time for time in packets.stamps if time is not None]
    first, last = min(heard), max(heard)
    start, end = first * packets.base, (last + packets.lasting.get(last, 0)) * packets.base
    skipped = min(known) * packets.base + Fraction(packets.trimmed.get(min(known), (0, 0))[0], rate)
    return max(start, skipped), end - Fraction(packets.trimmed.get(last, (0, 0))[1], rate)


def _base(stream: Stream) -> Fraction:
    if stream.time_base is None or stream.time_base <= 0:
        raise ValueError("a track without a time base")
    return Fraction(stream.time_base)


def _announced(container: InputContainer, streams: list[Stream]) -> dict[int, float]:
    """Return the seconds that the header gives to each of `streams`, where it knows."""
    names = set(container.format.name.split(","))
    if not names & _EXACT_LENGTHS:
        return {}
    if "matroska" in names:  # one length for all tracks
        return {-1: container.duration / 1e6} if container.duration else {}
    return {stream.index: float(stream.duration * _base(stream)) for stream in streams if stream.duration}


def _check_size(stamp: FileStamp, stream: Stream, limits: Limits) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width <= 0 or height <= 0:
        raise MediaError(stamp.path, "the picture track has no size, or one beyond what FFmpeg decodes", DAMAGED[1])
    if max(width, height) > limits.max_side:
        problem = f"{width}x{height} pixels exceed max_side={limits.max_side}"
        raise MediaError(stamp.path, problem, "scale it down, or raise max_side")
    if width * height > limits.max_pixels:
        problem = f"{width}x{height} = {width * height} pixels exceed max_pixels={limits.max_pixels}"
        raise MediaError(stamp.path, problem, "scale it down, or raise max_pixels")


def _check_seconds(stamp: FileStamp, seconds: float, limits: Limits) -> None:
    if seconds > limits.max_seconds:
        problem = f"{seconds:.1f} s exceed max_seconds={limits.max_seconds:g}"
        raise MediaError(stamp.path, problem, "cut it into shorter files, or raise max_seconds")


def _check_whole(index: MediaIndex, announced: dict[int, float]) -> None:
    tracks = [track for track in (index.picture, index.sound) if track is not None]
    ends = {track.stream: track.end for track in tracks} | {-1: max(track.end for track in tracks)}
    for number, seconds in announced.items():
        if number in ends and ends[number] < seconds - max(_CUT_SECONDS, _CUT_SHARE * seconds):
            problem = f"is cut short: its header announces {seconds:.2f} s, {ends[number]:.2f} s can be read"
            raise MediaError(index.stamp.path, problem, DAMAGED[1])
