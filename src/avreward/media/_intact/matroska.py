"""Checksums of Matroska and WebM (RFC 8794, CRC-32 elements), which FFmpeg writes and does not verify."""

from __future__ import annotations

import zlib
from io import FileIO
from typing import NamedTuple

_SEGMENT = 0x18538067
_CRC = b"\xbf\x84"  # id of a CRC-32 element and its length, which come first in what they protect
_LARGEST = 1 << 28  # bytes: larger elements are not read into memory to be verified
_IDS = 8  # widths of an id and of a length in bytes, at most


class _Element(NamedTuple):
    identity: int
    begin: int  # of its content
    length: int | None  # None: unknown, up to the next element of its kind


def damage(file: FileIO, size: int) -> str | None:
    """Return which part of the segment does not match its checksum, or where the parts end too early or too late."""
    header = _element(file, 0)
    segment = None if header is None or header.length is None else _element(file, header.begin + header.length)
    if segment is None or segment.identity != _SEGMENT:
        return None  # FFmpeg decides
    end = size if segment.length is None else min(size, segment.begin + segment.length)
    place = segment.begin
    while place < end:
        part = _element(file, place)
        if part is None or (part.length is not None and part.begin + part.length > end):
            return f"its element at byte {place} is damaged"
        if part.length is None:  # written to a pipe: its parts have no checksums
            return None
        file.seek(part.begin)
        if part.length <= _LARGEST and file.read(2) == _CRC:
            said = int.from_bytes(file.read(4), "little")
            if zlib.crc32(file.read(part.length - 6)) != said:
                return f"its element at byte {place} does not match its checksum"
        place = part.begin + part.length
    return None


def _element(file: FileIO, place: int) -> _Element | None:
    """Return the element that begins at `place`; `None` if no element does."""
    file.seek(place)
    head = file.read(2 * _IDS)
    width = _width(head[:1])
    length_width = _width(head[width : width + 1])
    if not 0 < width <= _IDS // 2 or not 0 < length_width <= _IDS or len(head) < width + length_width:
        return None
    unknown = (1 << 7 * length_width) - 1  # all ones
    length = int.from_bytes(head[width : width + length_width], "big") & unknown
    identity = int.from_bytes(head[:width], "big")
    return _Element(identity, place + width + length_width, None if length == unknown else length)


def _width(first: bytes) -> int:
    """Return how many bytes a number has, by its first byte; 0 if no number begins with it."""
    return 9 - first[0].bit_length() if first and first[0] else 0
