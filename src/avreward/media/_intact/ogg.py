"""Checksums and numbers of Ogg pages (RFC 3533)."""

from __future__ import annotations

import zlib
from io import FileIO

_HEADER = 27  # bytes, before the table of segments
_CHECKSUM = slice(22, 26)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(page: bytes) -> int:
    """Return the checksum of a page whose own field for it is zero.

    Ogg's polynomial is that of zlib, but it begins with the highest bit of a byte, and with 0.

    >>> hex(checksum(bytes(4) + b"1"))
    '0xd0f37027'
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def damage(file: FileIO, size: int) -> str | None:
    """Return which page does not match its checksum, is missing, or is followed by something else."""
    place = 0
    next_numbers: dict[bytes, int] = {}  # of each logical stream
    while place < size:
        file.seek(place)
        header = file.read(_HEADER)
        table = file.read(header[26]) if len(header) == _HEADER else b""
        if len(header) < _HEADER or header[:4] != b"OggS" or len(table) < header[26]:
            return f"its page at byte {place} is damaged"
        body = file.read(sum(table))
        if len(body) < sum(table):
            return f"it is cut short in its page at byte {place}"
        blank = bytearray(header + table + body)
        blank[_CHECKSUM] = bytes(4)
        if checksum(bytes(blank)) != int.from_bytes(header[_CHECKSUM], "little"):
            return f"its page at byte {place} does not match its checksum"
        stream, number = header[14:18], int.from_bytes(header[18:22], "little")
        if stream in next_numbers and next_numbers[stream] != number:
            return f"pages are missing before byte {place}"
        next_numbers[stream] = number + 1
        place += len(blank)
    return None
