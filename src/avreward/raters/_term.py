"""A plain function as a rater of one dimension."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Iterator
from functools import cached_property, partial
from hashlib import blake2b
from importlib import import_module
from math import inf
from numbers import Real
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, Never, Self

from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.media._keys.tensors import tensor_key
from avreward.raters.clip_rater import ClipRater
from avreward.raters.scores import Dimension

_DEEPEST = 20  # lists in lists that are compared, so that one that holds itself ends
_NEEDS = ("video", "audio", "prompt", "texts.NAME")


class TermRater(ClipRater):
    """A rater of one function, made by `term`."""

    def __init__(self, function: FunctionType, dimension: Dimension, differentiable: bool, version: int) -> None:
        self.function, self.dimensions, self.differentiable = function, (dimension,), differentiable
        self.name, self.version = dimension.name, version
        self.__doc__ = function.__doc__

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # at first use: the file may define below what it calls
        """A hash of the function's content and its settings."""
        [own] = self.dimensions
        options = own.low, own.high, sorted(own.needs), self.differentiable, self.version
        content = repr((_content(self.function, []), *options))
        return f"{own.name}:{blake2b(content.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"

    def rate_clip(self, clip: Clip) -> dict[str, Tensor | float]:
        """Return the function's value."""
        return {self.dimensions[0].name: self.function(clip)}

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        # The decorated function's name leads to this rater, so the function can't be pickled by its name itself.
        state = {key: value for key, value in self.__dict__.items() if key != "function"}
        state["fingerprint"] = self.fingerprint
        return _unpickled, (self.function.__module__, self.function.__qualname__), state


def term(
    *_bare: Never,
    needs: str | Collection[str] = (),
    low: float = -inf,
    high: float = inf,
    higher_is_better: bool = True,
    differentiable: bool = True,
    version: int = 1,
) -> Callable[[Callable[[Clip], Tensor | float]], TermRater]:
    """Return a decorator that makes a rater of one dimension from a function of a clip.

    The rater and its dimension have the function's name. A clip without what the term needs, or one that can't be
    decoded, is missing with a reason. A changed function does not find its old scores in a store (nor does one under
    another version of Python): the fingerprint holds `version` and, as they are when the term is first used, the
    compiled code of the function and of functions of its own module that it uses, and the numbers, strings, tensors and
    collections of these that they use (defaults, closed-over and global ones). It does not cover other modules,
    classes and other objects: raise `version` when one of those changes.

    Args:
        needs: what a clip must have: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``, or several of them. The
            function must read nothing else of the clip.
        low: lower end of the score's range.
        high: upper end of the score's range.
        higher_is_better: whether more is better.
        differentiable: whether gradients reach the clip's tensors; the function must then return a tensor.
        version: raise it when something that the fingerprint does not cover changes the scores.

    Raises:
        ArgumentError: for a need that is unknown, a range that is empty, or something other than a named function.

    Example:
        >>> @term(needs="audio", low=0, high=1)
        ... def loudest(clip):
        ...     return clip.sound().abs().amax()
        >>> loudest([Clip(audio=torch.tensor([[0.5, -0.75]]), sample_rate=8000)])["loudest"]
        tensor([0.7500])
        >>> reward = rater["overall"] + 10 * loudest["loudest"]
    """
    if _bare:
        got: object = Described("a function") if callable(_bare[0]) else _bare[0]
        raise ArgumentError("term", "named arguments alone", got, "write @term(needs='video') above the function")
    listed = [needs] if isinstance(needs, str) else needs
    unknown = [need for need in listed if not _is_need(need)] if isinstance(listed, Collection) else [needs]
    if unknown or not listed:
        raise ArgumentError("needs", f"some of {', '.join(_NEEDS)}", unknown[0] if unknown else needs)
    wanted = frozenset(listed)
    for name, end in (("low", low), ("high", high)):
        if not isinstance(end, Real):
            raise ArgumentError(name, "a number", end)
    if not low < high:
        raise ArgumentError("low, high", "a range", (low, high), "give the smaller number as low")

    def make(function: Callable[[Clip], Tensor | float]) -> TermRater:
        if not isinstance(function, FunctionType) or not function.__name__.isidentifier():
            raise ArgumentError("term", "a function with a name", function, "write @term(needs=…) above a def")
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        dimension = Dimension(
            function.__name__, low, high, wanted, higher_is_better=higher_is_better, description=description
        )
        return TermRater(function, dimension, differentiable, version)

    return make


def _is_need(need: object) -> bool:
    return isinstance(need, str) and (need in _NEEDS[:3] or need.startswith("texts."))


def _unpickled(module: str, name: str) -> TermRater:
    found = attrgetter(name)(import_module(module))
    made = object.__new__(TermRater)
    made.function = found.function if isinstance(found, TermRater) else found
    return made


def _content(function: FunctionType, seen: list[FunctionType]) -> Hashable:
    """Return the content that identifies a function: its instructions, and the values that they use.

    Not its source text: functions typed into an interpreter or made by `exec` have none, or a wrong one.
    """
    if function in seen:
        return "the same function", seen.index(function)
    seen.append(function)
    plain = partial(_plain, function, seen)
    cells = tuple(plain(value) for value in _closed_over(function))
    defaults = plain(function.__defaults__), plain(function.__kwdefaults__)
    names = sorted(_names(function.__code__) & function.__globals__.keys())
    used = tuple((name, plain(function.__globals__[name])) for name in names)
    return _instructions(function.__code__), cells, defaults, used


def _closed_over(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield None


def _names(code: CodeType) -> set[str]:
    nested = (_names(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*nested)


def _instructions(code: CodeType) -> Hashable:
    return code.co_code, code.co_names, tuple(_constant(one) for one in code.co_consts)


def _constant(value: Any) -> Hashable:
    if isinstance(value, CodeType):
        return _instructions(value)
    if isinstance(value, frozenset):  # whose order differs between processes
        return "set", *sorted(map(repr, value))
    return repr(value)


def _plain(function: FunctionType, seen: list[FunctionType], value: Any, depth: int = 0) -> Hashable:
    """Return the content of a value that `function` uses; of what is not plain, the name of its type."""
    kind = type(value).__qualname__
    if isinstance(value, str | bytes | int | float | complex | None):
        return kind, repr(value)
    if isinstance(value, Tensor):
        return kind, tensor_key(value)
    if isinstance(value, TermRater):
        value = value.function
    if isinstance(value, FunctionType) and value.__module__ == function.__module__:
        return kind, _content(value, seen)
    if depth >= _DEEPEST:
        return kind
    parts = partial(_plain, function, seen, depth=depth + 1)
    if isinstance(value, tuple | list):
        return kind, *map(parts, value)
    if isinstance(value, set | frozenset):
        return kind, *sorted(repr(_plain(function, [*seen], one, depth + 1)) for one in value)
    if isinstance(value, dict):
        return kind, *((parts(key), parts(one)) for key, one in value.items())
    return kind
