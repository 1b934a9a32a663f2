"""Decodes the frames of a picture track that plans ask for, in one pass and at the size asked for.

Colours follow the file's tags (matrix and range; an untagged file counts as BT.601, limited range, as FFmpeg has it) and
end as 8-bit RGB, high dynamic range without tone mapping. Pixels that aren't square stay as they are stored, since that
is what raters were trained on. A display matrix (rotation, mirroring) is applied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avreward.errors import MediaError
from avreward.media.container import LIBAV_ERRORS, guarded, reading, translated
from avreward.media.draw import Orientation, Painter
from avreward.media.index import DAMAGED, MediaIndex, PictureTrack
from avreward.media.sampling import AllFrames, FramePlan

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_UNCONVERTIBLE = "a frame can't be converted to RGB", DAMAGED[1]
_WORTH_SEEKING = 24  # frames to pass over before a jump is cheaper than decoding them


def decode_views(index: MediaIndex, plans: Sequence[FramePlan]) -> list[Tensor]:
    """Return for each plan its frames, float32 (k, 3, height, width) in [0, 1], decoding the file once.

    Besides what is returned one decoded frame is held at a time. Raise `MediaError` where a frame that is asked for
    doesn't decode.
    """
    picture = _picture(index)
    times = picture.times()
    chosen = [_checked(plan, plan.rule(times), len(times)) for plan in plans]
    wanted = sorted({number for numbers in chosen for number in numbers})
    places: list[dict[int, list[int]]] = [{} for _ in plans]
    for numbers, place in zip(chosen, places, strict=True):
        for row, number in enumerate(numbers):
            place.setdefault(number, []).append(row)
    painters: list[Painter] = []
    views: list[Tensor] = []
    for number, frame in wanted_frames(index, wanted):
        if not painters:
            orientation = Orientation.of(frame)
            painters = [Painter(plan, picture.height, picture.width, orientation) for plan in plans]
            views = [
                torch.empty(len(numbers), 3, *painter.shape) for numbers, painter in zip(chosen, painters, strict=True)
            ]
        for painter, place, view in zip(painters, places, views, strict=True):
            if number in place:
                rows = place[number]
                with translated(index.stamp.path, *_UNCONVERTIBLE):
                    painter.paint(frame, view[rows[0]])
                for row in rows[1:]:
                    view[row] = view[rows[0]]
    return views


def decode_images(index: MediaIndex) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames one by one, upright, as 8-bit RGB (height, width, 3)."""
    picture = _picture(index)
    painter: Painter | None = None
    for _, frame in wanted_frames(index, range(picture.count)):
        if painter is None:
            painter = Painter(FramePlan(AllFrames()), picture.height, picture.width, Orientation.of(frame))
        with translated(index.stamp.path, *_UNCONVERTIBLE):
            image = painter.image(frame)
        yield np.ascontiguousarray(image.transpose(1, 2, 0))


def orientation(index: MediaIndex) -> Orientation:
    """Return how the frames are turned for display; it takes decoding the first of them."""
    for _, frame in wanted_frames(index, [0]):
        return Orientation.of(frame)
    raise AssertionError("a frame or an error comes first")


def _checked(plan: FramePlan, numbers: Tensor, count: int) -> list[int]:
    chosen = [int(number) for number in numbers]
    if not chosen or min(chosen) < 0 or max(chosen) >= count:
        raise IndexError(f"{plan.rule!r} chose frames outside 0..{count - 1}, or none: {chosen[:8]}")
    return chosen


def _picture(index: MediaIndex) -> PictureTrack:
    if index.picture is None:
        raise MediaError(index.stamp.path, index.missing["video"], "give a file with a picture track")
    return index.picture


def wanted_frames(index: MediaIndex, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (number, frame) for the ascending frame numbers `wanted`; raise `MediaError` if one doesn't decode."""
    index.stamp.check()
    picture = _picture(index)
    with reading(index.stamp.path, index.limits) as container:
        walk = _Walk(index, picture, container)
        for number in wanted:
            yield number, walk.frame(number)


class _Walk:
    """Goes through a picture track in display order, jumping to keyframes over long gaps."""

    def __init__(self, index: MediaIndex, picture: PictureTrack, container: InputContainer) -> None:
        self._path, self._picture, self._container = index.stamp.path, picture, container
        self._stream: VideoStream = container.streams[picture.stream]
        self._stream.codec_context.thread_count = 1  # the package decodes many files at once instead
        self._frames = self._decoded()
        self._before: VideoFrame | None = None  # the last two frames decoded since the last jump
        self._last: VideoFrame | None = None
        self._count = 0

    def frame(self, number: int) -> VideoFrame:
        """Return frame `number`, which is later than the one asked for before; raise `MediaError` if it is damaged."""
        if self._picture.stamps is None:
            while self._count <= number and self._advance():
                pass
            frame = self._last if self._count > number else None
        else:
            stamp = self._picture.stamps[number]
            jumped = self._jump(number)
            frame = self._reach(stamp)
            if frame is None and jumped and self._before is None:  # landed too late: some formats seek by decoding time
                self._seek(self._picture.keyframes[0])
                frame = self._reach(stamp)
            if frame is None and number:  # one packet without a frame and without an error means "as before"
                earlier = self._picture.stamps[number - 1]
                frame = next((f for f in (self._before, self._last) if f is not None and f.pts == earlier), None)
        if frame is None or frame.is_corrupt:
            moment = float(self._picture.times()[number])
            problem = f"frame {number} of {self._picture.count}, at {moment:.3f} s, doesn't decode: the file"
            raise MediaError(self._path, f"{problem} {DAMAGED[0]}", DAMAGED[1])
        return frame

    def _reach(self, stamp: int) -> VideoFrame | None:
        while self._last is None or self._last.pts < stamp:
            if not self._advance():
                return None
        return self._last if self._last.pts == stamp else None

    def _advance(self) -> bool:
        following = next(self._frames, None)
        if following is not None:
            self._before, self._last = self._last, following
            self._count += 1
        return following is not None

    def _jump(self, number: int) -> bool:
        """Go to the last keyframe before frame `number` if many frames lie between it and here."""
        stamps = self._picture.stamps or ()
        key = self._picture.keyframe_before(stamps[number])
        here = 0 if self._last is None else bisect_left(stamps, self._last.pts)
        return key is not None and bisect_left(stamps, key) - here > _WORTH_SEEKING and self._seek(key)

    def _seek(self, stamp: int) -> bool:
        try:
            self._container.seek(stamp, stream=self._stream)
        except LIBAV_ERRORS:  # a format without seeking is read on
            return False
        self._frames = self._decoded()
        self._before = self._last = None
        return True

    def _decoded(self) -> Iterator[VideoFrame]:
        """Yield frames from here on. Packets before the first keyframe refer to what isn't there: left out."""
        started = not self._picture.keyframes
        for packet in guarded(self._path, self._container.demux(self._stream), *DAMAGED):
            started = started or packet.is_keyframe
            if started:
                with translated(self._path, "a frame doesn't decode", DAMAGED[1]):
                    frames = packet.decode()
                yield from (f for f in frames if f.pts is not None or self._picture.stamps is None)
