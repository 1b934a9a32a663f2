"""Keys that say what a track holds, without decoding it: equal keys, equal content."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.media.container import guarded, reading
from avreward.media.index import DAMAGED, MediaIndex

if TYPE_CHECKING:
    from av.codec.context import CodecContext

_BYTES = 16
_PIECE = 2**24  # elements hashed at once, so that a tensor on a GPU is copied piece by piece
_MOST_FILES = 4096
_MICRO = 1_000_000


class SameTensor:
    """Equal only for one and the same tensor: two with equal values may have different graphs behind them."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameTensor) and self.tensor is other.tensor

    def __hash__(self) -> int:
        return id(self.tensor)


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


def graph_key(tensor: Tensor) -> SameTensor | None:
    """Return a key of the tensor itself if it has a graph: equal values on two nodes of it must not share work."""
    return SameTensor(tensor) if tensor.requires_grad else None


def file_keys(index: MediaIndex) -> dict[str, str]:
    """Return the keys "video" and "audio" of a file's tracks, those that it has.

    A key covers the packets' payload, their time stamps in clip time (to a microsecond), what the decoder is told besides
    (codec, its setup, colour tags, trimming), and the limits that the file was opened with. The container doesn't count:
    two files that hold one video under different sounds share the key of the picture. How frames are turned for display
    isn't covered: the caller adds it. Results are kept by path, size and modification time.
    """
    with _lock:
        digests = _known.get((index.stamp, index.limits))
    if digests is None:
        digests = _hash_packets(index)
        with _lock:
            _known[index.stamp, index.limits] = digests
            while len(_known) > _MOST_FILES:
                _known.popitem(last=False)
    return dict(digests)


_known: OrderedDict[tuple[object, object], dict[str, str]] = OrderedDict()
_lock = Lock()


def _hash_packets(index: MediaIndex) -> dict[str, str]:
    index.stamp.check()
    tracks = {track.stream: name for name, track in (("video", index.picture), ("audio", index.sound)) if track}
    with reading(index.stamp.path, index.limits) as container:
        streams = [container.streams[number] for number in tracks]
        digests = {number: blake2b(digest_size=_BYTES) for number in tracks}
        zeros = {}
        for stream, track in ((s, index.picture if tracks[s.index] == "video" else index.sound) for s in streams):
            assert track is not None
            zeros[stream.index] = track.origin
            digests[stream.index].update(repr((_setup(stream.codec_context), index.limits)).encode())
        for packet in guarded(index.stamp.path, container.demux(streams), *DAMAGED):
            if packet.size == 0:
                continue
            number = packet.stream_index
            time = packet.pts if packet.pts is not None else packet.dts
            moment = None if time is None else round((time * packet.time_base - zeros[number]) * _MICRO)
            trim = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else b""
            digests[number].update(f"{moment} {packet.is_discard} {trim.hex()} {packet.size} ".encode())
            digests[number].update(packet)
    return {tracks[number]: digest.hexdigest() for number, digest in digests.items()}


def _setup(codec: CodecContext) -> tuple[object, ...]:
    """Return what a decoder is told besides the packets."""
    common = (codec.name, codec.profile, codec.extradata)
    if codec.type == "audio":
        return *common, codec.sample_rate, codec.layout.name, codec.format.name
    colours = (codec.colorspace, codec.color_range)
    return *common, codec.width, codec.height, codec.pix_fmt, *colours
