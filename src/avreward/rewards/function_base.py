"""What functions of rewards share, how fitted ones are kept, and the names under which expressions know them."""

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

from avreward.rewards.algebra import check_names, number
from avreward.rewards.base import Reward

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class RegisteredFunction:
    """A function that expressions may call.

    Attributes:
        build: makes the reward of the arguments as they are written, rewards and numbers. One that is `fitted` gets
            the rewards and, after them, its state.
        fitted: whether it carries a state, which an expression names by hash: ``zscore(signals.overall,
            state=3f2a91c0)``.
    """

    build: Callable[..., Reward]
    fitted: bool = False

    def takes(self, name: str) -> str:
        """How a call is written: ``clamp(reward, low=None, high=None)``."""
        parameters = list(inspect.signature(self.build).parameters.values())
        given = [f"{p.name}=…" if p.kind is p.KEYWORD_ONLY else str(p.replace(annotation=p.empty)) for p in parameters]
        return f"{name}({', '.join([*given[:-1], 'state=…'] if self.fitted else given)})"

    def __call__(self, name: str, arguments: Sequence[object], options: Mapping[str, object]) -> Reward:
        """The reward; raises `ValueError` or `TypeError`, one sentence, for arguments that it doesn't take."""
        try:
            inspect.signature(self.build).bind(*arguments, **options)
            fits = not self.fitted or (not options and isinstance(arguments[-1], Mapping))
        except TypeError:
            fits = False
        if not fits:
            raise TypeError(f"these aren't the arguments of {name}; write {self.takes(name)}")
        try:
            return self.build(*arguments, **options)
        except KeyError as error:
            raise ValueError(f"the state isn't one of {name}: it has no {error}; fit it again") from error


FUNCTIONS: dict[str, RegisteredFunction] = {}
"""Name in expressions → function."""


def register_function(name: str, build: Callable[..., Reward], *, fitted: bool = False) -> None:
    """Lets expressions call `build` under `name`; see `RegisteredFunction`.

    >>> class Twice(Function):
    ...     name = "twice"
    ...     def apply(self, value):
    ...         return 2 * value
    >>> register_function("twice", Twice)
    >>> load_reward("twice(overall)")
    twice(signals.overall)
    """
    if name in FUNCTIONS and FUNCTIONS[name].build != build:
        raise ValueError(f"{name}: there is a function of this name already; choose another")
    FUNCTIONS[name] = RegisteredFunction(build, fitted)


class Function(Reward):
    """A named function of rewards and numbers, shown as ``name(argument, …, option=…)``.

    A subclass sets `name`, says in `apply` what becomes of the values, and is registered under its name.

    Args:
        *arguments: rewards, at least one, and numbers.
        **options: numbers; left out of the expression where `None`.
    """

    name: ClassVar[str]

    def __init__(self, *arguments: Reward | float, **options: float | None) -> None:
        self.arguments = tuple(a if isinstance(a, Reward) else finite(self.name, a) for a in arguments)
        self.options = {key: finite(self.name, value) for key, value in options.items() if value is not None}
        if not self.children:
            raise TypeError(f"{self.name}: none of the arguments is a reward; name a score")
        check_names(self.children)

    @abstractmethod
    def apply(self, *values: Tensor) -> Tensor:
        """The function's values (clips,), from those (clips,) of each argument; clip by clip."""

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The function of its arguments' values."""
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
    """A function of one reward whose numbers were fitted: ``zscore(signals.overall, state=3f2a91c0)``.

    A subclass is registered by ``register_function(name, Subclass.from_state, fitted=True)``; `save_reward` then
    writes its state, and `load_reward` calls ``from_state(inner, state)``.

    Args:
        inner: what it is a function of.
        state: what was fitted: names → tensors. They are moved to the scores' device when used, see `fitted`.
    """

    def __init__(self, inner: Reward, state: State) -> None:
        super().__init__(inner)
        self.state = {key: value.detach().cpu() for key, value in state.items()}
        self.state_hash = state_hash(self.state)

    @classmethod
    def from_state(cls, inner: Reward, state: State) -> Reward:
        """The function of `inner` with a state that was saved."""
        return cls(inner, state)

    @property
    def inner(self) -> Reward:
        """What it is a function of."""
        return self.children[0]

    def fitted(self, key: str, like: Tensor) -> Tensor:
        """One tensor of the state, in the type and on the device of `like`."""
        return self.state[key].to(like)

    def _shown_options(self) -> list[str]:
        return [f"state={self.state_hash}"]


def finite(name: str, value: object) -> float:
    """`value`, if it is a finite number; else a `TypeError` or `ValueError` that names the function `name`."""
    if not isinstance(value, Real):
        kind = "a reward" if isinstance(value, Reward) else "neither a reward nor a number"
        raise TypeError(f"{name}: {value!r} is {kind}; use a number there")
    if not math.isfinite(value):
        raise ValueError(f"{name}: {value} is not a finite number; use one that is")
    return float(value)


def state_hash(state: State) -> str:
    """8 hex digits of names, types, shapes and values; the order of names and the device make no difference."""
    digest = hashlib.blake2b(digest_size=4)
    for key, value in sorted(state.items()):
        whole = value.detach().cpu().contiguous()
        digest.update(f"{key} {whole.dtype} {tuple(whole.shape)}\n".encode())
        digest.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes() if whole.numel() else b"")
    return digest.hexdigest()


def states_of(reward: Reward) -> dict[str, dict[str, Tensor]]:
    """The fitted states in the whole tree: hash → names and tensors."""
    own: dict[str, Tensor] = getattr(reward, "state", {})
    found = {str(getattr(reward, "state_hash", state_hash(own))): own} if own else {}
    for child in reward.children:
        found |= states_of(child)
    return found
