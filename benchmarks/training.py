"""Training a rater, measured: time outside forward and backward, and peak memory with LoRA against all weights.

    OMP_NUM_THREADS=1 python benchmarks/training.py

An AGAV-Rater with random weights is trained for some steps on synthetic scenes. Time is CPU time, which other programs
don't change. Time outside is all that is not the network's forward or backward pass: decoding, gathering scores, the
loss, the optimizer, logging, checkpoints. Each row is measured in a process of its own, whose peak memory it gives.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from tiny_agav_rater import SPECIAL, random_network, tiny_config
from tiny_tokenizer import tiny_tokenizer

from avreward.datasets import scene
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav.rater import AgavRater
from avreward.training import RaterTrainer, RaterTrainingArguments

WIDTH, LAYERS, FRAMES = 256, 6, 4
KINDS: dict[str, dict[str, Any]] = {
    "LoRA on the language model": {"lora": r"language\..*_proj"},
    "all weights": {},
}


def medium_rater() -> AgavRater:
    """Return AGAV-Rater's architecture with a language model of 6 layers of 256 channels."""
    tokenizer = tiny_tokenizer(SPECIAL)
    config = tiny_config(len(tokenizer), frames=FRAMES)
    language = {**config.language, "hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": LAYERS}
    language |= {"num_attention_heads": 8, "num_key_value_heads": 2}
    return AgavRater(AgavBackbone(random_network(replace(config, language=language)), tokenizer), scheme="masked")


def timed(seconds: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, whose time is added to `seconds`."""

    def run(*args: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **options)
        finally:
            seconds[name] += time.process_time() - start

    return run


def measure(kind: str, steps: int, batch: int) -> dict[str, Any]:
    """Return time and memory of one kind of training."""
    rater = medium_rater()
    rows = [{"clip": scene(i, seconds=2.0).clip, "overall": float(i % 5), "group": str(i)} for i in range(batch * 2)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = RaterTrainingArguments(
            output_dir=folder, use_cpu=True, max_steps=steps, per_device_train_batch_size=batch, disable_tqdm=True,
            dimensions=["overall"], dataloader_pin_memory=False, save_strategy="steps", save_steps=steps, **KINDS[kind],
        )  # fmt: skip
        trainer = RaterTrainer(rater, rows, None, arguments)
        seconds = {"forward": 0.0, "backward": 0.0}
        trainer.network.forward = timed(seconds, "forward", trainer.network.forward)
        trainer.accelerator.backward = timed(seconds, "backward", trainer.accelerator.backward)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        trainer.train()
        whole = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained = sum(weight.numel() for weight in rater.module.parameters() if weight.requires_grad)
    return {
        "kind": kind, "weights": sum(weight.numel() for weight in rater.module.parameters()), "trained": trained,
        "seconds": whole / steps, "outside": 1 - sum(seconds.values()) / whole, "peak": peak / 1e6,
        "added": (peak - before) / 1e6,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--kind", choices=[*KINDS], help="measure this row alone, as JSON")
    given = parser.parse_args(arguments)
    if given.kind is not None:
        print(json.dumps(measure(given.kind, given.steps, given.batch)))
        return
    print("| training | weights | trained | CPU s a step | outside forward and backward | peak memory |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        command = [sys.executable, __file__, "--kind", kind, "--steps", str(given.steps), "--batch", str(given.batch)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {kind} | {row['weights'] / 1e6:.1f} M | {row['trained'] / 1e6:.2f} M | {row['seconds']:.2f} | "
            f"{row['outside']:.1%} | {row['peak']:.2f} GB (+{row['added']:.2f} GB by training) |"
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
