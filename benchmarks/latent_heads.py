"""How well a head on latents predicts a reward, and what a generator gains that is trained on the head.

    OMP_NUM_THREADS=1 python benchmarks/latent_heads.py [--clips 64 256 512] [--seeds 0 1 2] [--json out.json]

The generator is `recipes/tiny_v2a`, whose latents are band energies over time; the rewards are two of its audio: level
and `signals.audio_quality`. A head is fitted to clips of 10 scenes, a quarter of them held out scene by scene, and its
error there is printed beside the deviation of the rewards, which is the error of a constant. Then `Draft` trains on the
head, checked in every fourth update, and on the reward itself, from the same start with the same noise. Gains are of
the reward of clips of 6 other scenes. Seconds are CPU time of a reward and its gradient by the latents, for one clip:
with the decoder and the rater, and with the head.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from denormals import flushed_denormals
from torch import Tensor
from tuned import Plan, Task, gains, interval, tune
from tuned_joint import loud
from tuned_tasks import dubbing
from tuning import table_of

from avreward import Reward, load_rater
from avreward.generators import Noise, sample_flow
from avreward.rewards.latent.heads import LatentHead
from avreward.training import Draft, HeadGuard, sample_latent_head

UPDATES, BATCH, RATE, EVERY, LARGEST = 24, 4, 1e-3, 4, 2.0
REWARDS: dict[str, Callable[[], Reward]] = {
    "level": lambda: loud["loud"],
    "audio quality": lambda: load_rater("signals")["audio_quality"],
}


def fitted(task: Task, clips: int, seed: int) -> LatentHead:
    """Fit a head to clips of the scenes that training sees."""
    generator = task.build(seed)
    each = clips // len(task.train)
    noises = [[Noise.of(5 * 10**8 + 10**5 * seed + each * i + k) for k in range(each)] for i in range(len(task.train))]
    return sample_latent_head(generator, task.reward, task.train, noises, steps=task.steps, seed=seed)


def seconds_of(task: Task, head: LatentHead, repeats: int = 5) -> tuple[float, float]:
    """Return the CPU time of a gradient by the latents of a clip: with decoder and rater, and with the head."""
    generator, condition = task.build(0), task.test[0]
    with torch.no_grad():
        encoded = generator.encode(condition)
        latents = sample_flow(generator, encoded, [Noise.of(0)], generator.sigmas(task.steps, encoded))
    latents = {name: x.requires_grad_() for name, x in latents.items()}

    def decoded() -> Tensor:
        return task.reward.evaluate(generator.decode(latents, encoded)).values.sum()

    found = []
    for value in (decoded, lambda: head(latents).sum()):
        value().backward()
        started = time.process_time()
        for _ in range(repeats):
            value().backward()
        found.append((time.process_time() - started) / repeats)
    return found[0], found[1]


def trained(task: Task, seed: int, head: LatentHead | None) -> dict[str, Any]:
    """Train with a head or with the reward; return the gain, and how long the head was used."""
    guard = None if head is None else HeadGuard(head, every=EVERY, largest=LARGEST)
    kept: list[int] = []

    def loop(generator: Any, reward: Reward, seed: int) -> Any:
        options: dict[str, Any] = {"steps": task.steps, "truncation": 3, "kl_weight": 0.0, "checkpointing": False}
        made = Draft(generator, reward, learning_rate=RATE, seed=seed, head=guard, **options)
        update = made.update

        def watched(*given: Any) -> Any:
            step = update(*given)
            kept.append(int(guard is not None and guard.active))
            return step

        made.update = watched  # type: ignore[method-assign]
        return made

    curve = tune(task, Plan(loop, UPDATES, BATCH), seed)
    about = {} if guard is None else {"drift": guard.drift, "updates with the head": sum(kept)}
    return {"gain": gains(curve)["reward"], "seconds": curve[-1]["seconds"]} | about


def measured(name: str, sizes: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """Return all that is known of one reward."""
    task = replace(dubbing(), reward=REWARDS[name]())
    heads = {clips: [fitted(task, clips, seed) for seed in seeds] for clips in sizes}
    errors = {clips: [asdict(head.error) for head in own if head.error] for clips, own in heads.items()}
    runs: dict[str, list[dict[str, Any]]] = {"reward": [], "head": []}
    for head, seed in zip(heads[sizes[-1]], seeds, strict=True):
        useful = head.error is not None and head.error.rmse < head.error.deviation
        if useful:
            runs["head"].append(trained(task, seed, head))
        runs["reward"].append(trained(task, seed, None))
        print(f"{name}, seed {seed}: {runs['reward'][-1]} {runs['head'][-1] if useful else 'the head is refused'}",
              flush=True)  # fmt: skip
    return {"reward": name, "errors": errors, "seconds": seconds_of(task, heads[sizes[-1]][0]), "runs": runs}


def error_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the error of each head."""
    table = [["reward", "clips", "SRCC", "error / deviation", "gradient with the decoder, ms", "with the head, ms"]]
    for row in rows:
        for clips, errors in row["errors"].items():
            cells = (fmean(e["srcc"] for e in errors), fmean(e["rmse"] / e["deviation"] for e in errors))
            times = [f"{1e3 * seconds:.1f}" for seconds in row["seconds"]]
            table.append([row["reward"], str(clips), *(f"{cell:.2f}" for cell in cells), *times])
    return table_of(table)


def gain_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what training on a head gains."""
    table = [["reward", "gain by the reward", "by the head", "updates with the head", "drift at the end"]]
    for row in rows:
        by_reward, by_head = row["runs"]["reward"], row["runs"]["head"]
        found = ["refused", "", ""]
        if by_head:
            kept, drift = ([run[key] for run in by_head] for key in ("updates with the head", "drift"))
            found = [interval([run["gain"] for run in by_head]), ", ".join(map(str, kept)),
                     ", ".join(f"{one:.1f}" for one in drift)]  # fmt: skip
        table.append([row["reward"], interval([run["gain"] for run in by_reward]), *found])
    return table_of(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rewards", nargs="+", choices=REWARDS, default=list(REWARDS))
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with flushed_denormals():
        rows = [measured(name, options.clips, options.seeds) for name in options.rewards]
    print(f"\n{error_table(rows)}\n\n{gain_table(rows)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
