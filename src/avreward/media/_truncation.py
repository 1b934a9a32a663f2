"""Read from the start of a file the length that it announces, and whether FFmpeg can decode it.

A file whose index comes last can lose a track by a cut and still open; here such a file is an error. Transport streams,
Ogg, ADTS and MP3 without a length header do not announce a length.
"""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO

# Writers to a pipe do not know the length yet and write a placeholder of at least this: SoX and eSpeak 0x7ffff000 (in
# AIFF 0x7f000000), others 0x7fffffff, 0x80000000 or 0xffffffff. Files of that length are rarer than such headers.
PLACEHOLDER = 0x7F000000
_FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_WEBP_ANIMATION = 2  # bit of the flags behind "VP8X"
_XING_REACH = 256  # bytes from the first MP3 frame in which its length header lies


def announced_bytes(file: FileIO, size: int) -> int:
    """Return how many bytes a file of `size` must have at least; 0 if it does not say."""
    start = file.read(12)
    for is_format, measure in _MEASURES:
        if is_format(start):
            file.seek(0)
            return measure(file, size)
    return 0


def has_length_header(file: FileIO) -> bool:
    """Return whether an MP3 file says how many frames it has (a "Xing" or "Info" header)."""
    file.seek(0)
    tag = file.read(10)
    skip = 0
    if tag[:3] == b"ID3" and len(tag) == 10:  # its length has 7 bits a byte
        skip = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    file.seek(skip)
    start = file.read(_XING_REACH)
    return b"Xing" in start or b"Info" in start


def is_animated_webp(file: FileIO) -> bool:
    """Return whether the file is a WebP with more than one frame."""
    file.seek(0)
    head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & _WEBP_ANIMATION)


def _boxes(file: FileIO, size: int) -> int:
    """MP4 and QuickTime: a list of boxes, each beginning with its length and a name."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length == 0:  # up to the end of the file
            return size
        if length < 8 or not head[4:8].isalnum():  # junk after the last box
            return end
        end += length
    return end


def _elements(file: FileIO, size: int) -> int:
    """Matroska: a header element and a segment, each with an id and a length of one to eight bytes."""
    end = 0
    for _ in range(2):
        file.seek(end)
        head = file.read(12)
        identifier = _width(head[:1])
        length = _width(head[identifier : identifier + 1])
        value = int.from_bytes(head[identifier : identifier + length], "big") & ((1 << 7 * length) - 1)
        if not identifier or not length or value == (1 << 7 * length) - 1:  # all ones: unknown
            return 0
        end += identifier + length + value
    return end


def _width(first: bytes) -> int:
    return 9 - first[0].bit_length() if first and first[0] else 0


def _riff(file: FileIO, size: int) -> int:
    """WAV and AVI: "RIFF" and a length."""
    head = file.read(8)
    length = int.from_bytes(head[4:], "little")
    if length >= PLACEHOLDER and length > size:
        return 0
    return 8 + length - 1  # a last byte of padding may be left out


def _gif(file: FileIO, size: int) -> int:
    """GIF: the last byte is a semicolon; some writers pad with zeros."""
    file.seek(max(0, size - 4096))
    return size if file.read(4096).rstrip(b"\0").endswith(b";") else size + 1


_MEASURES: tuple[tuple[Callable[[bytes], bool], Callable[[FileIO, int], int]], ...] = (
    (lambda start: start[4:8] in _FIRST_BOXES, _boxes),
    (lambda start: start[:4] == b"\x1a\x45\xdf\xa3", _elements),
    (lambda start: start[:4] == b"RIFF", _riff),
    (lambda start: start[:4] == b"GIF8", _gif),
)
