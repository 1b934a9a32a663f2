"""Do fitted strengths cover the truth as often as their standard errors say?

    python benchmarks/strengths.py [--simulations 500] [--seed 0]

Each simulation draws the strengths of 8 items from a normal distribution (σ = 1), centres them, and has every pair
compared 20 times by the model itself. Counted is how many of the 95 % intervals cover the truth: of the strengths (they
add up to 0), of the differences of all pairs, and of the tie parameter's logarithm. Intervals of one simulation depend
on each other, so the ± is the spread over simulations. "z" is the root mean square of (fitted − true)/σ, 1 where the
standard errors are right. A simulation whose outcomes have no finite best fit is counted, and drawn again. Simulation i
has the seed `seed`·100000 + i. The exit code is 1 where the strengths' coverage is outside 93 to 97 %.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.preferences import BradleyTerry, Davidson, RaoKupper
from avreward.preferences.bradley_terry import Model, Strengths, fit_strengths

ITEMS, TIMES = 8, 20
TRUE: dict[Model, BradleyTerry | Davidson | RaoKupper] = {
    "bradley_terry": BradleyTerry(),
    "davidson": Davidson(nu=0.7),
    "rao_kupper": RaoKupper(theta=1.6),
}
PAIRS = list(itertools.combinations(range(ITEMS), 2))
Z = 1.959964  # standard errors either side of a 95 % interval
WANTED = (0.93, 0.97)


@dataclass(frozen=True)
class Coverage:
    """What came out for a model: (fitted − true)/σ of each simulation, and how many had to be drawn again."""

    strengths: Tensor  # (simulations, items)
    differences: Tensor  # (simulations, pairs)
    ties: Tensor  # (simulations, 1), or (simulations, 0) where the model has none
    redrawn: int
    seconds: float


def simulate(model: Model, generator: torch.Generator) -> tuple[Tensor, Strengths]:
    """Return true strengths, and those fitted to outcomes drawn from them."""
    truth = torch.randn(ITEMS, generator=generator, dtype=torch.float64)
    truth -= truth.mean()
    first, second = torch.tensor(PAIRS).repeat(TIMES, 1).T
    drawn = TRUE[model](truth[first] - truth[second]).multinomial(1, generator=generator)[:, 0]
    return truth, fit_strengths(range(ITEMS), first.tolist(), second.tolist(), 1 - drawn / 2, model)


def coverage(model: Model, simulations: int, seed: int) -> Coverage:
    """Run the simulations of one model."""
    started, redrawn = time.perf_counter(), 0
    strengths, differences, ties = [], [], []
    for i in range(simulations):
        generator = torch.Generator().manual_seed(100_000 * seed + i)
        while True:
            try:
                truth, found = simulate(model, generator)
                break
            except AvrewardError:
                redrawn += 1
        strengths.append((found.values - truth) / found.sigma)
        gaps = torch.tensor([found.difference(a, b) for a, b in PAIRS], dtype=torch.float64)
        true_gaps = torch.stack([truth[a] - truth[b] for a, b in PAIRS])
        differences.append((gaps[:, 0] - true_gaps) / gaps[:, 1])
        ties.append(torch.tensor(_tie_errors(model, found), dtype=torch.float64))
    return Coverage(
        torch.stack(strengths), torch.stack(differences), torch.stack(ties), redrawn, time.perf_counter() - started
    )


def _tie_errors(model: Model, found: Strengths) -> list[float]:
    fitted, true = found.model, TRUE[model]
    if isinstance(fitted, Davidson) and isinstance(true, Davidson):
        ratio = fitted.nu / true.nu
    elif isinstance(fitted, RaoKupper) and isinstance(true, RaoKupper):
        ratio = fitted.theta / true.theta
    else:
        return []
    return [math.log(ratio) / found.tie_sigma]


def covered(errors: Tensor) -> tuple[float, float]:
    """Share of the intervals that cover the truth, and its standard error over simulations."""
    shares = (errors.abs() <= Z).double().mean(dim=1)
    return float(shares.mean()), float(shares.std() / math.sqrt(len(shares)))


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(
        f"{options.simulations} simulations a model, seeds {100_000 * options.seed} to "
        f"{100_000 * options.seed + options.simulations - 1}; {ITEMS} items, each pair compared {TIMES} times\n"
    )
    print("| model | quantity | 95 % intervals that cover | z | drawn again | seconds |")
    print("|---|---|---:|---:|---:|---:|")
    outside = []
    for model in TRUE:
        found = coverage(model, options.simulations, options.seed)
        for name in ("strengths", "differences", "ties"):
            errors = getattr(found, name)
            if errors.shape[1]:
                share, error = covered(errors)
                root = float(errors.square().mean().sqrt())
                rest = f"{found.redrawn} | {found.seconds:.1f}" if name == "strengths" else " | "
                print(
                    f"| {model} | {name} | {100 * share:.1f} ± {100 * error:.1f} % | {root:.3f} | {rest} |", flush=True
                )
        share, _ = covered(found.strengths)
        if not WANTED[0] <= share <= WANTED[1]:
            outside.append(model)
    print(f"\noutside {100 * WANTED[0]:.0f} to {100 * WANTED[1]:.0f} %: {', '.join(outside) or 'none'}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
