"""Weights that depend on the prompt: what counts differs with what was asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.rewards.base import Reward
from avreward.rewards.function_base import State, finite, register_function, state_hash


class PerPrompt(Reward):
    """A number that the clip's prompt decides, to weigh or shift other rewards with.

    A clip without a prompt, or with one that has no number, has no reward, and the reason says so. A weight of 0
    excuses no term: the clip must have that score all the same.

    Args:
        weights: prompt → number, at least one; or a function of the prompt that has a name of its own. The name stands
            for the function (give another to a changed one), and a reward with a function can't be saved.
        otherwise: the number of prompts that `weights` doesn't list (*optional*).

    Raises `ValueError` for numbers that aren't finite and for a function without a name, `TypeError` for what is no
    number.

    >>> speech = PerPrompt({"a woman says hello": 1.0}, otherwise=0.25)
    >>> speech * rater["audio_quality"] + rater["overall"]
    per_prompt(state=8ed81255)*signals.audio_quality + signals.overall
    """

    def __init__(self, weights: Mapping[str, float] | Callable[[str], float], otherwise: float | None = None) -> None:
        self.weights = dict(weights) if isinstance(weights, Mapping) else weights
        self.otherwise = otherwise
        if isinstance(self.weights, dict):
            if not self.weights:
                raise ValueError("per_prompt: there are no weights; list at least one prompt")
            for prompt, weight in [*self.weights.items(), ("otherwise", otherwise or 0.0)]:
                finite(f"per_prompt: {prompt!r}", weight)
        elif otherwise is not None:
            raise ValueError("per_prompt: a function answers for every prompt; leave `otherwise` out")
        elif not getattr(weights, "__qualname__", "<").isidentifier():
            raise ValueError(f"per_prompt: {weights!r} has no name that could stand for it; use a function of a module")

    @property
    def prompt_weights(self) -> tuple[PerPrompt, ...]:
        """Itself."""
        return (self,)

    def weigh(self, prompt: str | None) -> tuple[float, str | None]:
        """The number for a prompt; or NaN, and why there is none."""
        if prompt is None:
            return math.nan, "no prompt was given"
        if not isinstance(self.weights, dict):
            return finite(f"per_prompt: {prompt!r}", self.weights(prompt)), None
        weight = self.weights.get(prompt, self.otherwise)
        return (math.nan, f"no weight for the prompt {prompt!r}") if weight is None else (float(weight), None)

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The numbers, which `Reward.combine` has looked up."""
        return columns[repr(self)]

    @property
    def state(self) -> dict[str, Tensor]:
        """What a file keeps: the prompts (JSON) and their numbers, last the one for other prompts if there is one."""
        if not isinstance(self.weights, dict):
            raise AvrewardError(f"{self}: a function can't be saved; use a mapping from prompts to numbers")
        pairs = sorted(self.weights.items())
        text = json.dumps([prompt for prompt, _ in pairs]).encode()
        numbers = [float(weight) for _, weight in pairs] + ([] if self.otherwise is None else [float(self.otherwise)])
        return {
            "prompts": torch.frombuffer(bytearray(text), dtype=torch.uint8),
            "numbers": torch.tensor(numbers, dtype=torch.float64),
        }

    @cached_property
    def state_hash(self) -> str:
        """8 hex digits of the state."""
        return state_hash(self.state)

    @classmethod
    def from_state(cls, state: State) -> PerPrompt:
        """The weights with a state that was saved."""
        prompts = json.loads(bytes(state["prompts"].tolist()))
        numbers = state["numbers"].tolist()
        return cls(dict(zip(prompts, numbers, strict=False)), *numbers[len(prompts) :])

    def __repr__(self) -> str:
        if isinstance(self.weights, dict):
            return f"per_prompt(state={self.state_hash})"
        return f"per_prompt({self.weights.__module__}.{self.weights.__qualname__})"


register_function("per_prompt", PerPrompt.from_state, fitted=True)
