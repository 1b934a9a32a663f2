"""Errors of this package: one line that names the input, what was expected, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike
from reprlib import Repr
from typing import Any

from avreward._printable import message

EVERY_CLIP = "failed on every clip"  # ends the note on the error of a rater that did
RATER_FAILED = "the rater failed: "  # begins the reason of a clip on which a rater raised
_LONGEST = 80  # characters of a value that a message shows
_MOST_NAMES = 12  # of those that are known
_BOUNDED = Repr()  # a value from a file may be of any size, or hold itself
_BOUNDED.maxlevel, _BOUNDED.maxstring, _BOUNDED.maxother = 3, 4 * _LONGEST, 4 * _LONGEST
_BOUNDED.maxlist = _BOUNDED.maxtuple = _BOUNDED.maxset = _BOUNDED.maxdict = 2 * _LONGEST


class AvrewardError(Exception):
    """Base of every error that this package raises on purpose; its text is one readable line.

    Names in it are data: control characters and marks of direction are shown as escapes, and a very long text is cut.
    """

    def __str__(self) -> str:
        return message(Exception.__str__(self))  # KeyError's, in a subclass, would put it in quotes


class Described(str):
    """Description of a wrong value in words: an `ArgumentError` shows it without quotes.

    >>> raise ArgumentError("prompts", "one prompt a clip (2)", Described("3 prompts"))
    Traceback (most recent call last):
    ...
    avreward.errors.ArgumentError: prompts: expected one prompt a clip (2), got 3 prompts
    """


class ArgumentError(AvrewardError, ValueError):
    """An argument that cannot be used: "NAME: expected X, got Y; do Z".

    Args:
        name: of the argument.
        expected: what it must be, with its article: ``"a positive integer"``.
        got: the value that was passed, of any type; text in `Described` is shown as it is.
        remedy: what to do, where `expected` does not already say so (*optional*).

    Example:
        >>> raise ArgumentError("batch_size", "a positive integer", 0, "leave it out for the default")
        Traceback (most recent call last):
        ...
        avreward.errors.ArgumentError: batch_size: expected a positive integer, got 0; leave it out for the default
    """

    def __init__(self, name: str, expected: str, got: Any, remedy: str | None = None) -> None:
        shown = _shown(got)
        super().__init__(f"{name}: expected {expected}, got {shown}" + (f"; {remedy}" if remedy else ""))
        self.name, self.expected, self.got, self.remedy = name, expected, shown, remedy

    def __reduce__(self) -> tuple[type, tuple[str, str, Described, str | None]]:  # the value itself may not pickle
        return type(self), (self.name, self.expected, Described(self.got), self.remedy)


class UnknownNameError(ArgumentError, KeyError):
    """A name that is not among the known ones; made by `unknown_name`."""


def unknown_name(name: str, got: object, known: Iterable[str], remedy: str | None = None) -> UnknownNameError:
    """Return the error for an unknown name; it suggests the closest known ones.

    Args:
        name: of the argument: ``"dimension"``.
        got: the name that was passed.
        known: the known names.
        remedy: what to do where no known name is close (*optional*).

    Example:
        >>> print(unknown_name("dimension", "cliping", ["clipping", "noise"]))
        dimension: expected one of clipping, noise, got 'cliping'; did you mean 'clipping'?
    """
    names = list(known)
    near = get_close_matches(str(got), names, 3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else remedy
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    expected = f"one of {', '.join(names[:_MOST_NAMES])}{more}" if names else "no name, as there are none"
    return UnknownNameError(name, expected, got, hint)


def describe(error: BaseException) -> str:
    r"""Return the type and the message of an error on one line.

    Example:
        >>> describe(RuntimeError("the network\nfell over"))
        'RuntimeError: the network fell over'
    """
    return message(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])


class MediaError(AvrewardError, ValueError):
    """A file or tensor that cannot be used as a clip.

    `source` names it (a path, or an argument such as ``video``), `problem` says what is wrong with it and `remedy`
    what to do.

    >>> raise MediaError("a.mp4", "the file is empty", "write it again")
    Traceback (most recent call last):
    ...
    avreward.errors.MediaError: a.mp4: the file is empty; write it again
    """

    def __init__(self, source: str | PathLike[str], problem: str, remedy: str) -> None:
        super().__init__(f"{source}: {problem}; {remedy}")
        self.source, self.problem, self.remedy = str(source), problem, remedy

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:  # so that it survives a process boundary
        return type(self), (self.source, self.problem, self.remedy)


class UnusableTrack(MediaError):
    """An intact track that a rater cannot use, such as audio that is too short: scores that need it are missing."""


def _shown(got: Any) -> str:
    """One short line for any value."""
    if isinstance(got, Described):
        return str(got)
    if isinstance(got, type):
        return f"the class {got.__name__}"
    if hasattr(got, "shape") and hasattr(got, "dtype"):  # a tensor or array: its values would fill the screen
        return f"a {type(got).__name__} of shape {tuple(got.shape)} and type {got.dtype}"
    text = " ".join(_BOUNDED.repr(got).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
