"""Text from data as it can be shown: what would control a terminal is escaped, and what is too long is cut."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 2_000  # characters of a message; a name in it may be of any length

# Control characters begin escape sequences, marks of direction show a name in another order, surrogates can't be
# printed, and U+2028 and U+2029 end a line.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with control characters and marks of direction as escapes.

    A byte of a file's name that is not UTF-8 is shown as that byte.

    Args:
        text: a name, a prompt, a message.
        keep: characters that are left as they are, such as a line's end.

    Example:
        >>> printable("a\x1b[2J\u202e.mp4"), printable("b\udcff.mp4")
        ('a\\x1b[2J\\u202e.mp4', 'b\\xff.mp4')
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def message(text: str) -> str:
    """Return the text of an error as it can be printed: see `printable`; the middle of a very long one is left out.

    Example:
        >>> len(message("x" * 1_000_000))
        1836
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 4 :]}"
    return printable(text, keep="\n")[: 2 * LONGEST]


def json_text(value: Any, indent: int | None = 2) -> str:
    r"""Return JSON in which what `printable` escapes is written as JSON's own escapes: it is read back unchanged.

    A number that is not finite is null.

    Example:
        >>> json_text({"clip": "é\u202e.mp4"}, indent=None)
        '{"clip": "é\\u202e.mp4"}'
    """
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    # Outside of strings there is none of these but the line's end; in strings json escapes U+0000 to U+001F.
    return _HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte that is not UTF-8
        code -= 0xDC00
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED.get(character, short)
