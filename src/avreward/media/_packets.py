"""Time stamps of a file's packets: what is shown and heard when, and where decoding can start."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING
from zlib import crc32

from avreward.errors import MediaError
from avreward.media._container import DAMAGED, FileStamp, Limits, guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_GLANCED = 64  # bytes of each packet
_VP8_SHOWN = 0x10  # bit of a VP8 frame's first byte; its hidden reference frames have packets and time stamps, too


# Samples. AAC: one frame, all that FFmpeg's encoder puts in front (others put more). MP3: 576 of LAME's encoder and 529
# of any decoder.
_PRIMING = {"aac": 1024, "mp3": 1105}


@dataclass
class PacketTimes:
    """Data of the packets of one track, in the order of the file; times in ticks of `base` seconds.

    For each packet `stamps` has the display time (None: unknown), `keys` whether decoding can start there, and `shown`
    whether it isn't discarded by an edit list. `lasting` and `trimmed` map a time stamp to how long its packet lasts
    and to the samples that the decoder drops at its (start, end). `rate` is that of sound, else 1. `primed` is how many
    samples at the start only prime the codec although nothing in the file says so: the decoder returns them. `said` is
    when the track ends in seconds by the container's word, to the millisecond: codecs fill their last packet up.
    `glance` is a checksum of the sizes of the packets and of how they begin: of equal tracks it is equal.
    """

    base: Fraction
    rate: int
    stamps: list[int | None] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    lasting: dict[int, int] = field(default_factory=dict)
    trimmed: dict[int, tuple[int, int]] = field(default_factory=dict)
    primed: int = 0
    said: Fraction | None = None
    glance: int = 0

    def displayed(self) -> list[int | None]:
        """Return the display times of the packets that give a frame to look at.

        Left out are those that an edit list discards, and those that come before the first keyframe, in the file or in
        display (open groups of pictures): what they refer to isn't there.
        """
        first = self.keys.index(True) if True in self.keys else 0
        begin = self.stamps[first] if self.stamps else None
        return [
            stamp
            for stamp, shown in zip(self.stamps[first:], self.shown[first:], strict=True)
            if shown and (begin is None or stamp is None or stamp >= begin)
        ]

    def keyframes(self) -> tuple[int, ...]:
        """Return the ascending display times at which decoding can start."""
        marked = {stamp for stamp, key in zip(self.stamps, self.keys, strict=True) if key and stamp is not None}
        return tuple(sorted(marked))

    def span(self) -> tuple[Fraction, Fraction]:
        """Return when sound begins and ends in seconds of the file's clock, without what the codec trims."""
        known = [stamp for stamp in self.stamps if stamp is not None]
        heard = [stamp for stamp, shown in zip(self.stamps, self.shown, strict=True) if shown and stamp is not None]
        if not heard:
            return Fraction(0), Fraction(0)
        first, last = min(known), max(heard)
        dropped = [
            Fraction(self.trimmed.get(stamp, (0, 0))[place], self.rate) for place, stamp in enumerate((first, last))
        ]
        start = max(min(heard) * self.base, first * self.base + dropped[0] + Fraction(self.primed, self.rate))
        # The length of the last packet may be unknown, what is left of it already, or that of any other packet.
        usual = max(self.lasting.values(), default=last - max((stamp for stamp in heard if stamp < last), default=last))
        left = min(self.lasting.get(last, usual) * self.base, usual * self.base - dropped[1])
        begin, end = last * self.base, last * self.base + max(Fraction(0), left)
        return start, self.said if self.said is not None and begin < self.said < end else end

    def reach(self) -> tuple[float, float] | None:
        """Return the seconds from 0 to the first packet (0 if earlier) and to the end of the last; None: unknown."""
        known = [stamp for stamp in self.stamps if stamp is not None]
        if not known:
            return None if self.stamps else (0.0, 0.0)
        end = max(known) + self.lasting.get(max(known), 0)
        return float(max(0, min(known)) * self.base), float(end * self.base)


def read_packets(
    stamp: FileStamp, container: InputContainer, streams: Sequence[VideoStream | AudioStream], limits: Limits
) -> dict[int, PacketTimes]:
    """Read the packets of `streams` by number, of each its beginning alone; stop where the clip exceeds the limit."""
    tracks = {stream.index: _empty(stream) for stream in streams}
    longest = {number: float(limits.max_seconds / track.base) for number, track in tracks.items()}  # in ticks
    hidden = {stream.index for stream in streams if stream.codec_context.name == "vp8"}
    # The end of a file may cut the last packet of PCM, which matters only if the file should be longer (see `whole`).
    divisible = {stream.index for stream in streams if stream.codec_context.name.startswith("pcm")}
    count = 0
    for packet in guarded(stamp.path, container.demux(streams), *DAMAGED):
        if packet.size == 0:
            continue
        count += 1
        if count > stamp.size + 1000:  # a packet takes a byte at least
            raise MediaError(stamp.path, "its index is circular", DAMAGED[1])
        track = tracks[packet.stream_index]
        _note(track, packet, packet.stream_index in hidden)
        start, time = track.stamps[0], track.stamps[-1]
        if packet.is_corrupt and packet.stream_index not in divisible:
            where = "" if time is None else f" at {float(time * track.base):.3f} s"
            raise MediaError(stamp.path, f"it is cut short or damaged{where}", DAMAGED[1])
        if time is not None and start is not None and time - start > longest[packet.stream_index]:
            limits.check_seconds(stamp.path, float((time - start) * track.base))
    for stream in streams:
        if stream.type == "audio":
            tracks[stream.index].primed = _unstated_priming(stream, tracks[stream.index])
    return tracks


def _unstated_priming(stream: AudioStream, track: PacketTimes) -> int:
    """Return how many samples at the start of AAC or MP3 are not sound, if the container does not say it.

    Both codecs add up overlapping blocks, so what a decoder returns for the first one lacks its other half. MP4 and MP3
    files state what an encoder put in front (edit lists, the "LAME" header); Matroska, MPEG-TS, AVI and ADTS do not.
    """
    stated = bool(track.trimmed) or False in track.shown[:1] or any(s is not None and s < 0 for s in track.stamps[:1])
    kind = _PRIMING.get(stream.codec_context.name.removesuffix("float"))
    return 0 if stated or kind is None or len(track.stamps) < 2 else kind


def _note(track: PacketTimes, packet: Packet, may_be_hidden: bool) -> None:
    time = packet.pts if packet.pts is not None else packet.dts
    payload = memoryview(packet)
    hidden = may_be_hidden and not payload[0] & _VP8_SHOWN
    track.glance = crc32(payload[:_GLANCED], track.glance ^ packet.size)
    track.stamps.append(time)
    track.keys.append(packet.is_keyframe)
    track.shown.append(not packet.is_discard and not hidden)
    if time is not None and packet.duration:
        track.lasting[time] = packet.duration
    if time is not None and packet.has_sidedata("skip_samples"):
        track.trimmed[time] = struct.unpack("<II", bytes(packet.get_sidedata("skip_samples"))[:8])


def _empty(stream: VideoStream | AudioStream) -> PacketTimes:
    if stream.time_base is None or stream.time_base <= 0:
        raise ValueError("a track without a time base")
    rate = stream.codec_context.sample_rate if stream.type == "audio" else 1
    return PacketTimes(Fraction(stream.time_base), rate or 1)
