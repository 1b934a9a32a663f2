"""What the recipes that fine-tune a generator share: the loop around a training loop, its control, and the table.

A run samples fresh noise for each update, and scores clips of other conditions and other noise before, between and
after. The control is the same run with its rewards shuffled: what it gains is what training gains without a reward.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from denormals import flushed_denormals
from scipy.stats import t
from torch import Tensor

from avreward import Clip, Reward
from avreward.generators import Condition, FlowGenerator, Noise, sample_flow
from avreward.rewards import Rewards
from avreward.training import Draft

HELD_OUT = "held out: "


@dataclass(frozen=True)
class Task:
    """What is trained, and how it is judged.

    Attributes:
        build: seed → a new generator with a LoRA.
        reward: that is trained on.
        heldout: clips and the number of their condition in `test` → name → scores (clips,), which are never trained on.
        train: conditions of the updates.
        test: conditions that the clips that are judged have.
        steps: denoising steps.
        noises: clips of each condition that are judged.
    """

    build: Callable[[int], FlowGenerator]
    reward: Reward
    heldout: Callable[[Sequence[Clip], int], Mapping[str, Tensor]]
    train: Sequence[Condition]
    test: Sequence[Condition]
    steps: int = 8
    noises: int = 4


@dataclass(frozen=True)
class Plan:
    """How a loop is run.

    Attributes:
        loop: generator, reward and seed → the loop.
        updates: how many.
        batch: conditions of an update.
        group: clips of each condition; 1 for `Draft`.
        margins: name of a score → by how much its gain should exceed the control's, mean over seeds; stated before any
            of the default seeds was run.
    """

    loop: Callable[[FlowGenerator, Reward, int], Any]
    updates: int
    batch: int
    group: int = 1
    margins: Mapping[str, float] = field(default_factory=dict)


class Shuffled(Reward):
    """The control: rewards of a group's clips, dealt out among them at random; of a clip alone, with a random sign.

    Either way the expected gradient is 0, and its size that of the true rewards.
    """

    def __init__(self, reward: Reward, seed: int) -> None:
        self.reward, self.draw = reward, torch.Generator().manual_seed(seed)

    @property
    def children(self) -> tuple[Reward, ...]:
        """The reward that is shuffled."""
        return (self.reward,)

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return those of the reward."""
        return self.reward.compute(columns)

    def __repr__(self) -> str:
        return f"shuffled({self.reward!r})"

    def evaluate(self, clips: Sequence[Clip], *arguments: Any, **options: Any) -> Rewards:
        """Return the rewards of others."""
        found = self.reward.evaluate(clips, *arguments, **options)
        if len(clips) == 1:
            sign = 1 if torch.rand((), generator=self.draw) < 0.5 else -1
            terms = {name: sign * values for name, values in found.terms.items()}
            return replace(found, values=sign * found.values, terms=terms)
        order = torch.randperm(len(clips), generator=self.draw)
        terms = {name: values[order] for name, values in found.terms.items()}
        reasons = [found.reasons[i] for i in order.tolist()]
        return replace(found, values=found.values[order], terms=terms, present=found.present[order], reasons=reasons)


def judged(task: Task, generator: FlowGenerator) -> dict[str, Tensor]:
    """Return name → scores of clips that training never sees: reward, its terms, and the held-out ones."""
    found: list[dict[str, Tensor]] = []
    for number, condition in enumerate(task.test):
        with torch.no_grad():
            encoded = generator.encode(condition)
            noises = [Noise.of(10**9 + task.noises * number + i) for i in range(task.noises)]
            latents = sample_flow(generator, encoded, noises, generator.sigmas(task.steps, encoded))
            clips = generator.decode(latents, encoded)
            own = task.reward.evaluate(clips)
            others = {HELD_OUT + name: values for name, values in task.heldout(clips, number).items()}
        found.append({"reward": own.values, **own.terms, **others})
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def tune(task: Task, plan: Plan, seed: int, control: bool = False, looks: int = 1) -> list[dict[str, float]]:
    """Train, and return what it found before, after, and at moments between.

    Args:
        task: what is trained.
        plan: how.
        seed: of the LoRA's weights, the noise and the order of conditions.
        control: shuffle the rewards.
        looks: how often clips are judged after the start.
    """
    generator = task.build(seed)
    loop = plan.loop(generator, Shuffled(task.reward, seed) if control else task.reward, seed)
    if hasattr(loop, "rows"):
        loop.rows = plan.group  # rated at once, so that the control deals rewards out within whole groups
    draw = torch.Generator().manual_seed(seed)
    spent = {"samples": 0, "steps": 0, "calls": 0, "seconds": 0.0}

    def called(network: torch.nn.Module, given: tuple[Any, ...], options: dict[str, Any], made: Any) -> None:
        spent["calls"] += len(next(x for x in (*given, *options.values()) if isinstance(x, Tensor)))

    def look() -> dict[str, float]:
        return {**spent, **{name: float(values.mean()) for name, values in judged(task, generator).items()}}

    curve, size = [look()], plan.batch * plan.group
    for number in range(plan.updates):
        order = torch.randperm(len(task.train), generator=draw)
        conditions = [task.train[int(order[i % len(order)])] for i in range(plan.batch)]
        noises = [Noise.of(10**6 * (seed + 1) + size * number + i) for i in range(size)]
        groups = [noises[i : i + plan.group] for i in range(0, size, plan.group)]
        started, hook = time.process_time(), generator.network.register_forward_hook(called, with_kwargs=True)
        step = loop.update(conditions, noises if isinstance(loop, Draft) else groups)
        hook.remove()
        spent["seconds"] += time.process_time() - started
        spent["samples"] += step.clips
        spent["steps"] += step.denoising_steps
        if (number + 1) * looks // plan.updates > number * looks // plan.updates:
            curve.append(look())
    return curve


def gains(curve: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return name → score after training less the one before."""
    spent = ("samples", "steps", "calls", "seconds")
    return {name: curve[-1][name] - curve[0][name] for name in curve[0] if name not in spent}


def compare(task: Task, plan: Plan, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train with the rewards and with shuffled ones, each seed; return a row a seed and score."""
    rows = []
    for seed in seeds:
        curves = [tune(task, plan, seed, control) for control in (False, True)]
        true, shuffled = (gains(curve) for curve in curves)
        for name, gain in true.items():
            rows.append({"seed": seed, "score": name, "before": curves[0][0][name], "gain": gain,
                         "control": shuffled[name]})  # fmt: skip
    return rows


def interval(values: Sequence[float]) -> str:
    """Return the mean and half of its 95 % interval by Student's t over seeds; of one seed, its value."""
    if len(values) == 1:
        return f"{values[0]:+.3f}"
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):+.3f} ± {half:.3f}"


def over_control(rows: Sequence[Mapping[str, Any]], score: str) -> float:
    """Return by how much the gain of a score exceeds the control's, mean over seeds."""
    return fmean(row["gain"] - row["control"] for row in rows if row["score"] == score)


def main(
    doc: str | None,
    plan: Plan,
    tiny: Callable[[], Task],
    published: Callable[[list[str]], Task] | None = None,
    arguments: list[str] | None = None,
) -> None:
    """Run the command of a recipe.

    Args:
        doc: of the recipe.
        plan: its loop.
        tiny: the task without options.
        published: prompts → the task of a published model, which ``--prompts`` asks for.
        arguments: of the command, by default those of the process.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=plan.updates)
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    if published is not None:
        parser.add_argument("--prompts", type=Path, help="train the published model on this file, a prompt a line")
    options = parser.parse_args(arguments)
    prompts = getattr(options, "prompts", None)
    task = published(prompts.read_text().splitlines()) if published and prompts else tiny()
    with flushed_denormals():
        rows = compare(task, replace(plan, updates=options.updates), options.seeds)
    samples = options.updates * plan.batch * plan.group
    print(f"{samples} samples a run\n\n| seed | score | before | gain | control's gain |\n|---|---|---|---|---|")
    for row in rows:
        print("| {seed} | {score} | {before:.3f} | {gain:+.3f} | {control:+.3f} |".format(**row))
    for score, margin in plan.margins.items():
        print(f"{score}: {over_control(rows, score):+.3f} over the control, {margin:g} or more expected")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
