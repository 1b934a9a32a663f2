"""The clips that a command or a script is about: files, folders, patterns, lists and manifests."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from avreward.errors import ArgumentError, Described
from avreward.scoring._manifest import MANIFESTS, MEDIA, base_of, read_manifest


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One clip of a list.

    Attributes:
        path: its file.
        prompt: what it was asked for, where a manifest says so.
        columns: the other columns of its row in a manifest.
    """

    path: Path
    prompt: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """Other texts of the clip: what its row says in columns named ``texts.NAME``."""
        named = {name.removeprefix("texts."): text for name, text in self.columns.items() if name.startswith("texts.")}
        return {name: str(text) for name, text in named.items() if name and text not in (None, "")}


def list_clips(inputs: Sequence[str | PathLike[str]] | str | PathLike[str]) -> list[ListedClip]:
    """Return the clips that `inputs` name, in their order.

    An input is

    - a media file;
    - a folder: its media files and those of its subfolders, in natural order;
    - a pattern such as ``"dubs/*/*.mp4"`` or ``"dubs/**"``, or of manifests, such as ``"lists/*.csv"``;
    - ``-``: one path a line on standard input (or paths that end in NUL);
    - a manifest: CSV, TSV, JSON lines, JSON or Parquet with a row a clip. The path is in the column ``clip``, ``file``,
      ``path``, ``video``, ``filename``, ``file_name`` or ``audio``, and ``prompt`` holds the prompt. JSON may also map
      each path to its prompt. Relative paths start from the current folder, or from the manifest's where only that has
      the files.

    Nothing is opened: a file that does not exist is in the list, and fails when it is opened.

    Args:
        inputs: one input or several.

    Raises:
        ArgumentError: if a pattern matches nothing, a folder has no media files, or a manifest has no rows or no column
            with paths.
        AvrewardError: if a manifest can't be read.

    Example:
        >>> [listed.path.name for listed in list_clips(["dub*.mp4"])]
        ['dub1.mp4', 'dub2.mp4', 'dub3.mp4']
    """
    given = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    if not all(isinstance(one, str | PathLike) for one in given):
        raise ArgumentError("clips", "paths of files, folders, patterns or manifests", inputs)
    return [listed for one in given for listed in _expanded(os.fspath(one))]


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts ``b2`` before ``b10``; digits of other scripts are letters."""
    return tuple(
        (0, int(part)) if part.isascii() and part.isdigit() else (1, part)
        for part in re.split(r"([0-9]+)", text)
        if part
    )


def _expanded(text: str) -> Iterator[ListedClip]:
    if text == "-":
        for line in _standard_input():
            yield from _expanded(line)
    elif os.path.isdir(text):
        found = _media_of(Path(text))
        if not found and Path(text).suffix.lower() not in MEDIA:  # else one of many files, which fails by itself
            got = Described(f"none in {text}")
            raise ArgumentError("clips", "media files in the folder", got, "check the path and the endings")
        yield from map(ListedClip, found or [Path(text)])
    elif is_pattern(text):
        if Path(text).suffix.lower() in MANIFESTS:
            for path in _manifests(text):
                yield from _of_manifest(path)
        else:
            yield from map(ListedClip, _matching(text))
    elif Path(text).suffix.lower() in MANIFESTS:
        yield from _of_manifest(Path(text))
    else:
        yield ListedClip(Path(text))


def is_pattern(text: str) -> bool:
    """Return whether an input is a pattern, and not the name of a file with brackets."""
    return glob.has_magic(text) and not os.path.lexists(text)


def _manifests(pattern: str) -> list[Path]:
    """Return the manifests that match a pattern with the ending of one."""
    found = [Path(text) for text in glob.glob(pattern, recursive=True) if os.path.isfile(text)]
    if not found:
        got = Described(f"none for {pattern!r}")
        raise ArgumentError("clips", "manifests that match the pattern", got, "check the path and the ending")
    return sorted(found, key=lambda path: natural(str(path)))


def _of_manifest(path: Path) -> Iterator[ListedClip]:
    rows = read_manifest(path)
    base = base_of(path, [clip for clip, _, _ in rows])
    for clip, prompt, columns in rows:
        yield ListedClip(base / clip, prompt, columns)


def _media_of(folder: Path) -> list[Path]:
    """Return the media files in a folder and below it, in natural order; hidden ones are left out."""
    found: list[Path] = []
    seen: set[str] = set()
    for place, inside, names in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in seen:  # a link to a folder above it
            inside.clear()
            continue
        seen.add(os.path.realpath(place))
        inside[:] = sorted((name for name in inside if not name.startswith(".")), key=natural)
        media = (n for n in names if not n.startswith(".") and os.path.splitext(n)[1].lower() in MEDIA)
        found += [Path(place, name) for name in sorted(media, key=natural)]
    return found


def _matching(pattern: str) -> list[Path]:
    """Return the media files that match a pattern, and those in matching folders, each once."""
    matches = [Path(text) for text in glob.glob(pattern, recursive=True)]
    found = [path for path in matches if path.suffix.lower() in MEDIA and path.is_file()]
    for folder in (path for path in matches if path.is_dir()):
        found += _media_of(folder)
    if not found:
        got = Described(f"none for {pattern!r}")
        raise ArgumentError("clips", "media files that match the pattern", got, "check the path and the ending")
    return sorted(set(found), key=lambda path: natural(str(path)))


def _standard_input() -> list[str]:
    content = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else os.fsencode(sys.stdin.read())
    parts = content.split(b"\0") if b"\0" in content else content.splitlines()
    lines = [os.fsdecode(part) for part in parts if part.strip()]
    if not lines:
        raise ArgumentError("clips", "a path a line on standard input", Described("nothing"), "pipe a list into -")
    return lines
