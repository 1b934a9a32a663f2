"""Copy the packets of an untouched track into another container, without loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from avreward.media._container import DAMAGED, guarded, reading
from avreward.media._file_tracks import FileAudio, FileVideo
from avreward.media._index import IndexedAudio, IndexedVideo, MediaIndex
from avreward.media._tracks import AudioTrack, VideoTrack

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Codecs that a container holds in a way that players understand.
_PICTURES = {
    "mp4": {"h264", "hevc", "av1", "vp9", "mpeg4"},
    "mov": {"h264", "hevc", "mpeg4"},
    "matroska": {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "ffv1"},
}
_SOUNDS = {"mp4": {"aac"}, "mov": {"aac"}, "ipod": {"aac"}}
_PICTURE_SOURCES = {"mov", "matroska"}  # containers whose packets are as the outputs have them
_SOUND_SOURCES = {"mov"}  # they tell what an encoder put in front just as the outputs do


def copied_video(
    container: OutputContainer, picture: VideoTrack, stack: ExitStack
) -> Iterator[tuple[float, Packet]] | None:
    """Add a copy of a file's video track to `container` and return its packets with the times at which they are due.

    None if it has to be encoded: frames of a tensor, a track of which an edit list hides a part, a codec that the
    container cannot hold. The file is closed by `stack`.
    """
    codecs = _PICTURES.get(container.format.name, set())
    if not isinstance(picture, FileVideo) or not codecs:
        return None
    track = picture.track
    if not track.plain:
        return None
    source = _opened(picture.index, _PICTURE_SOURCES, stack)
    stream = next((s for s in source.streams.video if s.index == track.stream), None) if source is not None else None
    return _copied(container, picture.index, source, stream, track, codecs)


def copied_audio(
    container: OutputContainer, sound: AudioTrack, stack: ExitStack
) -> Iterator[tuple[float, Packet]] | None:
    """Do the same for an audio track."""
    codecs = _SOUNDS.get(container.format.name, set())
    if not isinstance(sound, FileAudio) or not codecs:
        return None
    source = _opened(sound.index, _SOUND_SOURCES, stack)
    stream = (
        next((s for s in source.streams.audio if s.index == sound.track.stream), None) if source is not None else None
    )
    return _copied(container, sound.index, source, stream, sound.track, codecs)


def _opened(index: MediaIndex, formats: set[str], stack: ExitStack) -> InputContainer | None:
    index.stamp.check()
    source = stack.enter_context(reading(index.stamp.path, index.limits))
    return None if formats.isdisjoint(source.format.name.split(",")) else source


def _copied(
    container: OutputContainer,
    index: MediaIndex,
    source: InputContainer | None,
    stream: VideoStream | AudioStream | None,
    track: IndexedVideo | IndexedAudio,
    codecs: set[str],
) -> Iterator[tuple[float, Packet]] | None:
    if source is None or stream is None or stream.codec_context.codec.canonical_name not in codecs:
        return None
    copy = container.add_stream_from_template(stream, opaque=True)
    shift = round(track.origin / track.base)

    def packets() -> Iterator[tuple[float, Packet]]:
        for packet in guarded(index.stamp.path, source.demux(stream), *DAMAGED):
            if packet.size == 0:
                continue
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = copy
            due = packet.dts if packet.dts is not None else packet.pts
            yield float((due or 0) * track.base), packet

    return packets()
