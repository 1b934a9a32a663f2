"""Runs on a tiny joint generator, small enough for a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tiny.flow import JointGenerator
from torch import Tensor, nn

from avreward import Clip, term
from avreward.generators import Condition, Noise
from avreward.training import TuningRun

HERE = f"{Path(__file__).resolve()}"


@term(needs=("video",), low=0, high=1)
def red(clip: Clip) -> Tensor:
    """Red less blue."""
    return 0.5 + 0.5 * (clip.video[:, 0].mean() - clip.video[:, 2].mean())


@term(needs=("audio",), low=-1, high=1)
def push(clip: Clip) -> Tensor:
    """The mean sample."""
    return clip.audio.mean()


@term(needs=("video",), low=0, high=1)
def flat(clip: Clip) -> Tensor:
    """The same for all."""
    return 0.5 + 0 * clip.video.mean()


@term(needs=("video",), low=0, high=1)
def holey(clip: Clip) -> Tensor:
    """Red less blue, and NaN for about half of the clips."""
    value = clip.video[:, 0].mean() - clip.video[:, 2].mean()
    return value if 1000 * value % 1 < 0.5 else value * math.nan


@term(needs=("video",), low=0, high=1)
def cut(clip: Clip) -> Tensor:
    """Without a gradient, though it says nothing of it."""
    return clip.video.detach().mean()


@term(needs=("video",), low=0, high=1, differentiable=False)
def declared(clip: Clip) -> float:
    """Without a gradient, as it says."""
    return float(clip.video.detach().mean())


@term(needs=("video",), low=0, high=1)
def never(clip: Clip) -> Tensor:
    """NaN for all."""
    return clip.video.mean() * math.nan


@term(needs=("video",), low=0, high=1)
def dark(clip: Clip) -> Tensor:
    """The darker, the better."""
    return 1 - clip.video.mean()


class Prompted(JointGenerator):
    """Longer prompts shift both streams."""

    def encode(self, condition: Condition) -> float:
        return 0.01 * len(str(condition.arguments.get("prompt", "")))


class Breaking(Prompted):
    """Fails in its second update."""

    def start(self, encoded: float, noises: Sequence[Noise]) -> dict[str, Tensor]:
        if noises[0].seed and noises[0].seed % 1000 >= 2:
            raise RuntimeError("there is no\nmemory left")
        return super().start(encoded, noises)


class Silent(Prompted):
    """Makes video alone."""

    streams = ("video",)


class Rigid(Prompted):
    """A network without layers that take a LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.ParameterList([nn.Parameter(torch.zeros(3))])  # type: ignore[assignment]


RATERS = {name: f"{HERE}:{name}" for name in ("red", "push", "flat", "holey", "cut", "declared", "never", "dark")}
SETTINGS: dict[str, dict[str, Any]] = {
    "draft": {"steps": 4, "truncation": 2, "learning_rate": 2e-2, "kl_weight": 0.01},
    "nft": {"steps": 4, "learning_rate": 2e-2},
    "flow_grpo": {"steps": 4, "learning_rate": 2e-2, "clip_range": 0.1},
    "dpo": {"steps": 4, "learning_rate": 1e-2, "beta": 10},
    "raft": {"steps": 4, "learning_rate": 2e-2},
}


def entries(folder: Path, loop: str = "draft", **changes: Any) -> dict[str, Any]:
    """A configuration's entries; the guards that take longest are off."""
    prompts = folder / "prompts.txt"
    if not prompts.exists():
        prompts.write_text("rain\n\nwind in the trees\na dog barks\n")
    given: dict[str, Any] = {
        "generator": f"{HERE}:Prompted", "conditions": str(prompts), "reward": "red.red", "output": str(folder / "out"),
        "loop": loop, "updates": 4, "lora": {"rank": 2, "targets": ["hidden", "video", "audio"]}, "raters": RATERS,
        "held_out": "push.push", "settings": SETTINGS[loop], "batch": 2, "group": 3, "every": 2,
        "guards_off": ["probes", "samples", "prompt"],
    }  # fmt: skip
    return given | changes


def small(folder: Path, loop: str = "draft", **changes: Any) -> TuningRun:
    """A run."""
    return TuningRun(**entries(folder, loop, **changes))
