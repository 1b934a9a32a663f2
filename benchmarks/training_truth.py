"""Training recovers a quality that is known: by ratings, by pairs, and in two processes.

    OMP_NUM_THREADS=1 python benchmarks/training_truth.py --seeds 0 1 2

Sounds are tones in noise; the less noise, the better (1 to 5). A small NISQA with random weights is trained on 96 of
them, by correlation with the quality (`plcc`) or by pairs (`bradley_terry`), and rates 200 that it has not heard. Two
processes on halves of each batch take the same steps as one: the largest difference of a weight is printed, in float64
and with plain gradient descent, as Adam magnifies rounding errors of tiny gradients.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PrinterCallback

from avreward import Clip
from avreward.evaluation import srcc
from avreward.raters.avbench import NisqaConfig, NisqaNetwork, NisqaRater
from avreward.training import RaterTrainer, RaterTrainingArguments

SIZES = NisqaConfig(
    ms_n_fft=1024, cnn_c_out_1=3, cnn_c_out_2=4, cnn_c_out_3=6, td_sa_d_model=8, td_sa_h=10, pool_att_h=12
)
TRAIN, HELD_OUT = 96, 200
QUALITY = "speech_quality"


def small_rater(seed: int) -> NisqaRater:
    """Return NISQA's architecture with few channels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = NisqaNetwork(SIZES)
        for weight in network.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=1.6 / weight[0].numel() ** 0.5)
    return NisqaRater(network)


def noisy_tone(seed: int, seconds: float = 0.4) -> dict[str, Any]:
    """Return a row with a tone in noise: the less noise, the better (1 to 5)."""
    dice = torch.Generator().manual_seed(seed)
    share, pitch = torch.rand(2, generator=dice).tolist()
    times = torch.arange(int(16000 * seconds)) / 16000
    tone = (2 * torch.pi * (200 + 800 * pitch) * times).sin()
    sound = 0.3 * (share * tone + (1 - share) * torch.randn(len(times), generator=dice)).clamp(-3, 3)
    return {"clip": Clip(audio=sound[None], sample_rate=16000), QUALITY: 1 + 4 * share, "group": f"g{seed}"}


def as_pairs(rows: list[dict[str, Any]], dimension: str, steps: tuple[int, ...] = (1, 7)) -> list[dict[str, Any]]:
    """Return the rows of a pair table: each clip against those some rows further on."""
    found = []
    for step in steps:
        for first, second in zip(rows, rows[step:] + rows[:step], strict=True):
            won = "first" if first[dimension] > second[dimension] else "second"
            found.append({"first": first["clip"], "second": second["clip"], dimension: won, "group": first["group"]})
    return found


def settings(folder: str, **changes: Any) -> RaterTrainingArguments:
    """Return the settings of a stage."""
    usual = {
        "use_cpu": True, "disable_tqdm": True, "per_device_train_batch_size": 16, "num_train_epochs": 6,
        "learning_rate": 3e-3, "dataloader_pin_memory": False, "save_strategy": "no",
    }  # fmt: skip
    return RaterTrainingArguments(output_dir=folder, **{**usual, **changes})


def trained(seed: int, rows: list[dict[str, Any]], **changes: Any) -> NisqaRater:
    """Return a rater that was trained on rows."""
    rater = small_rater(seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = RaterTrainer(rater, rows, None, settings(folder, seed=seed, **changes))
        trainer.remove_callback(PrinterCallback)  # which prints losses between the rows of the table
        trainer.train()
    return rater


def recover(seed: int, count: int, held_out: int) -> tuple[float, float, float, float]:
    """Return the held-out SRCC before training, by ratings and by pairs, and that between the two routes."""
    start = 10_000 * seed
    rows = [noisy_tone(start + i) for i in range(count)]
    held = [noisy_tone(start + 5000 + i) for i in range(held_out)]
    truth = torch.tensor([row[QUALITY] for row in held])
    raters = (
        small_rater(seed),
        trained(seed, rows),
        trained(seed, as_pairs(rows, QUALITY), stage="pairs", temperature=0.2),
    )
    with torch.no_grad():
        before, rated, compared = (one([row["clip"] for row in held])[QUALITY] for one in raters)
    return srcc(before, truth), srcc(rated, truth), srcc(compared, truth), srcc(rated, compared)


def steps(out: Path, batch: int) -> None:
    """Take some steps of gradient descent and write the weights; several processes share each batch."""
    rater = small_rater(0)
    rater.module.double()
    plain = {"optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0, "num_train_epochs": 2}
    with tempfile.TemporaryDirectory() as folder:
        trainer = RaterTrainer(
            rater,
            [noisy_tone(i) for i in range(32)],
            None,
            settings(folder, per_device_train_batch_size=batch, **plain),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        if trainer.is_world_process_zero():
            torch.save(torch.cat([weight.detach().flatten() for weight in rater.module.parameters()]), out)


def two_processes() -> tuple[float, float]:
    """Return the largest difference of a weight between one process and two, and the largest step of a weight."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for number, launcher in ((1, []), (2, ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"])):
            out = Path(folder) / f"{number}.pt"
            command = [sys.executable, *launcher, __file__, "--steps-to", str(out), "--batch", str(8 // number)]
            subprocess.run(command, check=True, capture_output=True)
            found.append(torch.load(out, weights_only=True))
    start = torch.cat([weight.flatten() for weight in small_rater(0).module.double().parameters()])
    return float((found[1] - found[0]).abs().max()), float((found[0] - start).abs().max())


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=TRAIN)
    parser.add_argument("--held-out", type=int, default=HELD_OUT)
    parser.add_argument("--steps-to", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=8, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.steps_to is not None:
        steps(given.steps_to, given.batch)
        return
    print("| seed | untrained | by ratings | by pairs | ratings against pairs |\n|---|---|---|---|---|")
    for seed in given.seeds:
        found = recover(seed, given.train, given.held_out)
        print(f"| {seed} | {' | '.join(f'{one:.3f}' for one in found)} |", flush=True)
    apart, moved = two_processes()
    print(f"\nTwo processes against one: a weight differs by {apart:.1e} at most, where one moved by {moved:.1e}.")


if __name__ == "__main__":
    main()
