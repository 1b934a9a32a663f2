"""Trains the small video-to-audio generator on synthesized scenes: 13 minutes on one busy core, a few on two idle ones.

    python recipes/tiny_v2a/train.py [OUT]

Rectified flow (Liu et al., 2023, arXiv:2209.03003): the network learns noise − sound on the straight line between them.
One video in eight is hidden, for classifier-free guidance. Data, weights and noise follow from `--seed`; scenes with
seeds from 10,000 on are never trained on, and are what tests and benchmarks use.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from rich.progress import track
from torch import Tensor

from avreward.datasets import scene
from tiny_v2a.network import seen
from tiny_v2a.pipeline import WEIGHTS, TinyV2APipeline, random_pipeline

KINDS = ("bounce", "strike", "bursts", "keys", "steps")  # what is heard is seen at a moment
SECONDS = 2.0


def example(pipe: TinyV2APipeline, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a scene as the network sees it (frames, 2, 16, 16), the times of its frames, and its band energies."""
    clip = scene(seed, KINDS[seed % len(KINDS)], SECONDS).clip
    wave = clip.sound(pipe.vocoder.config.sampling_rate, 1)
    samples = round(SECONDS * pipe.vocoder.config.sampling_rate)
    padded = torch.nn.functional.pad(wave, (0, samples))[:, :samples]
    return seen(clip.video), clip.times.float(), pipe.vocoder.encode(padded)[0]


def train(pipe: TinyV2APipeline, scenes: int, steps: int, seed: int = 0, batch: int = 16) -> list[float]:
    """Trains in place; returns the loss of each step."""
    data = [example(pipe, i) for i in track(range(scenes), "scenes")]
    generator = torch.Generator().manual_seed(seed)
    network = pipe.transformer.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, betas=(0.9, 0.98), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    at = torch.arange(data[0][2].shape[-1]) * (pipe.vocoder.config.hop / pipe.vocoder.config.sampling_rate)
    losses = []
    for _ in track(range(steps), "training"):
        chosen = torch.randint(scenes, (batch,), generator=generator).tolist()
        videos = torch.cat([network.watch(data[i][0], data[i][1], at) for i in chosen])
        videos = videos * (torch.rand(batch, 1, 1, generator=generator) > 1 / 8)
        sound = torch.stack([data[i][2] for i in chosen])
        noise = torch.randn(sound.shape, generator=generator)
        when = torch.rand(batch, generator=generator)
        mixed = torch.lerp(sound, noise, when[:, None, None])
        loss = (network(mixed, 1000 * when, videos) - (noise - sound)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    network.eval().requires_grad_(False)
    return losses


def main() -> None:
    """Trains, saves, says what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    pipe = random_pipeline(arguments.seed)
    losses = train(pipe, arguments.scenes, arguments.steps, arguments.seed)
    pipe.transformer.half().save_pretrained(arguments.out)
    last = losses[-200:]
    print(f"loss {sum(last) / len(last):.3f}, {time.perf_counter() - started:.0f} s, in {arguments.out}")


if __name__ == "__main__":
    main()
