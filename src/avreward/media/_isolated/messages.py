"""Messages between a process and the workers that decode for it, over a socket.

A message is a line of JSON and arrays. What a worker sends is never unpickled freely: a decoder that was taken over
could send anything, so only a few harmless classes are accepted.
"""

from __future__ import annotations

import io
import json
import pickle
import socket
import struct
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LENGTHS = struct.Struct("<QQ")
_MOST_HEADER, _MOST_ARRAYS = 1 << 28, 1 << 38  # bytes
_KINDS = {"u1": np.uint8, "f4": np.float32}
_HARMLESS = {
    ("avreward.media._container", "FileStamp"),
    ("avreward.media._container", "Limits"),
    ("avreward.media._index", "IndexedAudio"),
    ("avreward.media._index", "IndexedVideo"),
    ("avreward.media._index", "MediaIndex"),
    ("avreward.media._video.to_rgb", "Orientation"),
    ("fractions", "Fraction"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),
}


class Message(NamedTuple):
    """What is sent: a `kind`, an object, and arrays of 8-bit integers or 32-bit floats."""

    kind: str
    content: Any = None
    arrays: Sequence[NDArray[Any]] = ()


class Gone(Exception):
    """The other side closed the connection."""


def send(connection: socket.socket, message: Message) -> None:
    """Send one message."""
    arrays = [np.ascontiguousarray(array) for array in message.arrays]
    about = [[array.dtype.str[1:], list(array.shape)] for array in arrays]
    content = pickle.dumps(message.content)
    header = json.dumps([message.kind, about, len(content)]).encode()
    connection.sendall(_LENGTHS.pack(len(header), sum(array.nbytes for array in arrays)) + header + content)
    for array in arrays:
        connection.sendall(_bytes_of(array))


def receive(connection: socket.socket, trusted: bool = False) -> Message:
    """Return the next message; only what comes from the parent process is `trusted`.

    Raises:
        Gone: if the other side has closed the connection.
        ValueError: if the message is malformed, or holds a class that is not known to be harmless; what was tampered
            with can raise others.
        TimeoutError: if the connection has a timeout and nothing came within it.
    """
    length, size = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if length > _MOST_HEADER or size > _MOST_ARRAYS:
        raise ValueError("a message that is too long")
    kind, about, pickled = json.loads(_exactly(connection, length))
    if not isinstance(pickled, int) or not 0 <= pickled <= _MOST_HEADER:
        raise ValueError("a message that is too long")
    data = _exactly(connection, pickled)
    content = pickle.loads(data) if trusted else _Harmless(io.BytesIO(data)).load()  # noqa: S301  # of the parent
    shapes = [(np.dtype(_KINDS[name]), [int(side) for side in shape]) for name, shape in about]
    declared = sum(kind.itemsize * prod(shape) for kind, shape in shapes)
    if declared != size or any(side < 0 for _, shape in shapes for side in shape):
        raise ValueError("arrays of another size")
    arrays: list[NDArray[Any]] = [np.empty(shape, kind) for kind, shape in shapes]
    for array in arrays:
        _fill(connection, _bytes_of(array))
    return Message(str(kind), content, arrays)


class _Harmless(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise ValueError(f"a message with {module}.{name}")
        return super().find_class(module, name)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of a contiguous array."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    _fill(connection, memoryview(data))
    return bytes(data)


def _fill(connection: socket.socket, view: memoryview) -> None:
    while view.nbytes:
        count = connection.recv_into(view)
        if count == 0:
            raise Gone
        view = view[count:]
