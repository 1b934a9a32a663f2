"""Open a media file and read its header and time stamps, without decoding.

Files are read through a Python file object and nothing else: a playlist that names other files or addresses gets none
of them. Exceptions of libav become `MediaError` here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any, TypeVar

import av
from av.stream import Disposition

from avreward.errors import ArgumentError, MediaError
from avreward.media._intact import allowed

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

T = TypeVar("T")
S = TypeVar("S", "VideoStream", "AudioStream")

# What libav and PyAV raise on broken files; programming errors (TypeError, AttributeError, KeyError) pass through.
LIBAV_ERRORS = (av.FFmpegError, OSError, ValueError, ArithmeticError, IndexError, MemoryError, RuntimeError, EOFError)
DAMAGED = ("it is damaged or cut short", "write or download it again")  # problem and remedy
_CHECK_OR_ALLOW = f"check that it is whole; {allowed.VARIABLE}=all also reads formats that are rare"
_BUFFER = 1 << 18  # bytes a read: Python is asked rarely, so that threads do not queue for its lock
_MOST_BYTES = 1 << 36
_READ_AGAIN = 32  # how often libav may read a file again before that counts as an endless loop
_PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True)
class Limits:
    """The largest clip that `Clip.open` takes: `max_seconds`, `max_side` (pixels) and `max_pixels` (height × width)."""

    max_seconds: float = 7200.0
    max_side: float = 16384
    max_pixels: float = 2**26

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_side", "max_pixels"):
            value = getattr(self, name)
            if not value > 0:
                raise ArgumentError(name, "a positive number", value)
            if float(value).is_integer():  # 100 and 100.0 are one limit, and one key
                object.__setattr__(self, name, int(value))

    def options(self) -> dict[str, str]:
        """Return the decoder options that refuse larger frames."""
        return {"max_pixels": str(int(min(self.max_pixels, 2**31 - 1)))}

    def check_seconds(self, path: Path, seconds: float) -> None:
        """Raise `MediaError` if a clip of `seconds` is too long."""
        if seconds > self.max_seconds:
            problem = f"{seconds:.1f} s exceed max_seconds={self.max_seconds:g}"
            raise MediaError(path, problem, "cut it into shorter files, or raise max_seconds")


@dataclass(frozen=True)
class FileStamp:
    """Identity of the file that was opened, so that a later read notices that it was replaced."""

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Stat `path`; raise `MediaError` unless it is a readable, non-empty file."""
        try:
            stat = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise _unreadable(path, error) from error
        if S_ISDIR(stat.st_mode):
            raise MediaError(path, "this is a directory", "name a file in it")
        if not S_ISREG(stat.st_mode):
            raise MediaError(path, "this is not a regular file", "write its content to a file")
        if stat.st_size == 0:
            raise MediaError(path, "the file is empty (0 bytes)", "write or download it again")
        if stat.st_size > _MOST_BYTES:
            problem = f"{stat.st_size / 2**30:.1f} GiB exceed the {_MOST_BYTES >> 30} GiB that are read"
            raise MediaError(path, problem, "cut it into shorter files")
        return cls(path, stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Raise `MediaError` if the file is not the one that was opened."""
        if FileStamp.of(self.path) != self:
            raise MediaError(self.path, "the file changed after it was opened", "open the clip again")


@contextmanager
def reading(path: Path, limits: Limits) -> Iterator[InputContainer]:
    """Open `path` for demuxing and decoding on one thread; raise `MediaError` if it is not media."""
    # These also apply while libav probes the codecs. No protocols: some demuxers open others, without asking.
    options = {**limits.options(), "threads": "1", "protocol_whitelist": "none", "err_detect": "crccheck+explode"}
    options |= allowed.options()
    with opened(path) as file:
        source: Any = _Source(file, os.fstat(file.fileno()).st_size)
        try:
            with translated(path, "not media that FFmpeg can read", _CHECK_OR_ALLOW):
                container = av.open(
                    source, "r", options=options, metadata_errors="replace", buffer_size=_BUFFER, io_open=source.refuse
                )
            try:
                yield container
            finally:
                container.close()
        except MediaError as error:
            if source.trouble is not None:  # it says more than libav's error
                raise MediaError(path, *source.trouble) from error
            raise
        if source.trouble is not None:
            raise MediaError(path, *source.trouble)


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
    """Yield `steps`; errors of libav become `MediaError`, errors of the consumer stay as they are."""
    while True:
        try:
            step = next(steps)
        except StopIteration:
            return
        except MediaError:
            raise
        except LIBAV_ERRORS as error:
            raise MediaError(path, f"{problem} ({reason(error)})", remedy) from error
        yield step


def reason(error: BaseException) -> str:
    """Return libav's own words for an error, on one line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())


def pick_video(container: InputContainer) -> tuple[VideoStream | None, str]:
    """Return the video track to use, or None and the reason; cover art and thumbnails do not count."""
    return _pick([s for s in container.streams.video if not s.disposition & _PICTURES_BESIDE], "picture")


def pick_audio(container: InputContainer) -> tuple[AudioStream | None, str]:
    """Return the audio track to use, or None and the reason why there is none."""
    return _pick(list(container.streams.audio), "sound")


def _pick(streams: list[S], noun: str) -> tuple[S | None, str]:
    """Raise `ValueError` if a track is there that can't be decoded: judged by the rest alone, the clip scored more."""
    if not streams:
        return None, f"no {noun} track"
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise ValueError(f"no decoder for the {noun} track")
    for stream in known:
        if not allowed.is_allowed(stream.codec_context.codec.name):
            name = stream.codec_context.codec.name
            raise ValueError(f"its {noun} track is in {name}, not read unless {allowed.VARIABLE}={name} is set")
    return next((stream for stream in known if stream.disposition & Disposition.default), known[0]), ""


class _Source:
    """A file for libav that opens no other file, and ends once it was read too often (a broken index is circular).

    It does not raise, since PyAV would write that to stderr; `trouble` holds what happened (problem, remedy).
    """

    def __init__(self, file: FileIO, size: int) -> None:
        self.name, self.tell = file.name, file.tell
        self.trouble: tuple[str, str] | None = None
        self._file, self._left = file, _READ_AGAIN * max(size, 1 << 20)

    def read(self, count: int) -> bytes:
        data = self._file.read(count) if self._left > 0 else b""
        self._left -= max(1, len(data))
        if self._left <= 0:
            self.trouble = "its index is circular", DAMAGED[1]
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):  # to before the start: libav takes it as its own kind of error
            return -1

    def refuse(self, url: str, flags: int, options: Mapping[str, str]) -> BytesIO:
        self.trouble = f"it asks for another file, {url!r}, and playlists are not followed", "open that file itself"
        return BytesIO()


@contextmanager
def opened(path: Path) -> Iterator[FileIO]:
    """Open a file for reading; raise `MediaError` if that fails."""
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _unreadable(path: Path, error: Exception) -> MediaError:
    if isinstance(error, FileNotFoundError):
        if "://" in str(path) or ":/" in str(path):
            return MediaError(path, "addresses are not opened, only files", "download it and pass the path")
        return MediaError(path, "there is no such file", "check the path")
    if isinstance(error, IsADirectoryError):
        return MediaError(path, "this is a directory", "name a file in it")
    if isinstance(error, PermissionError):
        return MediaError(path, "no permission to read it", "change its permissions or copy it")
    return MediaError(path, f"it cannot be read ({reason(error)})", "check the path and the disk")
