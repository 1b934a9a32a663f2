"""Frames as a player shows them: interlaced ones are deinterlaced from their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from avreward.media._container import translated
from avreward.media._index import MediaIndex
from avreward.media._video.filters import filter_graph
from avreward.media._video.seek import video_track, wanted_frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# FFmpeg's filter "bwdif" (LGPL): one frame for each, those that are not marked as interlaced untouched.
_FILTER = "bwdif", "mode=send_frame:parity=auto:deint=interlaced"
_FAILED = "its interlaced frames cannot be converted", "deinterlace the file first"


def shown_frames(index: MediaIndex, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (number, frame) for the ascending frame numbers `wanted`, each the same whatever else is wanted.

    From the first interlaced frame on, the frames before and after each are decoded, too. Raise `MediaError` where one
    does not decode.
    """
    for place, (number, frame) in enumerate(wanted_frames(index, wanted)):
        if frame.interlaced_frame:
            yield from _deinterlaced(index, wanted[place:])
            return
        yield number, frame


def _deinterlaced(index: MediaIndex, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    last = video_track(index).count - 1
    near = sorted({min(max(near, 0), last) for number in wanted for near in (number - 1, number, number + 1)})
    held: dict[int, VideoFrame] = {}
    waiting = list(wanted)
    for here, decoded in wanted_frames(index, near):
        held[here] = decoded
        while waiting and here >= min(waiting[0] + 1, last):
            number = waiting.pop(0)
            frame = held[number]
            if frame.interlaced_frame:
                around = held[max(number - 1, 0)], frame, held[min(number + 1, last)]
                with translated(index.stamp.path, *_FAILED):
                    frame = _woven(*around)
            yield number, frame
            held = {near: kept for near, kept in held.items() if near >= number}


def _woven(before: VideoFrame, frame: VideoFrame, after: VideoFrame) -> VideoFrame:
    """Return `frame` with both fields at one moment."""
    graph = filter_graph(frame, *_FILTER)
    graph.push(before)
    for following in (frame, after):  # the filter gives a frame when it has seen the next one
        graph.push(following)
        woven = cast("VideoFrame", graph.pull())
    return woven
