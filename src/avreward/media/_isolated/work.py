"""What a worker can be asked to do: name → function that yields the messages of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from avreward.media import _index, _waveform
from avreward.media._container import FileStamp, Limits
from avreward.media._index import MediaIndex
from avreward.media._isolated.messages import Message
from avreward.media._keys import files
from avreward.media._video import decode
from avreward.media.sampling import FramePlan


def _read_index(stamp: FileStamp, limits: Limits) -> Iterator[Message]:
    yield Message("value", _index.read_index(stamp, limits))


def _keys_of(index: MediaIndex) -> Iterator[Message]:
    yield Message("value", files.hash_packets(index))


def _orientation(index: MediaIndex) -> Iterator[Message]:
    yield Message("value", decode.decode_orientation(index))


def _levels(index: MediaIndex, plans: Sequence[FramePlan]) -> Iterator[Message]:
    yield Message("value", None, decode.decode_levels(index, plans))


def _images(index: MediaIndex) -> Iterator[Message]:
    for image in decode.decode_images(index):
        yield Message("item", None, [image])


def _blocks(index: MediaIndex) -> Iterator[Message]:
    for block in _waveform.audio_blocks(index):
        yield Message("item", None, [block.numpy()])


def out_of_memory(error: Exception) -> bool:
    """Return whether memory was all that it lacked; torch and C++ libraries raise RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "alloc" in str(error))


WORK: dict[str, Callable[..., Iterator[Message]]] = {
    "index": _read_index,
    "keys": _keys_of,
    "orientation": _orientation,
    "levels": _levels,
    "images": _images,
    "blocks": _blocks,
}
