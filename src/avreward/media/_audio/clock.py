"""Decode an audio track and place what comes out on the clip's clock; no sample is touched here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from math import ceil
from typing import TYPE_CHECKING

from avreward.errors import MediaError
from avreward.media._audio.frames import FrameAdapter, Piece
from avreward.media._channels import guard
from avreward.media._container import DAMAGED, LIBAV_ERRORS, guarded, reading, reason
from avreward.media._index import IndexedAudio, MediaIndex

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

Stretch = tuple[float | None, Piece]  # time on the file's clock, samples
_JITTER = 0.010  # seconds that time stamps may stray (Matroska rounds to 1 ms) before they mean a gap or an overlap
_TAGGED = frozenset({"mp3", "mp3float", "aac"})


def on_the_clock(index: MediaIndex, track: IndexedAudio) -> Iterator[Piece]:
    """Yield the audio from clip time 0 to its announced end, in pieces that follow each other without gaps."""
    end, tick = round(track.end * track.rate), ceil(track.base * track.rate)
    padding: Piece | None = None
    for start, placed in _placed(index, track):
        if padding is not None:  # it wasn't in the last piece, so the announced end is wrong
            yield padding
            padding = None
        piece, start = placed.after(max(0, -start)), max(0, start)
        # Codecs fill their last frame up. The end is a time stamp and a duration, each rounded to a tick.
        if start < end < start + piece.stop - piece.start - 2 * tick:
            piece, padding = piece.until(end - start), piece.after(end - start)
        if piece.stop > piece.start:
            yield piece


def _placed(index: MediaIndex, track: IndexedAudio) -> Iterator[tuple[int, Piece]]:
    """Yield (number of its first sample in clip time, piece), each following the one before; the first is 0 or less.

    Gaps are filled with zeros and overlaps cut.
    """
    here: int | None = None
    tick, origin, rate = ceil(track.base * track.rate), float(track.origin), track.rate
    slack = tick  # sound that starts within a tick of 0 starts at 0
    for time, piece in _without_priming(_decoded(index, track), track):
        expected = 0 if here is None else here
        start = expected if time is None else round((time - origin) * rate)
        if abs(start - expected) <= slack:
            start = expected
        slack = max(tick, round(_JITTER * rate))
        stop = start + piece.stop - piece.start
        index.limits.check_seconds(index.stamp.path, stop / rate - 1)  # codecs fill up
        here = min(0, start) if here is None else here
        if start > here:
            yield here, Piece(None, None, 0, start - here)
            here = start
        piece = piece.after(here - start)
        yield here, piece
        here += piece.stop - piece.start


def _without_priming(decoded: Iterator[Stretch], track: IndexedAudio) -> Iterator[Stretch]:
    """Leave out the first samples, which only prime the codec."""
    left = track.primed
    for time, piece in decoded:
        drop = min(left, piece.stop - piece.start)
        left -= drop
        if drop < piece.stop - piece.start:
            yield None if time is None else time + drop / track.rate, piece.after(drop)


def _decoded(index: MediaIndex, track: IndexedAudio) -> Iterator[Stretch]:
    """Yield (time on the file's clock, samples) of each stretch of audio that the decoder gives."""
    index.stamp.check()
    path = index.stamp.path
    ticks, parts = track.base.as_integer_ratio()
    with reading(path, index.limits) as container:
        stream: AudioStream = next(s for s in container.streams.audio if s.index == track.stream)
        stream.codec_context.thread_count = 1
        adapt = FrameAdapter(index, track)
        heard, failure = False, None
        until: float | None = None  # on the file's clock
        recent: deque[float] = deque(maxlen=16)  # when the latest packets begin
        for packet in guarded(path, container.demux(stream), *DAMAGED):
            try:
                frames = packet.decode()
            except LIBAV_ERRORS as error:
                if failure is not None:
                    raise _undecodable(index, error) from error
                failure = error
                continue
            for frame in frames:
                guard(frame.layout)
            if frames and failure is not None and packet.size:
                if heard:  # it was neither the first packet nor the last
                    raise _undecodable(index, failure) from failure
                failure = None
            stamp = packet.pts
            if stamp is not None and not packet.is_discard:
                recent.append(stamp * ticks / parts)
            for frame in frames:
                begin = frame.time
                if begin is not None and until is not None and _lost(until, begin, recent):
                    raise _undecodable(index, None)
                until = begin + frame.samples / frame.sample_rate if begin is not None else None
                heard = True
                yield from adapt(frame)
        if not heard or (failure is not None and stream.codec_context.name not in _TAGGED):
            raise _undecodable(index, failure) from failure


def _lost(until: float, begin: float, packets: Iterable[float]) -> bool:
    """Return whether packets begin in the gap that a decoder leaves from `until` to `begin`: it dropped them."""
    return begin > until + _JITTER and any(until - _JITTER < start < begin - _JITTER for start in packets)


def _undecodable(index: MediaIndex, error: BaseException | None) -> MediaError:
    why = f" ({reason(error)})" if error is not None else ""
    return MediaError(index.stamp.path, f"its audio does not decode{why}: the file is damaged or cut short", DAMAGED[1])
