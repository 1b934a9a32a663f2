"""What a column of texts holds: numbers, or names that must stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable

WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
DIGITS = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
SHORT_POWER = re.compile(r"[+-]?[0-9]+[eE][+-]?[0-9]+")  # 1e-5: as often a name as a number
LEADING_ZERO = re.compile(r"[+-]?0[0-9]")  # 007 is a name


def kind_of(texts: Iterable[str]) -> str:
    """Return ``"int64"``, ``"double"`` or ``"string"`` for a column with these values.

    Example:
        >>> kind_of(["1", "2"]), kind_of(["0.5", "2"]), kind_of(["007"]), kind_of(["1.1", "1.10"]), kind_of(["1e5"])
        ('int64', 'double', 'string', 'string', 'string')
    """
    known = set(texts)
    if not known or not all(map(NUMBER.fullmatch, known)) or any(map(LEADING_ZERO.match, known)):
        return "string"
    if all(map(WHOLE_NUMBER.fullmatch, known)):
        return "int64" if all(fits_in_64_bits(int(text)) for text in known) else "string"
    return "string" if any(map(_changed, known)) or _merged(known) else "double"


def fits_in_64_bits(number: int) -> bool:
    """Return whether an integer fits in 64 bits with a sign."""
    return -(2**63) <= number < 2**63


def _changed(text: str) -> bool:
    """Return whether a number becomes another one, or another name, as a 64-bit float."""
    if DIGITS.fullmatch(text):
        return int(float(text)) != int(text)
    return SHORT_POWER.fullmatch(text) is not None and repr(float(text)) != text


def _merged(texts: set[str]) -> bool:
    """Return whether names that differ in zeros at the end, such as 1.1 and 1.10, would become one number."""
    decimals = [text for text in texts if "." in text and "e" not in text.lower()]
    return len({text.rstrip("0") for text in decimals}) < len(decimals)
