"""Order of the channels of an audio track, read without the crash of PyAV before 19.1 on unusual ones."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.layout import AudioLayout

# FFmpeg's usual order, in its short names. `remix` counts on it.
_USUAL = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")
_FRONT = ("FL", "FR", "FC")
_PAIRS = (("BL", "BR"), ("SL", "SR"))
# What can be mixed after ITU-R BS.775: 5.0, 5.1 and 7.1, with the surrounds behind or at the sides.
_MIXABLE = {
    *((*_FRONT, *pair) for pair in _PAIRS),
    *((*_FRONT, "LFE", *pair) for pair in _PAIRS),
    (*_FRONT, "LFE", *_PAIRS[0], *_PAIRS[1]),
}

_keep = ctypes.pythonapi.Py_IncRef
_keep.argtypes, _keep.restype = [ctypes.py_object], None


def guard(layout: AudioLayout) -> AudioLayout:
    """Return `layout`, made safe to delete; every layout that PyAV returns must pass through here.

    PyAV copies the pointer of an order that FFmpeg does not define and frees it twice, which ends the process. Such an
    object (they are rare) is never freed.
    """
    if " channels (" in layout.name:  # how FFmpeg describes them: "2 channels (FR+FL)"
        _keep(layout)
    return layout


def channel_names(layout: AudioLayout) -> tuple[str, ...]:
    """Return FFmpeg's short name of each channel, such as "FL"; () if the file does not say."""
    names = tuple(channel.name for channel in guard(layout).channels)
    return names if all(name in _USUAL for name in names) else ()


def usual_order(names: Sequence[str]) -> list[int] | None:
    """Return the numbers of the channels in FFmpeg's usual order, or None if they are in it or have no names.

    >>> usual_order(("FL", "FC", "FR"))
    [0, 2, 1]
    """
    order = sorted(range(len(names)), key=lambda number: _USUAL.index(names[number]))
    return None if order == list(range(len(names))) else order


def is_mixable(names: Sequence[str]) -> bool:
    """Return whether `remix` knows the channels (in any order): mono, stereo, 5.0, 5.1, 7.1 or unnamed.

    >>> is_mixable(("FL", "FR", "FC", "BL", "BR", "BC"))
    False
    """
    return len(names) < 3 or tuple(sorted(names, key=_USUAL.index)) in _MIXABLE
