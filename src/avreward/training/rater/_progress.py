"""One line for each evaluation of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from avreward._extras import extra

with extra("train"):
    from transformers import TrainerCallback

TOLD = ("srcc", "plcc", "krcc", "rmse", "pair_accuracy")


class EvaluationLines(TrainerCallback):
    """Say loss and metrics after each evaluation.

    Args:
        say: what takes a line.
        label: begins each line.
    """

    def __init__(self, say: Callable[[str], None], label: str) -> None:
        self.say, self.label = say, label
        self.loss: float | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Keep the last training loss."""
        self.loss = (logs or {}).get("loss", self.loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, **event: Any) -> None:
        """Say how the held-out rows are rated now."""
        metrics: Mapping[str, Any] = event.get("metrics") or {}
        numbers = {"loss": self.loss, **{name: metrics.get(f"eval_{name}") for name in TOLD}}
        told = [f"{name} {value:.4f}" for name, value in numbers.items() if value is not None]
        self.say(f"{self.label}, epoch {state.epoch:g}: {', '.join(told)}")
