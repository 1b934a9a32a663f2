"""Trains the small joint generator on synthesized bouncing balls: minutes on one CPU core.

    python recipes/tiny_joint/train.py [OUT]

Rectified flow (Liu et al., 2023, arXiv:2209.03003): the network learns noise − data on the straight line between them,
at one noise level for both streams, whose errors count alike. Data, weights and noise follow from `--seed`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from rich.progress import track

from tiny_joint.generator import WEIGHTS, TinyJoint, random_joint
from tiny_joint.scenes import COLOURS, bounce


def train(generator: TinyJoint, scenes: int, steps: int, seed: int = 0, batch: int = 8) -> list[float]:
    """Trains in place; returns the loss of each step."""
    names = list(COLOURS)
    data = [generator.latents(*bounce(names[i % len(names)], 10**6 * seed + i)) for i in track(range(scenes), "scenes")]
    draw = torch.Generator().manual_seed(seed)
    network = generator.network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, betas=(0.9, 0.98), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    losses = []
    for _ in track(range(steps), "training"):
        chosen = torch.randint(scenes, (batch,), generator=draw)
        sigma = torch.rand(batch, generator=draw)
        noisy, target = {}, {}
        for stream in generator.streams:
            clean = torch.stack([data[i][stream] for i in chosen.tolist()])
            noise = torch.randn(clean.shape, generator=draw)
            level = sigma.reshape(-1, *[1] * (clean.ndim - 1))
            noisy[stream], target[stream] = torch.lerp(clean, noise, level), noise - clean
        found = network(noisy["video"], noisy["audio"], sigma, chosen % len(names))
        loss = sum((one - target[s]).square().mean() for one, s in zip(found, generator.streams, strict=True)) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if len(losses) % 250 == 0:
            print(f"step {len(losses)}: loss {sum(losses[-250:]) / 250:.3f}", flush=True)
    network.eval().requires_grad_(False)
    return losses


def main() -> None:
    """Trains, saves, says what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.process_time()
    generator = random_joint(arguments.seed)
    losses = train(generator, arguments.scenes, arguments.steps, arguments.seed)
    generator.network.half().save_pretrained(arguments.out)
    last = losses[-200:]
    print(f"loss {sum(last) / len(last):.3f}, {time.process_time() - started:.0f} s of CPU time, in {arguments.out}")


if __name__ == "__main__":
    main()
