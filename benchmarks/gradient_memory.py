"""What a gradient to picture and sound costs: peak memory and CPU time, for each way of checkpointing.

    OMP_NUM_THREADS=1 python benchmarks/gradient_memory.py [--repeats 3] [--returning] [--device cuda]
    OMP_NUM_THREADS=1 python benchmarks/gradient_memory.py --parts
    OMP_NUM_THREADS=1 python benchmarks/gradient_memory.py --flops

A random AGAV-Rater of 145 million weights with the published token counts judges one clip: the forward pass alone, and
the sum of its scores differentiated to frames and waveform. Each run has a process of its own, and the ways take turns.
On a CPU the peak is the process's high-water mark less that of a process that only loads the rater, on a GPU that of
torch's allocator less the weights. `--parts` shows instead what each part of the network keeps for its gradient,
`--flops` the floating-point operations of each way.

glibc's allocator keeps freed memory in pieces, between what layers hold on to, so that a process's peak exceeds what
lives in it. `--returning` sets MALLOC_MMAP_THRESHOLD_=2000000: larger tensors go back to the system when freed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

WAYS = {
    "load": "",
    "forward": "forward alone",
    "backward": "forward and backward",
    "checkpointed": "… `checkpointing=True`",
    "selective": '… `checkpointing="selective"`',
}
RETURNING = {"MALLOC_MMAP_THRESHOLD_": "2000000"}


CHECKPOINTING: dict[str, Any] = {"checkpointed": True, "selective": "selective", "offload": "offload"}


def run(way: str, device: str) -> dict[str, float]:
    """Measures one way in this process."""
    from medium_agav import medium_rater

    rater = medium_rater(checkpointing=CHECKPOINTING.get(way, False))
    rater.module.to(device)
    weights = sum(p.numel() * p.element_size() for p in rater.module.parameters())
    clip = random_clip(way, device)
    started = _now(device)
    if way != "load":
        judge(rater, clip, way)
    return {"seconds": _now(device) - started, "peak": _peak(device), "weights": weights}


def random_clip(way: str, device: str = "cpu") -> Any:
    """Return a clip whose frames and waveform require gradients, if the way computes them."""
    from avreward import Clip

    generator = torch.Generator().manual_seed(0)
    wanted = way not in ("load", "forward")
    frames = torch.rand(16, 3, 480, 832, generator=generator).to(device).requires_grad_(wanted)
    sound = (torch.rand(1, 80_000, generator=generator) - 0.5).to(device).requires_grad_(wanted)
    return Clip(video=frames, fps=3.2, audio=sound, sample_rate=16000)


def judge(rater: Any, clip: Any, way: str) -> None:
    """Compute the scores, and their gradients unless the way is the forward pass alone."""
    wanted = way != "forward"
    with torch.set_grad_enabled(wanted):
        total = rater([clip]).values.sum()
    if wanted:
        gradients = torch.autograd.grad(total, [clip.video, clip.audio])
        assert all(bool(g.isfinite().all()) and float(g.abs().max()) > 0 for g in gradients)


def operations() -> list[str]:
    """Return the rows of a table: floating-point operations of matrix products, convolutions and attention."""
    from medium_agav import flops, medium_rater

    rows, forward = ["| way | operations, 10⁹ | of the forward |", "|---|---:|---:|"], 0
    for way, name in list(WAYS.items())[1:]:
        rater, clip = medium_rater(checkpointing=CHECKPOINTING.get(way, False)), random_clip(way)
        count = flops(partial(judge, rater, clip, way))
        forward = forward or count
        rows.append(f"| {name} | {count / 1e9:.0f} | {count / forward:.2f} |")
    return rows


def _now(device: str) -> float:
    if device == "cpu":
        return time.process_time()  # other programs disturb it less than the clock
    torch.cuda.synchronize()
    return time.perf_counter()


def _peak(device: str) -> float:
    if device != "cpu":
        return float(torch.cuda.max_memory_allocated())
    # VmHWM, not ru_maxrss: that one begins with what the parent process had
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def parts() -> list[str]:
    """Return the rows of a table: what each part keeps for the backward pass, and its CPU times."""
    from medium_agav import medium_rater

    network = medium_rater().module
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    generator = torch.Generator().manual_seed(0)

    def language(x: Tensor) -> Tensor:
        return network.language(inputs_embeds=x).last_hidden_state

    rows = ["| part | kept | forward | forward with a graph | backward |", "|---|---:|---:|---:|---:|"]
    for name, work, shape in (
        ("SigLIP", network.vision_features, (16, 3, 384, 384)),
        ("connector", network.connector, (1, 16, 729, 256)),
        ("BEATs and projector", network.encode_audio, (2998, 128)),
        ("Qwen2, 2900 tokens", language, (1, 2900, 768)),
    ):
        x = torch.rand(*shape, generator=generator)
        with torch.no_grad():
            work(x)  # warms up
            started = time.process_time()
            work(x)
            times = [time.process_time() - started]
        kept: dict[int, Tensor] = {}

        def pack(tensor: Tensor, kept: dict[int, Tensor] = kept) -> Tensor:
            pointer = tensor.untyped_storage().data_ptr()
            if pointer not in weights:
                kept[pointer] = tensor
            return tensor

        started = time.process_time()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            total = work(x.requires_grad_()).sum()
        times.append(time.process_time() - started)
        megabytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 1e6
        kept.clear()
        started = time.process_time()
        torch.autograd.grad(total, x)
        times.append(time.process_time() - started)
        rows.append(f"| {name} | {megabytes:.0f} MB | " + " | ".join(f"{each:.1f} s" for each in times) + " |")
    return rows


def measured(device: str, repeats: int, more: dict[str, str]) -> dict[str, list[dict[str, float]]]:
    """Return what each way took in each repetition."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--device", device]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more})
            if done.returncode:
                sys.exit(f"{way}: {done.stderr[-2000:]}")
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(way, found[way][-1], file=sys.stderr, flush=True)  # it takes minutes
    return found


def table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return the rows: min, median and max of several turns; ratios are those of a turn."""
    base = median(run["peak"] for run in found["load"])
    first = "min / median / max" if len(found["load"]) > 1 else ""
    rows = [
        f"| {first} | peak above the loaded rater, MB | of the forward | CPU time, s | of the forward |",
        "|---|---:|---:|---:|---:|",
    ]
    for way in list(WAYS)[1:]:
        peaks, firsts = ([run["peak"] - base for run in found[name]] for name in (way, "forward"))
        times, shortest = ([run["seconds"] for run in found[name]] for name in (way, "forward"))
        cells = (
            _three([peak / 1e6 for peak in peaks], 0),
            _three([peak / first for peak, first in zip(peaks, firsts, strict=True)], 1),
            _three(times, 1),
            _three([own / first for own, first in zip(times, shortest, strict=True)], 2),
        )
        rows.append(f"| {WAYS[way]} | " + " | ".join(cells) + " |")
    return rows


def _three(values: Sequence[float], digits: int) -> str:
    shown = (min(values), median(values), max(values)) if len(values) > 1 else values
    return " / ".join(f"{value:.{digits}f}" for value in shown)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--returning", action="store_true", help="free memory goes back to the system")
    parser.add_argument("--parts", action="store_true", help="what each part keeps, instead")
    parser.add_argument("--flops", action="store_true", help="floating-point operations, instead")
    parser.add_argument("--way", choices=[*WAYS, "offload"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments.device)))
        return
    if arguments.parts or arguments.flops:
        print("\n".join(parts() if arguments.parts else operations()))
        return
    from medium_agav import machine

    if arguments.device != "cpu":
        WAYS["offload"] = '… `checkpointing="offload"`'
    print(f"{machine()}, on {arguments.device}\n")
    more = RETURNING if arguments.returning else {}
    found = measured(arguments.device, arguments.repeats, more)
    print("\n".join([*(f"{name}={value}\n" for name, value in more.items()), *table(found)]))


if __name__ == "__main__":
    main()
