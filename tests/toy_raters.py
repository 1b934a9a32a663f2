"""Small raters for the tests: what they measure can be checked by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Dimension, Scores

AUDIO, VIDEO = frozenset({"audio"}), frozenset({"video"})


class Toy(Rater):
    """Mean square of the sound, mean of the picture, and their mean as a fused dimension; counts its passes."""

    dimensions = (
        Dimension("power", 0, 1, AUDIO),
        Dimension("brightness", 0, 1, VIDEO),
        Dimension("overall", 0, 1, frozenset()),
        Dimension("peak", 0, 1, AUDIO, detail=True),
    )

    def __init__(self, name: str = "toy", per_clip: bool = True, seconds: float = 0.0) -> None:
        self.name, self.fingerprint, self.per_clip, self.seconds = name, f"{name} 1", per_clip, seconds
        self.calls: list[int] = []  # sizes of the batches
        self.loads: list[tuple[Track, str]] = []
        self.threads: set[int] = set()

    def load_track(self, clip: Clip, track: Track) -> Any:
        self.loads.append((track, clip.name))
        return clip.video if track == "video" else clip.sound()

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        self.calls.append(len(samples))
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds * len(samples))
        return Scores.collect([self.row(sample) for sample in samples], self.dimensions)

    def row(self, sample: Sample) -> tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]:
        values: dict[str, Tensor] = {}
        if "audio" in sample.tracks:
            values["power"] = sample.tracks["audio"].square().mean()
            values["peak"] = sample.tracks["audio"].abs().amax()
        if "video" in sample.tracks:
            values["brightness"] = sample.tracks["video"].mean()
        parts = tuple(name for name in ("power", "brightness") if name in values)
        if parts:
            values["overall"] = torch.stack([values[name] for name in parts]).mean()
        reasons = {
            d.name: next((why for track, why in sample.missing.items() if track in d.needs), "no track at all")
            for d in self.dimensions
            if d.name not in values
        }
        return values, reasons, {"overall": parts} if parts else {}


class Reading(Toy):
    """A rater that is said to read the prompt, and blocks gradients."""

    dimensions = (Dimension("faithful", 0, 1, VIDEO | {"prompt"}), Dimension("power", 0, 1, AUDIO))
    prompt_anchored = True
    differentiable = False

    def row(self, sample: Sample) -> tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]:
        return {d.name: torch.tensor(0.25) for d in self.dimensions}, {}, {}


def sound(level: float, samples: int = 64, **extra: Any) -> Clip:
    """A sound whose power is `level`."""
    return Clip(audio=torch.full((1, samples), level**0.5, dtype=torch.float64), sample_rate=16000, **extra)


def picture(level: float, **extra: Any) -> Clip:
    """A picture of one brightness."""
    return Clip(video=torch.full((4, 3, 16, 16), level, dtype=torch.float64), fps=8.0, **extra)


def both(power: float, brightness: float) -> Clip:
    """Sound and picture."""
    return picture(brightness, audio=sound(power).sound(), sample_rate=16000)
