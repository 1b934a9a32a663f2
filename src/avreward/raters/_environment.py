"""Versions of the installed libraries that scores depend on."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from avreward.media._version import decoder

NOISE_ONLY = frozenset({"torch"})
"""Libraries whose versions are kept for information: another one gives the same scores up to rounding errors."""


def environment(libraries: Iterable[str]) -> dict[str, str]:
    """Return library → installed version; that of ``av`` names FFmpeg's libraries too, that of torch no build.

    >>> environment(["av"])["av"] == decoder()
    True
    """
    return {name: _version_of(name) for name in sorted(set(libraries))}


def _version_of(library: str) -> str:
    if library == "av":
        return decoder()
    try:
        return version(library).partition("+")[0]
    except PackageNotFoundError:
        return "not installed"
