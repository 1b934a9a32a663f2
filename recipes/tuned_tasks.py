"""The task of the recipes that fine-tune a video-to-audio generator: `tiny_v2a`.

That audio fits its video is measured twice, by unrelated means. Training sees whether the level follows the visible
change. Held out is how well the envelope matches that of the audio that the scene really has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from tiny_v2a import tiny_v2a
from tiny_v2a.generator import V2AGenerator
from tiny_v2a.held_out import envelope_match
from torch import Tensor
from torch.nn import functional as F
from tuned import Task

from avreward import Clip, term
from avreward.datasets import scene
from avreward.generators import Condition
from avreward.training import add_lora

LORA = r"layers\.\d+\.(second|modulation)|opening|closing\.1"  # peft has no LoRA for dilated convolutions
KINDS = ("strike", "bursts", "keys")
SECONDS, SIZE = 1.0, (48, 64)
TRAIN, TEST = 10, 6  # scenes
RANK = 8


@term(needs=("video", "audio"), low=-1, high=1)
def fit(clip: Clip) -> Tensor:
    """Correlation over time of the audio's level and the visible change, both smoothed over 0.1 s."""
    luma = clip.video.mean(1)
    change = F.pad((luma[1:] - luma[:-1]).abs().mean((1, 2)), (1, 0))
    wave = clip.sound(16000, 1)[0]
    power = wave[: len(wave) // 320 * 320].reshape(-1, 320).square().mean(1)  # of 20 ms each
    seen = F.interpolate(change[None, None], size=len(power), mode="linear")[0, 0]
    curves = torch.stack([(power + 1e-5).log(), (seen + 1e-3).log()])[:, None]
    heard, seen = F.avg_pool1d(curves, 5, 1)[:, 0]
    return F.cosine_similarity(heard - heard.mean(), seen - seen.mean(), dim=0)


@cache
def _scene(number: int) -> tuple[Clip, Tensor]:
    """Return a small silent video and its true audio."""
    true = scene(number, KINDS[number % len(KINDS)], SECONDS).clip
    wave = true.sound(16000, 1)[0]
    samples = round(SECONDS * 16000)
    return Clip(video=F.interpolate(true.video, size=SIZE, mode="area"), fps=true.fps), F.pad(wave, (0, samples))


def dubbing() -> Task:
    """Audio for silent videos that fits them: `tiny_v2a`."""

    def build(seed: int) -> V2AGenerator:
        generator = V2AGenerator(tiny_v2a())
        add_lora(generator.network, rank=RANK, targets=LORA, seed=seed)
        return generator

    def heldout(clips: Sequence[Clip], number: int) -> Mapping[str, Tensor]:
        waves = torch.stack([clip.audio[0] for clip in clips])
        return {"match": envelope_match(waves, _scene(10_000 + number)[1][: waves.shape[1]])}

    train, test = (
        [Condition(clip=_scene(first + i)[0]) for i in range(count)]
        for first, count in ((20_000, TRAIN), (10_000, TEST))
    )
    return Task(build, fit["fit"], heldout, train, test)
