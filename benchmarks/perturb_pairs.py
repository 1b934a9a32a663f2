"""How fast are pairs planned and rendered, and does a head trained on them know kinds of defects that it never saw?

    python benchmarks/perturb_pairs.py [--pairs 300000] [--scenes 16] [--only plan,render,head]

*Planned*: pairs a second of CPU time by AVBench's recipe over 1000 clips, headers aside, and the memory that grows.
*Rendered*: pairs a second by kind, of synthetic scenes of 2 s, decoded and encoded. *Head*: a linear head by
conditional logit on the differences of the measurements of `signals`, which are frozen; for each kind of defect it is
trained on the other kinds of half of the scenes, and tested on this kind of the other half. 0.5 is chance; the ± is
half of a 95 % interval (Wilson) over pairs. Scenes, not people: it shows that the pairs teach something general.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from avreward import Clip, load_rater
from avreward.datasets import ALL_PERTURBATIONS, PairKind, PairSource, pair_recipe, pair_sources, plan_pairs, scene
from avreward.datasets import render_pairs as render
from avreward.datasets.synthetic._perturbations import NotPerturbable, changed
from avreward.evaluation import wilson
from avreward.scoring import list_clips

FIRST = 400_000  # seed of scenes; the recipes that fit `signals` use seeds below 100 000
HEAD = (
    "noise", "clipping", "lowpass", "dropouts", "reversed", "shift", "swapped", "event", "background", "blur",
    "picture_noise", "blockiness", "flicker", "frozen", "shuffled", "other_moment",
)  # fmt: skip
RENDERED = ("noise", "shift", "swapped", "event", "background", "other_moment", "blur", "blockiness", "shuffled")


def plan_rate(pairs: int) -> tuple[float, float]:
    """Return pairs planned a second of CPU time, and the memory in KiB that the last nine tenths of a plan add."""
    has = frozenset({"video", "audio", "prompt", "texts.words"})
    words = [frozenset({f"w{n % 50}", f"x{n % 7}"}) for n in range(1000)]
    sources = [
        PairSource(Path(f"{n}.mp4"), has, 10.0, "a red dog", {}, f"c{n % 30}", "audio-video", words[n])
        for n in range(1000)
    ]
    start, count = time.process_time(), 0
    for _ in plan_pairs(sources, pair_recipe("avbench"), pairs):
        count += 1
    rate = count / (time.process_time() - start)
    tracemalloc.start()
    base = 0
    for spec in plan_pairs(sources, pair_recipe("avbench"), 20_000):
        if spec.number == 2000:
            tracemalloc.reset_peak()
            base = tracemalloc.get_traced_memory()[0]
    grown = (tracemalloc.get_traced_memory()[1] - base) / 1024
    tracemalloc.stop()
    return rate, grown


def render_rates(scenes: int, seconds: float = 2.0, kinds: Sequence[str] = RENDERED) -> dict[str, float]:
    """Return pairs rendered a second of CPU time, by kind; the originals are there already."""
    with tempfile.TemporaryDirectory() as name:
        folder, rates = Path(name), {}
        for number in range(scenes):
            scene(FIRST + number, seconds=seconds).clip.save(folder / f"{number}.mkv")
        sources = pair_sources(list_clips(folder))
        for kind in kinds:
            start = time.process_time()
            made = render(sources, [PairKind(ALL_PERTURBATIONS[kind])], folder / kind, scenes, seconds=seconds)
            rates[kind] = made.pairs / (time.process_time() - start)
    return rates


def differences(scenes: int, seconds: float, kinds: Sequence[str]) -> tuple[list[tuple[str, int]], Tensor]:
    """Return (kind, scene) of each pair, and the original's measurements minus the defect's: (pairs, measurements)."""
    rater = load_rater("signals")
    raw = [i for i, dimension in enumerate(rater.dimensions) if not dimension.calibrated]
    names: list[tuple[str, int]] = []
    rows: list[Tensor] = []
    for number in range(scenes):
        clip, other = (scene(FIRST + n, seconds=seconds).clip for n in (number, number + 10_000))
        made: list[Clip] = []
        for kind in kinds:
            one = ALL_PERTURBATIONS[kind]
            severity = one.severities[1] if one.severities else None
            try:
                bad = one.apply(clip, severity, FIRST + number, other)
            except NotPerturbable:
                continue
            if changed(clip, bad):
                made.append(bad)
                names.append((kind, number))
        values = rater([clip, *made]).values[:, raw].double().detach()
        rows.append((values[:1] - values[1:]).nan_to_num(0.0))
    return names, torch.cat(rows)


def fitted(x: Tensor, penalty: float = 0.01) -> Tensor:
    """Return the weights of a conditional logit for rows that all prefer the first of two: (measurements,)."""
    weights = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    best = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        best.zero_grad()
        value = torch.nn.functional.softplus(-(x @ weights)).mean() + penalty * weights.square().sum()
        value.backward()
        return value

    best.step(loss)
    return weights.detach()


def held_out(names: Sequence[tuple[str, int]], x: Tensor, scenes: int) -> dict[str, tuple[int, int]]:
    """Return for each kind how many of its pairs a head prefers rightly that saw neither the kind nor the scenes."""
    scale = x.abs().quantile(0.9, dim=0).clamp_min(1e-9)
    x = (x / scale).clamp(-3, 3)
    found: dict[str, tuple[int, int]] = {}
    for kind in dict.fromkeys(name for name, _ in names):
        right = total = 0
        for half in (0, 1):
            train = torch.tensor([name != kind and number % 2 == half for name, number in names])
            test = torch.tensor([name == kind and number % 2 != half for name, number in names])
            score = x[test] @ fitted(x[train])
            right, total = right + int((score > 0).sum()), total + len(score)
        found[kind] = (right, total)
    return found


def main() -> int:
    """Print the tables; 1 if the head does not beat chance on kinds that it never saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300_000)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--only", default="plan,render,head")
    asked = parser.parse_args()
    parts = asked.only.split(",")
    if "plan" in parts:
        rate, grown = plan_rate(asked.pairs)
        took = f"{asked.pairs} in {asked.pairs / rate:.1f} s"
        print(f"planned: {rate:.0f} pairs a second, {took}; memory +{grown:.0f} KiB\n")
    if "render" in parts:
        print("| kind | pairs a second |\n|---|---|")
        for kind, rate in render_rates(4).items():
            print(f"| {kind} | {rate:.2f} |")
    if "head" not in parts:
        return 0
    names, x = differences(asked.scenes, 2.0, HEAD)
    results = held_out(names, x, asked.scenes)
    print(f"\n{len(names)} pairs of {asked.scenes} scenes, {x.shape[1]} measurements\n")
    print("| held-out kind | right | of | share |\n|---|---|---|---|")
    for kind, (right, total) in results.items():
        print(f"| {kind} | {right} | {total} | {right / total:.2f} |")
    right, total = (sum(values) for values in zip(*results.values(), strict=True))
    low, high = wilson(right, total)
    print(f"| all | {right} | {total} | {right / total:.3f} ± {(high - low) / 2:.3f} |")
    return int(low <= 0.5)


if __name__ == "__main__":
    sys.exit(main())
