"""Answers that only a decoder could give that was taken over; importing this module changes nothing."""

from __future__ import annotations

import os
import pickle
import stat
import struct
import time
from collections.abc import Iterator

from avreward.media._isolated.messages import Message


def lie(how: str) -> Iterator[Message]:
    """Answer in the way that `how` names."""
    if how in RAW:
        descriptor = next(fd for fd in range(3, 64) if _is_socket(fd))
        os.write(descriptor, RAW[how])
        time.sleep(0.2)
        os._exit(0)
    if how == "closed":
        descriptor = next(fd for fd in range(3, 64) if _is_socket(fd))
        os.close(descriptor)
        time.sleep(3600)
    if how == "none":
        return
    yield Message(*ANSWERS[how])
    if how == "two":
        yield Message("value", 1)


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _raw(header: bytes, content: bytes = pickle.dumps(None), size: int = 0) -> bytes:
    return struct.pack("<QQ", len(header), size) + header + content


_NOTHING = str(len(pickle.dumps(None))).encode()
RAW = {
    "no JSON": _raw(b"["),
    "deep JSON": _raw(b"[" * 100_000),
    "another kind of array": _raw(b'["value", [["c8", [1]]], ' + _NOTHING + b"]", size=8),
    "a negative side": _raw(b'["value", [["u1", [-1, -8]]], ' + _NOTHING + b"]", size=8),
    "a huge array": _raw(b'["value", [["u1", [1000000, 1000000]]], ' + _NOTHING + b"]"),
    "no pickle": _raw(b'["value", [], 3]', b"abc"),
    "half a pickle": _raw(b'["value", [], 3]', pickle.dumps([1, 2, 3])[:3]),
    "a length without end": struct.pack("<QQ", 1 << 40, 0),
}
ANSWERS = {
    "another class": ("value", 7), "text": ("value", "abc"), "two": ("value", 1), "another kind": ("what", None),
    "an error of one part": ("media error", ("a",)), "an error without any": ("media error", None),
}  # fmt: skip
