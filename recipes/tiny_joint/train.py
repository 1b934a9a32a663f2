"""Trains the small joint generator on synthesized bouncing balls: two minutes on one idle CPU core.

    python recipes/tiny_joint/train.py [OUT]

Rectified flow (Liu et al., 2023, arXiv:2209.03003): the network learns noise − data on the straight line between them,
at one noise level for both streams, whose errors count alike. Data, weights and noise follow from `--seed`. A run that
was stopped goes on with the same command, and ends with the same weights.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from denormals import flushed_denormals

from avreward._whole_files import whole_file
from tiny_joint.generator import WEIGHTS, TinyJoint, random_joint
from tiny_joint.scenes import COLOURS, bounce

EVERY = 100  # steps between two lines, and between two checkpoints


@flushed_denormals()
def train(
    generator: TinyJoint, scenes: int, steps: int, seed: int = 0, batch: int = 8, checkpoint: Path | None = None
) -> list[float]:
    """Trains in place; returns the loss of each step. Goes on from `checkpoint` where there is one, and writes it."""
    names = list(COLOURS)
    data = [generator.latents(*bounce(names[i % len(names)], 10**6 * seed + i)) for i in range(scenes)]
    draw = torch.Generator().manual_seed(seed)
    network = generator.network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, betas=(0.9, 0.98), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    losses: list[float] = []
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["settings"] != [scenes, steps, seed, batch]:
            raise ValueError(f"{checkpoint}: expected a run with these settings, got another; remove it to start anew")
        for part, saved in ((network, "network"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(state[saved])
        draw.set_state(state["draw"])
        losses = state["losses"]
    for step in range(len(losses), steps):
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
        if (step + 1) % EVERY == 0:
            print(f"step {step + 1}: loss {sum(losses[-EVERY:]) / EVERY:.4f}", flush=True)
            if checkpoint is not None:
                state = {"settings": [scenes, steps, seed, batch], "losses": losses, "draw": draw.get_state()}
                parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
                _write(checkpoint, state | {name: part.state_dict() for name, part in parts.items()})
    network.eval().requires_grad_(False)
    return losses


def _write(path: Path, state: dict[str, Any]) -> None:
    content = io.BytesIO()  # torch's own writer does not say that a disk is full
    torch.save(state, content)
    with whole_file(path) as part:
        part.write_bytes(content.getbuffer())


def main() -> None:
    """Trains, saves, says what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.process_time()
    generator = random_joint(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.out / "training.pt"
    losses = train(generator, arguments.scenes, arguments.steps, arguments.seed, checkpoint=checkpoint)
    generator.network.half().save_pretrained(arguments.out)
    checkpoint.unlink(missing_ok=True)
    last = losses[-200:]
    print(f"loss {sum(last) / len(last):.3f}, {time.process_time() - started:.0f} s of CPU time, in {arguments.out}")


if __name__ == "__main__":
    main()
