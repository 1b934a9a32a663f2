"""Version of decoding, keys and transforms, and versions of the decoding libraries."""

from __future__ import annotations

from functools import cache

VERSION = 3  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
_DECODING = ("libavformat", "libavcodec", "libavutil", "libswscale", "libswresample")


@cache
def decoder() -> str:
    """Return the versions of PyAV and of FFmpeg's libraries behind it: another one may decode a file differently.

    >>> decoder().split()[1]
    '(libavformat'
    """
    import av

    parts = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in _DECODING)
    return f"{av.__version__} ({', '.join(parts)})"
