"""Values of YAML files as annotations want them: YAML reads 1e-4 as a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from avreward.errors import ArgumentError

_WORDS = {
    int: "an integer", float: "a number", str: "a text", bool: "true or false", type(None): "null",
    list: "a list", dict: "names with values",
}  # fmt: skip


def fitting(name: str, value: Any, hint: Any) -> Any:
    """Return `value`, or the number in a text where only a number fits `hint`.

    Args:
        name: of the entry, for the error.
        value: as YAML has it.
        hint: an annotation: a plain type, a `Literal`, a sequence, a mapping, or a union of these.

    Raises:
        ArgumentError: if the value does not fit.

    Example:
        >>> fitting("learning_rate", "1e-4", float)
        0.0001
    """
    plain, words = set[type](), list[Any]()
    for one in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        kind = get_origin(one) or one
        if kind is Literal:
            words += get_args(one)
        elif kind is not str and issubclass(kind, Sequence):
            plain.add(list)
        else:
            plain.add(dict if issubclass(kind, Mapping) else kind)
    if isinstance(value, str) and value in words:
        return value
    if isinstance(value, str) and str not in plain and plain & {int, float}:
        with suppress(ValueError):
            value = int(value) if float not in plain else float(value)
    if type(value) is int and float in plain and int not in plain:
        value = float(value)
    if type(value) in plain or (type(value) is tuple and list in plain):
        return value
    expected = " or ".join([*(f'"{word}"' for word in words), *(_WORDS[one] for one in _WORDS if one in plain)])
    raise ArgumentError(name, expected, value)
