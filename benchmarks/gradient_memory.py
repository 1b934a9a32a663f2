"""What a gradient to picture and sound costs: peak memory and time, with and without checkpointing.

    python benchmarks/gradient_memory.py [--device cuda]

A random AGAV-Rater of 145 million weights with the published token counts judges one clip: the forward pass alone, and
the sum of its scores differentiated to frames and waveform. Each way runs in a process of its own; on a CPU the peak is
the process's high-water mark less that of a process that only loads the rater, on a GPU that of torch's allocator less
the weights. Frozen weights get no gradient memory: `weights` is what keeping their gradients would add.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

WAYS = ("load", "forward", "backward", "checkpointed")


def run(way: str, device: str) -> dict[str, float]:
    """Measures one way in this process."""
    from medium_agav import medium_rater

    from avreward import Clip

    rater = medium_rater(checkpointing=way == "checkpointed")
    rater.module.to(device)
    weights = sum(p.numel() * p.element_size() for p in rater.module.parameters())
    generator = torch.Generator().manual_seed(0)
    wanted = way in ("backward", "checkpointed")
    frames = torch.rand(16, 3, 480, 832, generator=generator).to(device).requires_grad_(wanted)
    sound = (torch.rand(1, 80_000, generator=generator) - 0.5).to(device).requires_grad_(wanted)
    clip = Clip(video=frames, fps=3.2, audio=sound, sample_rate=16000)
    started = time.perf_counter()
    if way != "load":
        with torch.set_grad_enabled(wanted):
            total = rater([clip]).values.sum()
        if wanted:
            gradients = torch.autograd.grad(total, [frames, sound])
            assert all(bool(g.isfinite().all()) and float(g.abs().max()) > 0 for g in gradients)
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": _peak(device), "weights": weights}


def _peak(device: str) -> float:
    if device != "cpu":
        return float(torch.cuda.max_memory_allocated())
    # VmHWM, not ru_maxrss: that one begins with what the parent process had
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments.device)))
        return
    from medium_agav import machine

    found = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way, "--device", arguments.device]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{way}: {done.stderr[-2000:]}")
        found[way] = json.loads(done.stdout.splitlines()[-1])
    base, forward = found["load"]["peak"], found["forward"]
    print(f"weights {base and found['load']['weights'] / 1e6:.0f} MB; {machine()}, on {arguments.device}\n")
    print("| | peak above the loaded rater | of the forward | time | of the forward |")
    print("|---|---:|---:|---:|---:|")
    for way, label in zip(WAYS[1:], ("forward alone", "forward and backward", "… with checkpointing"), strict=True):
        own = found[way]
        peak, reference = (own["peak"] - base) / 1e6, (forward["peak"] - base) / 1e6
        print(f"| {label} | {peak:.0f} MB | {peak / reference:.1f} | {own['seconds']:.1f} s | "
              f"{own['seconds'] / forward['seconds']:.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
