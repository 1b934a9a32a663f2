"""Search strategies at the same cost: reward, held-out reward, and where a strategy loses to best-of-N.

    python benchmarks/search.py [--settings landscape v2a wan ltx2 stable_audio] [--runs 200] [--json out.json]

Every strategy may spend the same number of denoising steps as best-of-N with 4, 8 or 16 candidates (or a little less,
where it doesn't come out even); decodes and reward calls are counted beside. Adaptive N decides itself what it spends,
and is compared with best-of-N for its own mean N.
Runs differ in the seed, and on the landscape in the landscape; the strategies share them, so that the differences from
best-of-N are paired: the gains. ± is a 95 % interval of the mean over runs.

On the landscape the optimum is 0 and nothing is trained: the network is a formula. The small video-to-audio generator
is trained (recipes/tiny_v2a), and its scenes' true sound is held out. The other tiny pipelines have random weights:
they show that it runs, and nothing of what a strategy gains on a real one. A generator is added by a function in
`SETTINGS`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from landscape import Distance, Landscape
from scipy.stats import t
from tiny_ltx2 import PLAIN
from tiny_pipelines import tiny_ltx2_with_text, tiny_stable_audio, tiny_wan
from tiny_v2a import tiny_v2a
from tiny_v2a.held_out import envelope_match

from avreward import Dimension, Rater, Reward, Scores, Search, load_rater
from avreward.clip import Clip
from avreward.datasets import scene
from avreward.evaluation import wilson
from avreward.generators import DiffusersSampler
from avreward.raters import Sample, Track, Work
from avreward.selection import AdaptiveN, Beam, Drafts, Evolution, Halving, Independent, Steering, Strategy, ZeroOrder

AT = (0.3, 0.6)  # where halving looks


@dataclass(frozen=True)
class Task:
    """What is searched for in one run.

    Attributes:
        generator: a sampler.
        reward: that is searched for.
        heldout: that isn't.
        steps: of a full denoising.
        arguments: of the generator's call.
        condition: a clip that the candidates have in common (*optional*).
        batch_size: of the search.
    """

    generator: Any
    reward: Reward
    heldout: Reward
    steps: int
    arguments: dict[str, Any]
    condition: Clip | None = None
    batch_size: int = 4


def on_landscape(run: int) -> Task:
    """Return a mixture of Gaussians; the held-out target lies a little beside the one that is searched for."""
    place = Landscape(run)
    distance = Distance(place, run)
    return Task(place, distance["reward"], distance["heldout"], place.count, {}, batch_size=16)


@cache
def _pipeline(build: Callable[[], Any], fps: float | None) -> DiffusersSampler:
    return DiffusersSampler(build(), fps=fps)


@cache
def _signals() -> Any:
    return load_rater("signals")


def on_wan(run: int) -> Task:
    """Video: the quality of single frames is searched for, smoothness over time is held out."""
    call = {"prompt": "rain", "height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 10}
    return Task(_pipeline(tiny_wan, 16.0), _signals()["static_quality"], _signals()["temporal_smoothness"], 10, call)


def on_ltx2(run: int) -> Task:
    """Video and sound."""
    call = {"prompt": "rain", "height": 32, "width": 32, "num_frames": 9, "frame_rate": 8.0, **PLAIN}
    rater = _signals()
    reward = 0.5 * rater["static_quality"] + 0.5 * rater["audio_quality"]
    return Task(_pipeline(tiny_ltx2_with_text, None), reward, rater["av_consistency"], 10,
                call | {"num_inference_steps": 10})  # fmt: skip


def on_stable_audio(run: int) -> Task:
    """Sound."""
    call = {"prompt": "rain", "audio_end_in_s": 0.5, "num_inference_steps": 10}
    return Task(_pipeline(tiny_stable_audio, None), _signals()["audio_quality"], _signals()["loudness"], 10, call)


class TrueSound(Rater):
    """How well a dub matches the sound that its scene really has: `envelope_match`, −1 to 1."""

    name, tracks = "true", ("audio",)
    dimensions = (Dimension("match", -1, 1, frozenset({"audio"})),)

    def __init__(self, scene_seed: int, sound: torch.Tensor) -> None:
        self.fingerprint, self.sound = f"true {scene_seed}", sound

    def load_track(self, clip: Clip, track: Track) -> torch.Tensor:
        """Return the match."""
        return envelope_match(clip.sound(16000, 1), self.sound)[0]

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Scores for what `load` decoded."""
        return Scores.collect([({"match": s.tracks["audio"]}, {}, {}) for s in samples], self.dimensions)


@cache
def _dubber() -> DiffusersSampler:
    pipe = tiny_v2a()

    def preview(tracks: list[torch.Tensor]) -> list[Clip]:
        return [Clip(audio=wave, sample_rate=16000) for wave in pipe.vocoder(tracks[0])]

    return DiffusersSampler(pipe, preview=preview)


def on_v2a(run: int) -> Task:
    """Dubs of a silent video by the small generator that was trained for it; held out: the scene's true sound."""
    seed = 14_000 + run
    true = scene(seed, ("strike", "bursts", "keys")[run % 3], 4.0).clip
    call = {"video": true.video, "frame_rate": true.fps, "num_inference_steps": 12}
    heldout = TrueSound(seed, true.sound(16000, 1)[0])["match"]
    return Task(_dubber(), _signals()["overall"], heldout, 12, call, Clip(video=true.video, fps=true.fps))


SETTINGS: dict[str, Callable[[int], Task]] = {
    "landscape": on_landscape,
    "v2a": on_v2a,
    "wan": on_wan,
    "ltx2": on_ltx2,
    "stable_audio": on_stable_audio,
}
RUNS = {"landscape": 200, "v2a": 30}  # of the others 10, which take seconds each
BUDGETS = {"landscape": (4, 8, 16)}  # candidates of best-of-N; of the others 8 alone


def strategies(n: int, steps: int) -> dict[str, Strategy]:
    """Each with settings that spend about `n * steps` denoising steps."""
    looks = [max(1, round(point * steps)) for point in AT]
    halved = max(m for m in range(1, 8 * n) if _halving_cost(m, looks, steps) <= n * steps)
    drafted = max(2, (n - 2) * steps // max(1, round(0.4 * steps)))
    rest = n - max(2, n // 4)
    return {
        "best-of-N": Independent(n),
        "adaptive N": AdaptiveN(most=4 * n),
        "zero-order": ZeroOrder(n - rest, rest // 2, 2),
        "evolution": Evolution(n // 2, n // 4, 2),
        "halving": Halving(halved, AT),
        "drafts": Drafts(drafted, 0.4, 2),
        "steering": Steering(n),
        "beam": Beam(2, n // 2),
    }


def _halving_cost(n: int, looks: list[int], steps: int) -> int:
    cost, before = 0, 0
    for look in looks:
        cost += n * (look - before)
        n, before = math.ceil(n / 2), look
    return cost + n * (steps - before)


def measure(task: Task, strategy: Strategy, run: int) -> dict[str, float]:
    """One search."""
    batch = 1 if isinstance(strategy, AdaptiveN) else task.batch_size  # it decides after each batch
    search = Search(task.generator, task.reward, strategy, batch_size=batch, seed=1000 * run)
    found = search(task.condition, **task.arguments)
    heldout = float(task.heldout.evaluate([found.best]).values[0])
    cost = found.cost
    return {"reward": found.ranked[0].reward or 0.0, "heldout": heldout, "steps": cost.steps,
            "decodes": cost.decodes, "rewards": cost.rewards, "seconds": cost.seconds}  # fmt: skip


def compare(name: str, n: int, runs: int) -> list[dict[str, Any]]:
    """Return a row a strategy."""
    rows = []
    base: list[dict[str, float]] = []
    for label, strategy in strategies(n, SETTINGS[name](0).steps).items():
        found = [measure(SETTINGS[name](run), strategy, run) for run in range(runs)]
        base = base or found
        against = base
        if isinstance(strategy, AdaptiveN):  # it decides itself what it spends: compared with as many, fixed
            same = round(fmean(f["steps"] for f in found) / SETTINGS[name](0).steps)
            against = [measure(SETTINGS[name](run), Independent(same), run) for run in range(runs)]
            label = f"{label}, against best-of-{same}"
        row: dict[str, Any] = {"setting": name, "n": n, "strategy": label, "settings": repr(strategy)}
        row |= {key: fmean(f[key] for f in found) for key in found[0]}
        for key in ("reward", "heldout"):
            row[f"{key}_ci"] = interval([f[key] for f in found])
            gains = [f[key] - b[key] for f, b in zip(found, against, strict=True)]
            row[f"{key}_gain"], row[f"{key}_gain_ci"] = fmean(gains), interval(gains)
        rows.append(row)
        print(f"{name} {n} {label}: {row['reward']:.3f}", flush=True)
    return rows


def interval(values: list[float]) -> float:
    """Half of the 95 % interval of the mean, by Student's t."""
    n = len(values)
    return float(t.ppf(0.975, n - 1)) * stdev(values) / n**0.5 if n > 1 else float("nan")


def verdict(row: dict[str, Any]) -> str:
    """Whether the difference from best-of-N is more than chance."""
    gain, half = row["reward_gain"], row["reward_gain_ci"]
    return "wins" if gain > half else "**loses**" if gain < -half else ""


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = ("strategy", "steps", "decodes", "rewards", "reward", "held out", "reward, gain", "held out, gain", "")
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for r in rows:
        numbers = " | ".join(f"{r[key]:.0f}" for key in ("steps", "decodes", "rewards"))
        means = " | ".join(f"{r[key]:.3f} ± {r[f'{key}_ci']:.3f}" for key in ("reward", "heldout"))
        gains = " | ".join(f"{r[f'{key}_gain']:+.3f} ± {r[f'{key}_gain_ci']:.3f}" for key in ("reward", "heldout"))
        base = r["strategy"] == "best-of-N"
        lines.append(f"| {r['strategy']} | {numbers} | {means} | {' | ' if base else gains} | {verdict(r)} |")
    return "\n".join(lines)


def pruning(runs: int) -> str:
    """Return what halving eight candidates twice loses on the landscape, by where it looks; Markdown."""
    lines = ["| looks at | steps | the best of the eight is found | reward lost |", "|---|---|---|---|"]
    for at in ((0.05, 0.1), (0.1, 0.3), (0.2, 0.4), (0.3, 0.6), (0.5, 0.75)):
        same, lost, steps = 0, [], 0
        for run in range(runs):
            task = on_landscape(run)
            full, halved = (
                Search(task.generator, task.reward, strategy, batch_size=8, seed=1000 * run)()
                for strategy in (Independent(8), Halving(8, at))
            )
            same += full.ranked[0].seed == halved.ranked[0].seed
            lost.append((full.ranked[0].reward or 0.0) - (halved.ranked[0].reward or 0.0))
            steps = halved.cost.steps
        low, high = (100 * share for share in wilson(same, runs))
        share = f"{100 * same / runs:.0f} % ({low:.0f}–{high:.0f})"
        points = " and ".join(f"{100 * point:.0f} %" for point in at)
        lines.append(f"| {points} | {steps} of 160 | {share} | {fmean(lost):.3f} ± {interval(lost):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--runs", type=int, help="by default 200 on the landscape, 30 on v2a, 10 on the others")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.settings:
        for n in BUDGETS.get(name, (8,)):
            rows += compare(name, n, options.runs or RUNS.get(name, 10))
    for name, n in dict.fromkeys((row["setting"], row["n"]) for row in rows):
        print(f"\n{name}, as many steps as best-of-{n}\n")
        print(table([row for row in rows if (row["setting"], row["n"]) == (name, n)]))
    if "landscape" in options.settings:
        print(f"\nwhat halving loses, landscape, best of 8\n\n{pruning(options.runs or RUNS['landscape'])}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
