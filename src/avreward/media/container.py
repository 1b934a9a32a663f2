"""Opens a media file and reads its header and time stamps, without decoding.

Files are read through a Python file object and nothing else: a playlist that names other files or addresses gets none of
them. libav's exceptions leave here as `MediaError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import av
from av.stream import Disposition

from avreward.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

T = TypeVar("T")

# What libav and PyAV raise on broken files; programming errors (TypeError, AttributeError, KeyError) pass through.
LIBAV_ERRORS = (av.FFmpegError, OSError, ValueError, ArithmeticError, IndexError, MemoryError, RuntimeError, EOFError)
_BUFFER = 1 << 18  # bytes a read: Python is asked rarely, so that threads don't queue for its lock
_READ_AGAIN = 32  # how often libav may read a file over before it counts as caught in a loop
_PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True)
class Limits:
    """The largest clip that `Clip.open` takes: `max_seconds`, `max_side` (pixels) and `max_pixels` (height × width)."""

    max_seconds: float = 7200.0
    max_side: int = 16384
    max_pixels: int = 2**26


@dataclass(frozen=True)
class FileStamp:
    """Which file was opened, so that a later read notices that it was replaced."""

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Stat `path`; raise `MediaError` if it isn't a readable, non-empty file."""
        try:
            stat = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise _unreadable(path, error) from error
        if S_ISDIR(stat.st_mode):
            raise MediaError(path, "this is a directory", "name a file in it")
        if not S_ISREG(stat.st_mode):
            raise MediaError(path, "this isn't a regular file", "write what it gives to a file")
        if stat.st_size == 0:
            raise MediaError(path, "the file is empty (0 bytes)", "write or download it again")
        return cls(path, stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Raise `MediaError` if the file isn't the one that was opened."""
        if FileStamp.of(self.path) != self:
            raise MediaError(self.path, "the file changed after it was opened", "open the clip again")


@contextmanager
def reading(path: Path, limits: Limits) -> Iterator[InputContainer]:
    """Open `path` for demuxing and decoding on one thread; raise `MediaError` if it isn't media."""
    options = {"max_pixels": str(limits.max_pixels), "threads": "1"}  # they hold while libav probes the codecs, too
    with _file(path) as file:
        source: Any = _BoundedReader(file, os.fstat(file.fileno()).st_size)
        with translated(path, "is not media that FFmpeg can read", "check that it was written or downloaded whole"):
            container = av.open(
                source, "r", options=options, metadata_errors="replace", buffer_size=_BUFFER, io_open=_refuse
            )
        try:
            yield container
        finally:
            container.close()


@contextmanager
def translated(path: Path, problem: str, remedy: str) -> Iterator[None]:
    """Turn what libav raises in the body into a `MediaError` about `path`."""
    try:
        yield
    except MediaError:
        raise
    except LIBAV_ERRORS as error:
        raise MediaError(path, f"{problem} ({reason(error)})", remedy) from error


def guarded(path: Path, steps: Iterator[T], problem: str, remedy: str) -> Iterator[T]:
    """Yield `steps`; what libav raises on the way is a `MediaError`, what the consumer raises stays as it is."""
    while True:
        with translated(path, problem, remedy):
            try:
                step = next(steps)
            except StopIteration:
                return
        yield step


def reason(error: BaseException) -> str:
    """Return libav's own words for an error, on one line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())


def pick(container: InputContainer, kind: str) -> tuple[Stream | None, str]:
    """Return the track of `kind` ("video" or "audio") to use, or None and the reason why there is none.

    It is the first one that is marked as default, or else the first. Cover art and thumbnails are no picture track.
    """
    noun = "picture" if kind == "video" else "sound"
    streams = [s for s in container.streams if s.type == kind and not s.disposition & _PICTURES_BESIDE]
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        return None, f"FFmpeg has no decoder for the {noun} track" if streams else f"no {noun} track"
    return next((s for s in known if s.disposition & Disposition.default), known[0]), ""


class _BoundedReader:
    """A file for libav that refuses to be read forever: broken indices send some demuxers round in circles."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.name = file.name
        self.seek, self.tell = file.seek, file.tell
        self._file, self._left = file, _READ_AGAIN * max(size, 1 << 20)

    def read(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise OSError("its index runs in circles")
        return self._file.read(count)


def _refuse(url: str, flags: int, options: Mapping[str, str]) -> None:
    raise OSError(f"it asks for another file, {url!r}, and playlists aren't followed")


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file  # type: ignore[misc]


def _unreadable(path: Path, error: Exception) -> MediaError:
    if isinstance(error, FileNotFoundError):
        if "://" in str(path) or ":/" in str(path):
            return MediaError(path, "addresses aren't opened, only files", "download it and give the path")
        return MediaError(path, "there is no such file", "check the path")
    if isinstance(error, IsADirectoryError):
        return MediaError(path, "this is a directory", "name a file in it")
    if isinstance(error, PermissionError):
        return MediaError(path, "no permission to read it", "change its permissions or copy it")
    return MediaError(path, f"it can't be read ({reason(error)})", "check the path and the disk")
