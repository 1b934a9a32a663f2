"""Checksums of PNG, and the structure of JPEG, GIF and WebP, which have none."""

from __future__ import annotations

import zlib
from io import FileIO

_PNG_HEADER, _GIF_HEADER, _RIFF_HEADER = 8, 13, 12  # bytes
_ALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a length
_SCAN, _END = 0xDA, 0xD9
_COLOURS = 0x80  # bit of GIF's flags: a table of colours follows, of 2^(1 + lowest three bits)
_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B


def png_damage(file: FileIO, size: int) -> str | None:
    """Return which chunk of a PNG or APNG does not match its checksum."""
    place = _PNG_HEADER
    while place < size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        content = file.read(length + 4) if place + 12 + length <= size else b""
        if len(head) < 8 or len(content) < length + 4:
            return f"it is cut short in its chunk at byte {place}"
        if zlib.crc32(content[:-4], zlib.crc32(head[4:])) != int.from_bytes(content[-4:], "big"):
            return f"its chunk at byte {place} does not match its checksum"
        place += 12 + length
        if head[4:] == b"IEND":
            return None
    return "it is cut short: its last chunk is missing"


def jpeg_damage(file: FileIO, size: int) -> str | None:
    """Return where the markers of a JPEG break off; its image data has no checksum.

    Files may have more after the first picture: metadata, a preview, other pictures.
    """
    data = file.read(size)
    place = 2
    while True:
        while data[place : place + 2] == b"\xff\xff":  # padding
            place += 1
        if place + 4 > size or data[place] != 0xFF:
            return f"its marker at byte {place} is damaged"
        marker = data[place + 1]
        if marker == _END:
            return None
        if marker in _ALONE:
            place += 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if length < 2 or marker < 0xC0:
            return f"its marker at byte {place} is damaged"
        place += 2 + length
        if marker == _SCAN:
            place = _after_scan(data, place)
            if place < 0 or (place + 1 < size and data[place + 1] == _END):
                return None if place >= 0 else "it is cut short: its end marker is missing"


def _after_scan(data: bytes, place: int) -> int:
    """Return where the marker after the image data stands, −1 if there is none."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 1 >= len(data):
            return -1
        if data[place + 1] != 0 and data[place + 1] != 0xFF and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 1


def gif_damage(file: FileIO, size: int) -> str | None:
    """Return where the blocks of a GIF break off; they have no checksums."""
    data = file.read(size)
    place = _GIF_HEADER + _colours(data[10:11])
    while place < size:
        kind = data[place]
        if kind == _TRAILER:
            return None
        if kind == _IMAGE:
            place += 10 + _colours(data[place + 9 : place + 10]) + 1
        elif kind == _EXTENSION:
            place += 2
        else:
            return f"its block at byte {place} is damaged"
        while place < size and data[place]:
            place += 1 + data[place]
        place += 1
    return "it is cut short: its last block is missing"


def _colours(flags: bytes) -> int:
    """Return how many bytes the table of colours takes."""
    return 3 << 1 + (flags[0] & 7) if flags and flags[0] & _COLOURS else 0


def webp_damage(file: FileIO, size: int) -> str | None:
    """Return where the chunks of a WebP don't fill it, or the picture's own header disagrees with them."""
    head = file.read(_RIFF_HEADER)
    end = 8 + int.from_bytes(head[4:8], "little")
    if end > size + 1:
        return f"it is cut short: {size} of {end} bytes are there"
    place, pictures = _RIFF_HEADER, 0
    while place + 8 <= end:
        file.seek(place)
        head = file.read(18)
        length = int.from_bytes(head[4:8], "little")
        if place + 8 + length > end or not all(32 <= byte < 127 for byte in head[:4]):
            return f"its chunk at byte {place} is damaged"
        if head[:4] == b"VP8 ":
            first = int.from_bytes(head[8:11], "little") >> 5  # the length of its first part
            if head[11:14] != b"\x9d\x01\x2a" or first + 10 > length:
                return f"its picture at byte {place} is damaged"
        if head[:4] == b"VP8L" and head[8:9] != b"\x2f":
            return f"its picture at byte {place} is damaged"
        pictures += head[:4] in (b"VP8 ", b"VP8L")
        place += 8 + length + length % 2
    return None if pictures else "it has no picture"
