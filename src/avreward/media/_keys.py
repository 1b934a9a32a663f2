"""Keys of a track's content, made without decoding it: equal keys mean equal content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from fractions import Fraction
from hashlib import blake2b
from math import lcm
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import torch
from av.audio.codeccontext import AudioCodecContext
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from avreward.media._channels import guard
from avreward.media._container import DAMAGED, Limits, guarded, reading
from avreward.media._index import IndexedAudio, IndexedVideo, MediaIndex
from avreward.media._video.to_rgb import HDR_TRANSFERS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

_BYTES = 16
_PIECE = 2**24  # elements hashed at once, so that a tensor on a GPU is copied piece by piece
_MOST_FILES = 4096
_MICRO = 1_000_000


class SameTensor:
    """Equal only for one tensor that was not changed in between: tensors of equal values may have different graphs.

    It does not keep the tensor alive. Changes in place count where torch counts them: not those of ``tensor.data``, or
    of a NumPy array that shares the memory.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._id = TensorWeakRef(tensor), id(tensor)
        version = version_of(tensor)
        self._state = tensor_key(tensor) if version is None else version

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SameTensor) or (self._id, self._state) != (other._id, other._state):
            return False
        tensor = self._tensor()  # the identity of a tensor that is gone may have passed to another one
        return tensor is not None and tensor is other._tensor()

    def __hash__(self) -> int:
        return hash((self._id, self._state))


class ContentKey:
    """Keeps the `tensor_key` of a track's parts until one of its tensors is changed in place."""

    def __init__(self) -> None:
        self._known: tuple[tuple[int | None, ...], str] | None = None

    def of(self, *parts: Tensor | float | int | str) -> str:
        """Return ``tensor_key(*parts)``; call it with the same parts each time."""
        known = self.known(*parts)
        if known is None:
            known = tensor_key(*parts)
            self._known = _versions(parts), known
        return known

    def known(self, *parts: Tensor | float | int | str) -> str | None:
        """Return ``tensor_key(*parts)`` if it was made already, and no tensor was changed since."""
        versions, known = _versions(parts), self._known
        return known[1] if known is not None and None not in versions and known[0] == versions else None


def _versions(parts: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(version_of(part) for part in parts if isinstance(part, Tensor))


def version_of(tensor: Tensor) -> int | None:
    """Return how often a tensor was changed in place; `None` for an inference tensor, where torch does not count."""
    return None if tensor.is_inference() else tensor._version


def text_key(text: str) -> str:
    """Return a key of a text.

    >>> text_key("a dog barks") == text_key("a dog barks")
    True
    """
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).hexdigest()


def tensor_key(*parts: Tensor | float | int | str) -> str:
    """Return a key of tensors (content, shape, dtype) and numbers.

    >>> tensor_key(torch.zeros(2, 3)) == tensor_key(torch.zeros(3, 2))
    False
    """
    digest = blake2b(digest_size=_BYTES)
    for part in parts:
        if not isinstance(part, Tensor):
            digest.update(repr(part).encode())
            continue
        digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
        for piece in part.detach().reshape(-1).split(_PIECE):
            digest.update(piece.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()


def graph_key(tensor: Tensor, attached: Tensor | None, clock: float | Tensor) -> Hashable:
    """Return a key of the tensor itself, with its rate or times: equal values on two nodes must not share work.

    `attached` is the tensor in its graph that `tensor` was cut off from, which is a new object each time.
    """
    if attached is not None:
        return "detached", SameTensor(attached), tensor_key(clock)
    return SameTensor(tensor), tensor_key(clock)


class LazyKeys(Mapping[str, str]):
    """Keys by name, each computed when it is looked up."""

    def __init__(self, makers: Mapping[str, Callable[[], str]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> str:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return repr(dict(self))


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
        each = {s.index: blake2b(s.codec_context.name.encode(), digest_size=_BYTES) for s in streams}
        for packet in guarded(path, container.demux(streams), *DAMAGED):
            if packet.size:
                each[packet.stream_index].update(memoryview(packet))
        for stream in streams:
            digests[stream.type].append(each[stream.index].digest())
    return blake2b(repr(digests).encode(), digest_size=_BYTES).hexdigest()


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
        digests = {s.index: blake2b(repr((_setup(s), index.limits)).encode(), digest_size=_BYTES) for s in streams}
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
