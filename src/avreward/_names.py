"""Names of files that are made from data: a table, a manifest, a prompt. None can lead out of its folder."""

from __future__ import annotations

import re

from avreward.errors import ArgumentError, Described

LONGEST = 60  # characters of a name that is made from a text
_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")
_ODD = re.compile("[/\\\\\x00-\x1f\x7f]")
_ENDING = re.compile(r"\.[0-9A-Za-z]{1,8}")


def key_name(text: str, argument: str, remedy: str) -> str:
    """Return a key from a table, which names a file.

    Raises:
        ArgumentError: unless it is of letters, digits, ``_`` and ``-``, at most 128.

    Example:
        >>> key_name("../outside", "clip_key", "score the clips again")
        Traceback (most recent call last):
        ...
        avreward.errors.ArgumentError: clip_key: expected letters and digits (at most 128), as it names files, got ...
    """
    if not _KEY.fullmatch(text):
        raise ArgumentError(argument, "letters and digits (at most 128), as it names files", text, remedy)
    return text


def folder_name(text: str, argument: str) -> str:
    """Return the name of a clip, which also names a folder or file in an output.

    Raises:
        ArgumentError: if it would name another folder, such as ``..``.

    Example:
        >>> folder_name("rain, take 2", "videos")
        'rain, take 2'
    """
    if text.strip(". ") == "" or _ODD.search(text):
        got = Described(f"{text!r}, which can't name a folder")
        raise ArgumentError(argument, "files with names of letters and digits", got, "rename the file")
    return text


def stem_of(text: str, default: str) -> str:
    """Return a file's name without ending that tells of a text: its letters, digits, ``_``, ``.`` and ``-``.

    Example:
        >>> stem_of("../dubs/a dog!", "clip"), stem_of("…", "clip")
        ('dubs-a-dog', 'clip')
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:LONGEST].rstrip("-.") or default


def ending_of(text: str) -> str:
    """Return a file's ending in small letters, dot included; empty for one that isn't of letters and digits.

    Example:
        >>> ending_of(".MP4"), ending_of(".mp4 ; rm"), ending_of("")
        ('.mp4', '', '')
    """
    return text.lower() if _ENDING.fullmatch(text) else ""
