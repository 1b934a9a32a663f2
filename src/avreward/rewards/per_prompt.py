"""Weights that depend on the clip's prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, Described
from avreward.rewards.base import Reward
from avreward.rewards.function_base import State, finite, register_function, state_hash


class PerPrompt(Reward):
    """A number that depends on the clip's prompt, to weight or shift other rewards with.

    If a clip has no prompt, or its prompt has no number, its reward is missing and the reason says so. A term with
    weight 0 is still needed: the clip must have that score.

    Args:
        weights: prompt → number, at least one; or a named function of the prompt. The function is identified by its
            name (rename it if you change it), and a reward with a function can't be saved.
        otherwise: the number for prompts that `weights` doesn't list (*optional*).

    Raises:
        ArgumentError: if there are no weights, one isn't a finite number, or a function has no name.

    Example:
        >>> speech = PerPrompt({"a woman says hello": 1.0}, otherwise=0.25)
        >>> speech * rater["audio_quality"] + rater["overall"]
        per_prompt(state=8ed81255)*signals.audio_quality + signals.overall
    """

    def __init__(self, weights: Mapping[str, float] | Callable[[str], float], otherwise: float | None = None) -> None:
        self.weights = dict(weights) if isinstance(weights, Mapping) else weights
        self.otherwise = otherwise
        if isinstance(self.weights, dict):
            if not self.weights:
                raise ArgumentError("weights", "at least one prompt with its number", Described("none"))
            for prompt, weight in self.weights.items():
                finite(f"weight of {prompt!r}", weight)
            if otherwise is not None:
                finite("otherwise", otherwise)
        elif otherwise is not None:
            raise ArgumentError("otherwise", "None beside a function", otherwise, "let the function cover every prompt")
        elif not getattr(weights, "__qualname__", "<").isidentifier():
            remedy = "define it with def at the top of a module"
            raise ArgumentError("weights", "numbers by prompt, or a named function", weights, remedy)

    @property
    def prompt_weights(self) -> tuple[PerPrompt, ...]:
        """This reward itself."""
        return (self,)

    def weigh(self, prompt: str | None) -> tuple[float, str | None]:
        """Return the number for a prompt and `None`; or NaN and the reason why none is listed."""
        if prompt is None:
            return math.nan, "no prompt was given"
        if not isinstance(self.weights, dict):
            return finite(f"weight of {prompt!r}", self.weights(prompt)), None
        weight = self.weights.get(prompt, self.otherwise)
        return (math.nan, f"no weight for the prompt {prompt!r}") if weight is None else (float(weight), None)

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the numbers that `Reward.combine` looked up."""
        return columns[repr(self)]

    @property
    def state(self) -> dict[str, Tensor]:
        """The saved tensors: the prompts (JSON) and their numbers, followed by `otherwise` if it is given."""
        if not isinstance(self.weights, dict):
            raise ArgumentError("weights", "numbers by prompt, to save the reward", self.weights)
        pairs = sorted(self.weights.items())
        text = json.dumps([prompt for prompt, _ in pairs]).encode()
        numbers = [float(weight) for _, weight in pairs] + ([] if self.otherwise is None else [float(self.otherwise)])
        return {
            "prompts": torch.frombuffer(bytearray(text), dtype=torch.uint8),
            "numbers": torch.tensor(numbers, dtype=torch.float64),
        }

    @cached_property
    def state_hash(self) -> str:
        """8 hex digits that identify the state."""
        return state_hash(self.state)

    @classmethod
    def from_state(cls, state: State) -> PerPrompt:
        """Return the weights with a saved state."""
        prompts = parsed_json(bytes(state["prompts"].tolist()))
        numbers = state["numbers"].tolist()
        return cls(dict(zip(prompts, numbers, strict=False)), *numbers[len(prompts) :])

    def __repr__(self) -> str:
        if isinstance(self.weights, dict):
            return f"per_prompt(state={self.state_hash})"
        return f"per_prompt({self.weights.__module__}.{self.weights.__qualname__})"


register_function("per_prompt", PerPrompt.from_state, fitted=True)
