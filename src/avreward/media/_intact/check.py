"""Find damage that a container's own checksums and lengths show; what FFmpeg reads past is a wrong score otherwise."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO

from avreward.media._intact import images, matroska, ogg

_CHECKS: tuple[tuple[Callable[[bytes], bool], Callable[[FileIO, int], str | None]], ...] = (
    (lambda start: start[:4] == b"OggS", ogg.damage),
    (lambda start: start[:4] == b"\x1a\x45\xdf\xa3", matroska.damage),
    (lambda start: start[:8] == b"\x89PNG\r\n\x1a\n", images.png_damage),
    (lambda start: start[:3] == b"\xff\xd8\xff", images.jpeg_damage),
    (lambda start: start[:4] == b"GIF8", images.gif_damage),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", images.webp_damage),
)


def damage(file: FileIO, size: int) -> str | None:
    """Return where a file of `size` bytes disagrees with its own checksums or lengths; `None` if nowhere.

    Formats that carry neither (MP4, AVI, WAV, MPEG-TS, ADTS, MP3) give `None`.
    """
    file.seek(0)
    start = file.read(12)
    for is_format, check in _CHECKS:
        if is_format(start):
            file.seek(0)
            return check(file, size)
    return None
