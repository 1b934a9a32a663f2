"""Base classes of functions of rewards, fitted ones with a saved state, and their registry for expressions."""

from __future__ import annotations

import hashlib
import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from avreward._display import counted
from avreward.errors import ArgumentError, Described
from avreward.rewards.algebra import check_names, number
from avreward.rewards.base import Reward

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class RegisteredFunction:
    """A function that expressions can call.

    Attributes:
        build: creates the reward from the arguments as written: rewards and numbers. If `fitted`, the state follows
            the rewards as the last argument.
        fitted: whether the function has a state, which an expression names by its hash: ``zscore(signals.overall,
            state=3f2a91c0)``.
    """

    build: Callable[..., Reward]
    fitted: bool = False

    def takes(self, name: str) -> str:
        """Return the signature of a call: ``clamp(reward, low=None, high=None)``."""
        parameters = list(inspect.signature(self.build).parameters.values())
        given = [f"{p.name}=…" if p.kind is p.KEYWORD_ONLY else str(p.replace(annotation=p.empty)) for p in parameters]
        return f"{name}({', '.join([*given[:-1], 'state=…'] if self.fitted else given)})"

    def __call__(self, name: str, arguments: Sequence[object], options: Mapping[str, object]) -> Reward:
        """Return the reward; raise a one-line `ArgumentError` for arguments that the function doesn't take."""
        try:
            inspect.signature(self.build).bind(*arguments, **options)
            fits = not self.fitted or (not options and isinstance(arguments[-1], Mapping))
        except TypeError:
            fits = False
        if not fits:
            got = ", ".join([counted(len(arguments), "argument"), *(f"{key}=…" for key in options)])
            raise ArgumentError(name, f"the arguments of {self.takes(name)}", Described(got))
        try:
            return self.build(*arguments, **options)
        except KeyError as error:
            raise ArgumentError(
                "state", f"a fitted state of {name}", Described(f"one without {error}"), "fit the reward again"
            ) from error


FUNCTIONS: dict[str, RegisteredFunction] = {}
"""Name in expressions → registered function."""


def register_function(name: str, build: Callable[..., Reward], *, fitted: bool = False) -> None:
    """Register `build` so that expressions can call it under `name`.

    Args:
        name: the function's name in expressions.
        build: creates the reward from the arguments as written, rewards and numbers; such as a `Function` subclass.
        fitted: whether the function has a fitted state, passed to `build` as the last argument; see `Fitted`.

    Raises:
        ArgumentError: if another function has this name.

    Example:
        >>> class Twice(Function):
        ...     name = "twice"
        ...     def apply(self, value):
        ...         return 2 * value
        >>> register_function("twice", Twice)
        >>> load_reward("twice(overall)")
        twice(signals.overall)
    """
    if name in FUNCTIONS and FUNCTIONS[name].build != build:
        raise ArgumentError("name", "a name that no other function has", name, "choose another")
    FUNCTIONS[name] = RegisteredFunction(build, fitted)


class Function(Reward):
    """Base class of named functions of rewards and numbers, shown as ``name(argument, …, option=…)``.

    A subclass sets `name`, implements `apply`, and is registered under its name by `register_function`.

    Args:
        *arguments: rewards, at least one, and numbers.
        **options: numbers; an option that is `None` is left out of the expression.

    Raises:
        ArgumentError: if no argument is a reward, a number isn't finite, or two different raters share a name.
    """

    name: ClassVar[str]

    def __init__(self, *arguments: Reward | float, **options: float | None) -> None:
        self.arguments = tuple(a if isinstance(a, Reward) else finite(self.name, a) for a in arguments)
        self.options = {key: finite(f"{self.name} {key}", v) for key, v in options.items() if v is not None}
        if not self.children:
            got = Described("only numbers" if arguments else "no arguments")
            raise ArgumentError(self.name, "at least one reward", got, "write the name of a score")
        check_names(self.children)

    @abstractmethod
    def apply(self, *values: Tensor) -> Tensor:
        """Return the function's values (clips,) from each argument's values (clips,); per clip."""

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the function applied to its arguments' values."""
        values = [a.compute(columns) if isinstance(a, Reward) else a for a in self.arguments]
        like = next(value for value in values if isinstance(value, Tensor))
        return self.apply(*(v if isinstance(v, Tensor) else torch.full_like(like, v) for v in values))

    @property
    def children(self) -> tuple[Reward, ...]:
        """The arguments that are rewards."""
        return tuple(a for a in self.arguments if isinstance(a, Reward))

    def __repr__(self) -> str:
        shown = [repr(a) if isinstance(a, Reward) else number(a) for a in self.arguments]
        return f"{self.name}({', '.join([*shown, *self._shown_options()])})"

    def _shown_options(self) -> list[str]:
        return [f"{key}={number(value)}" for key, value in self.options.items()]


class Fitted(Function):
    """Base class of functions of one reward with fitted numbers: ``zscore(signals.overall, state=3f2a91c0)``.

    Register a subclass with ``register_function(name, Subclass.from_state, fitted=True)``. Then `save_reward` writes
    its state, and `load_reward` calls ``from_state(inner, state)``.

    Args:
        inner: the reward that the function is applied to.
        state: the fitted tensors by name; `fitted` moves them to the scores' device.
    """

    def __init__(self, inner: Reward, state: State) -> None:
        super().__init__(inner)
        self.state = {key: value.detach().cpu() for key, value in state.items()}
        self.state_hash = state_hash(self.state)

    @classmethod
    def from_state(cls, inner: Reward, state: State) -> Reward:
        """Return the function of `inner` with a saved state."""
        return cls(inner, state)

    @property
    def inner(self) -> Reward:
        """The reward that the function is applied to."""
        return self.children[0]

    def fitted(self, key: str, like: Tensor) -> Tensor:
        """Return one tensor of the state, with the type and device of `like`."""
        return self.state[key].to(like)

    def _shown_options(self) -> list[str]:
        return [f"state={self.state_hash}"]


def finite(name: str, value: object) -> float:
    """Return `value` as a float; raise an `ArgumentError` that starts with `name` if it isn't a finite number."""
    if not isinstance(value, Real) or not math.isfinite(value):
        got = Described(f"the reward {value!r}") if isinstance(value, Reward) else value
        raise ArgumentError(name, "a finite number", got)
    return float(value)


def state_hash(state: State) -> str:
    """Return 8 hex digits of names, types, shapes and values, whatever the order of names and the device."""
    digest = hashlib.blake2b(digest_size=4)
    for key, value in sorted(state.items()):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{key} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return digest.hexdigest()


def states_of(reward: Reward) -> dict[str, dict[str, Tensor]]:
    """Return the fitted states in the whole tree: hash → names and tensors."""
    own: dict[str, Tensor] = getattr(reward, "state", {})
    found = {str(getattr(reward, "state_hash", state_hash(own))): own} if own else {}
    for child in reward.children:
        found |= states_of(child)
    return found
