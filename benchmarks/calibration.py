"""How well calibration finds a known curve, and what normalizers keep, on synthetic scores.

    python benchmarks/calibration.py [--clips 25 100 400] [--noise 0.2 0.5] [--seeds 20]

People's opinion of a clip is a known curve of its raw score, and the mean of some votes comes with Gaussian noise, cut
at the ends of the scale. A line and VQEG's logistic are fitted on some clips and compared with the curve itself on
1000 others: the root mean square error in MOS (1 … 5), mean over the seeds. "raw" does without opinions: the range of
the scores is put on that of the scale. Then each normalizer is fitted on 100 skewed scores, without and with one
outlier, and looks at 1000 others, half of them far beyond the reference: the share of pairs in the order of the raw
scores, and where the middle half of the clips within comes to lie.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from avreward import Clip, Dimension, Scores
from avreward.raters import Calibration, Linear, Logistic, Rater, Sample, Track, Work
from avreward.rewards import fit_linear, fit_logistic, minmax, percentile, zscore

CURVES: dict[str, Calibration] = {
    "logistic": Logistic(4.6, 1.4, 50.0, 10.0, low=1.0, high=5.0),
    "steep": Logistic(4.8, 1.2, 60.0, 3.0, low=1.0, high=5.0),
    "upper half": Logistic(4.6, 1.2, 5.0, 20.0, low=1.0, high=5.0),
    "falling": Logistic(1.4, 4.6, 50.0, 10.0, low=1.0, high=5.0),
    "straight": Linear(0.03, 1.5, low=1.0, high=5.0),
}
HELD_OUT = 1000


def scores(clips: int, generator: torch.Generator) -> Tensor:
    """Raw scores (clips,) from 0 to 100."""
    return 100 * torch.rand(clips, generator=generator, dtype=torch.float64)


def errors(truth: Calibration, clips: int, noise: float, seeds: int) -> dict[str, float]:
    """Way of calibrating → error in MOS on clips that it hasn't seen."""
    found: dict[str, list[float]] = {"raw": [], "line": [], "logistic": []}
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        x, unseen = scores(clips, generator), scores(HELD_OUT, generator)
        votes = truth(x) + noise * torch.randn(clips, generator=generator, dtype=torch.float64)
        opinions = votes.clamp(truth.low, truth.high)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "raw": lambda x: 1 + 4 * (x if truth.rising else 100 - x) / 100,
            "line": fit_linear(x, opinions),
            "logistic": fit_logistic(x, opinions),
        }
        for name, way in ways.items():
            found[name].append(float((way(unseen) - truth(unseen)).square().mean().sqrt()))
    return {name: sum(each) / seeds for name, each in found.items()}


class Skewed(Rater):
    """A rater of nothing: the benchmark gives the scores itself."""

    name, fingerprint = "skewed", "skewed 1"
    dimensions = (Dimension("score", -math.inf, math.inf, frozenset()),)

    def load_track(self, clip: Clip, track: Track) -> None:
        """No clip is looked at."""

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """No clip is looked at."""
        return Scores.collect([], self.dimensions)


def normalized(outlier: bool) -> list[tuple[str, float, float, float]]:
    """For each normalizer: its name, the share of pairs in order, and the quartiles of what it makes of the clips."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(100, generator=generator, dtype=torch.float64).exp()
    if outlier:
        reference[0] = 1000.0
    inside = torch.randn(HELD_OUT // 2, generator=generator, dtype=torch.float64).exp()
    beyond = 10 * torch.randn(HELD_OUT // 2, generator=generator, dtype=torch.float64)
    clips = torch.cat([inside, beyond])
    raw = Skewed()["score"]
    rows = []
    for normalize in (zscore, minmax, percentile):
        made = normalize(raw, reference).compute({raw.name: clips})
        first, second = torch.combinations(torch.arange(HELD_OUT)).T
        order = ((clips[first] - clips[second]) * (made[first] - made[second]) > 0).double().mean()
        low, high = made[: HELD_OUT // 2].quantile(made.new_tensor([0.25, 0.75])).tolist()
        rows.append((normalize.__name__, float(order), low, high))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[25, 100, 400])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.2, 0.5])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args(arguments)
    print("| curve | clips | noise | raw | line | logistic |\n|---|---:|---:|---:|---:|---:|")
    for name, truth in CURVES.items():
        for clips in options.clips:
            for noise in options.noise:
                row = errors(truth, clips, noise, options.seeds)
                print(f"| {name} | {clips} | {noise:g} | " + " | ".join(f"{e:.3f}" for e in row.values()) + " |")
    print("\n| normalizer | outlier in the reference | pairs in order | middle half |\n|---|---|---:|---:|")
    for outlier in (False, True):
        for name, order, low, high in normalized(outlier):
            print(f"| {name} | {'yes' if outlier else 'no'} | {order:.1%} | {low:.3f} … {high:.3f} |")


if __name__ == "__main__":
    main()
