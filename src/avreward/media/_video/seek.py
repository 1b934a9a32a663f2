"""Find the frames of a video track by their time stamps, jumping to keyframes over long gaps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from avreward.errors import MediaError
from avreward.media._container import DAMAGED, LIBAV_ERRORS, guarded, reading, translated
from avreward.media._index import IndexedVideo, MediaIndex

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WORTH_SEEKING = 24  # frames to pass over before a jump is cheaper than decoding them


def wanted_frames(index: MediaIndex, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (number, frame) for the ascending frame numbers `wanted`; raise `MediaError` if one does not decode."""
    index.stamp.check()
    picture = video_track(index)
    with reading(index.stamp.path, index.limits) as container:
        walk = _Walk(index, picture, container)
        for number in wanted:
            yield number, walk.frame(number)


def video_track(index: MediaIndex) -> IndexedVideo:
    """Return the file's video track; raise `MediaError` if there is none."""
    if index.picture is None:
        raise MediaError(index.stamp.path, index.missing["video"], "give a file with a video track")
    return index.picture


class _Walk:
    """Walks through a video track in display order, jumping to keyframes over long gaps."""

    def __init__(self, index: MediaIndex, picture: IndexedVideo, container: InputContainer) -> None:
        self._path, self._picture, self._container = index.stamp.path, picture, container
        self._stream: VideoStream = next(s for s in container.streams.video if s.index == picture.stream)
        codec = self._stream.codec_context
        codec.thread_count = 1  # the package decodes many files at once instead
        codec.options = index.limits.options()  # for a size that differs from the header's
        self._frames = self._decoded()
        self._before: VideoFrame | None = None  # the last two frames since the last jump, and their display times
        self._last: VideoFrame | None = None
        self._count = 0
        self._seekable = True

    def frame(self, number: int) -> VideoFrame:
        """Return frame `number`, which is later than the one asked for before; raise `MediaError` if it is damaged."""
        stamps = self._picture.stamps
        frame = self._by_order(number) if stamps is None else self._by_time(number, stamps)
        if frame is None or frame.is_corrupt:
            moment = float(self._picture.times()[number])
            problem = f"frame {number} of {self._picture.count}, at {moment:.3f} s, does not decode"
            raise MediaError(self._path, f"{problem}: the file is damaged or cut short", DAMAGED[1])
        return frame

    def _by_order(self, number: int) -> VideoFrame | None:
        while self._count <= number and self._advance():
            pass
        return self._last if self._count > number else None

    def _by_time(self, number: int, stamps: tuple[int, ...]) -> VideoFrame | None:
        self._jump(number, stamps)
        frame = self._reach(stamps[number])
        if frame is None and number:  # one packet without a frame and without an error means "as before"
            frame = next((f for f in (self._before, self._last) if f is not None and f.pts == stamps[number - 1]), None)
        return frame

    def _reach(self, stamp: int) -> VideoFrame | None:
        while self._last is None or _stamp(self._last) < stamp:
            if not self._advance():
                return None
        return self._last if self._last.pts == stamp else None

    def _advance(self) -> bool:
        following = next(self._frames, None)
        if following is not None:
            self._before, self._last = self._last, following
            self._count += 1
        return following is not None

    def _jump(self, number: int, stamps: tuple[int, ...]) -> None:
        """Go to the last keyframe before frame `number` if many frames lie between it and here."""
        key = self._picture.keyframe_before(stamps[number])
        here = 0 if self._last is None else bisect_left(stamps, _stamp(self._last))
        if not self._seekable or key is None or bisect_left(stamps, key) - here <= _WORTH_SEEKING:
            return
        if self._seek(key):
            frame = self._reach(key)
            if frame is not None:
                return
            # Landed behind it (some formats seek by decoding time), or where the picture is only refreshed bit by bit.
            self._seek(self._picture.keyframes[0])
        self._seekable = False

    def _seek(self, stamp: int) -> bool:
        try:
            self._container.seek(stamp, stream=self._stream)
        except LIBAV_ERRORS:  # a format without seeking is read on
            return False
        self._frames = self._decoded()
        self._before = self._last = None
        return True

    def _decoded(self) -> Iterator[VideoFrame]:
        """Yield frames from here on. Packets before the first keyframe are left out: their references are missing."""
        started = not self._picture.keyframes
        for packet in guarded(self._path, self._container.demux(self._stream), *DAMAGED):
            started = started or packet.is_keyframe
            if started:
                with translated(self._path, "a frame does not decode", DAMAGED[1]):
                    frames = packet.decode()
                yield from (f for f in frames if f.pts is not None or self._picture.stamps is None)


def _stamp(frame: VideoFrame) -> int:
    assert frame.pts is not None  # those without were left out
    return frame.pts
