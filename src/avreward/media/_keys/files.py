"""Keys of a file's tracks, made from their packets without decoding them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from math import lcm
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from av.audio.codeccontext import AudioCodecContext

from avreward.media._channels import guard
from avreward.media._container import DAMAGED, Limits, guarded, reading
from avreward.media._index import IndexedAudio, IndexedVideo, MediaIndex
from avreward.media._keys.tensors import BYTES
from avreward.media._video.to_rgb import HDR_TRANSFERS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

_MOST_FILES = 4096
_MICRO = 1_000_000


def file_keys(index: MediaIndex, hashed: Callable[[MediaIndex], dict[str, str]] | None = None) -> dict[str, str]:
    """Return the keys "video" and "audio" of a file's tracks, those that it has.

    A key covers the packets' payload, their time stamps in clip time (to a microsecond), what the decoder is told
    besides (codec, its setup, colour tags, trimming), and the limits that the file was opened with. The container does
    not count: two files with the same video and different audio share the key of the video. The orientation of the
    frames is not covered: the caller adds it. Results are cached by path, size and modification time.
    `hashed` computes them (`hash_packets`).
    """
    with _lock:
        digests = _known.get((index.stamp, index.limits))
    if digests is None:
        digests = (hashed or hash_packets)(index)
        with _lock:
            _known[index.stamp, index.limits] = digests
            while len(_known) > _MOST_FILES:
                _known.popitem(last=False)
    return dict(digests)


def packets_key(path: Path) -> str:
    """Return a key of a file's packets alone, which a copy in another container shares where it keeps their payload.

    Time stamps, trimming and the setup of the decoders are not covered: files of equal keys may be played differently.
    """
    digests: dict[str, list[bytes]] = {"video": [], "audio": []}
    with reading(path, Limits()) as container:
        streams = [*container.streams.video, *container.streams.audio]
        each = {s.index: blake2b(s.codec_context.name.encode(), digest_size=BYTES) for s in streams}
        for packet in guarded(path, container.demux(streams), *DAMAGED):
            if packet.size:
                each[packet.stream_index].update(memoryview(packet))
        for stream in streams:
            digests[stream.type].append(each[stream.index].digest())
    return blake2b(repr(digests).encode(), digest_size=BYTES).hexdigest()


_known: OrderedDict[tuple[object, object], dict[str, str]] = OrderedDict()
_lock = Lock()


def hash_packets(index: MediaIndex) -> dict[str, str]:
    """Return the keys of a file's tracks, from one pass over its packets."""
    index.stamp.check()
    names = {track.stream: name for name, track in (("video", index.picture), ("audio", index.sound)) if track}
    clocks = {track.stream: _Clock(track) for track in (index.picture, index.sound) if track}
    with reading(index.stamp.path, index.limits) as container:
        present: tuple[VideoStream | AudioStream, ...] = (*container.streams.video, *container.streams.audio)
        streams = [stream for stream in present if stream.index in names]
        digests = {s.index: blake2b(repr((_setup(s), index.limits)).encode(), digest_size=BYTES) for s in streams}
        for packet in guarded(index.stamp.path, container.demux(streams), *DAMAGED):
            if packet.size == 0:
                continue
            number, time = packet.stream_index, packet.pts if packet.pts is not None else packet.dts
            moment = None if time is None else clocks[number].microseconds(time)
            trim = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else b""
            digest = digests[number]
            digest.update(f"{moment} {packet.is_discard} {trim.hex()} {packet.size} ".encode())
            digest.update(memoryview(packet))
    return {names[number]: digest.hexdigest() for number, digest in digests.items()}


class _Clock:
    """Converts a track's time stamps to whole microseconds of clip time."""

    def __init__(self, track: IndexedVideo | IndexedAudio) -> None:
        scale, shift = track.base * _MICRO, Fraction(1, 2) - track.origin * _MICRO
        self._unit = lcm(scale.denominator, shift.denominator)
        self._scale, self._shift = int(scale * self._unit), int(shift * self._unit)

    def microseconds(self, stamp: int) -> int:
        """Return the nearest microsecond, by integers only, as fractions are slow."""
        return (stamp * self._scale + self._shift) // self._unit


def _setup(stream: VideoStream | AudioStream) -> tuple[object, ...]:
    """Return the settings of a decoder besides the packets."""
    codec = stream.codec_context
    common = codec.name, codec.profile, codec.extradata
    if isinstance(codec, AudioCodecContext):
        form = codec.format.name if codec.format is not None else None  # a damaged header may name none
        return *common, codec.sample_rate, guard(codec.layout).name, form
    # transfer and primaries change the frames of HDR alone
    light = (codec.color_trc, codec.color_primaries) if codec.color_trc in HDR_TRANSFERS else ()
    return *common, codec.width, codec.height, codec.pix_fmt, codec.colorspace, codec.color_range, *light
