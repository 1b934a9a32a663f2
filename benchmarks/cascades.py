"""Measures cascades: what a cheap rater may decide at a stated risk, and what that costs, on groups it has not seen.

    python benchmarks/cascades.py [--data sounds scenes] [--groups 200] [--seeds 5] [--json out.json]

Clips are those of students.py. Two cascades:

1. sounds, a student before signals.audio_quality: a small network on a glance at the sound, fitted to other groups.
2. scenes with video and sound, `signals` on the sound alone before signals.overall: it does not see half of the clip.

Each clip is rated once by each rater. For each seed half of the groups calibrate the cascade (`cascade_rule`), and the
others give share asked, cost and agreement. Costs are CPU seconds of clips in memory. Intervals are from a bootstrap
over groups, in which a group keeps its answers of all seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from students import scenes, sounds

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.evaluation.cascade import cascade_rule, group_losses
from avreward.raters import Rater, term
from avreward.raters.scores import Scores
from avreward.training import distill

RISKS, DRAWS, AT_ONCE = (0.05, 0.1, 0.2), 2000, 8


def sound_only(signals: Rater) -> Rater:
    """Return a rater of the sound alone, which is not told that there is a video."""

    @term(needs="audio", low=0, high=100)
    def sound(clip: Clip) -> Any:
        return signals([Clip(audio=clip.audio, sample_rate=clip.sample_rate)])["audio_quality"][0]

    return sound


def rated(raters: Sequence[Rater], clips: Iterable[tuple[int, Clip]]) -> tuple[list[Scores], list[int], list[float]]:
    """Return the scores of all clips by each rater, their groups, and CPU seconds a clip; raters take turns."""
    parts: list[list[Scores]] = [[] for _ in raters]
    spent, groups = np.zeros(len(raters)), []
    for some in batched(clips, AT_ONCE):
        groups += [group for group, _ in some]
        for k, rater in enumerate(raters):
            begun = time.process_time()
            with torch.no_grad():
                parts[k].append(rater([clip for _, clip in some]))
            spent[k] += time.process_time() - begun
    return [Scores.concatenate(part) for part in parts], groups, (spent / len(groups)).tolist()


def batched(clips: Iterable[tuple[int, Clip]], size: int) -> Iterator[list[tuple[int, Clip]]]:
    """Yield lists of up to `size`, so that few clips are in memory."""
    iterator = iter(clips)
    while some := list(islice(iterator, size)):
        yield some


def rows_of(scores: Scores, keep: Sequence[int]) -> Scores:
    """Return some rows of scores."""
    index = torch.as_tensor(keep)
    sigma = None if scores.sigma is None else scores.sigma[index]
    return Scores(scores.values[index], scores.present[index], [scores.reasons[i] for i in keep], scores.dimensions,
                  sigma=sigma)  # fmt: skip


def measure(
    cheap: tuple[Rater, str], expensive: tuple[Rater, str], clips: Iterable[tuple[int, Clip]], seeds: int
) -> list[dict[str, Any]]:
    """Return a row for each decision and risk."""
    (first, second), groups, cost = rated([cheap[0], expensive[0]], clips)
    x, y = (s.values[:, s.column(p[1])].double().numpy() for s, p in ((first, cheap), (second, expensive)))
    there = np.isfinite(x) & np.isfinite(y)
    group, names = np.asarray(groups), sorted(set(groups))
    found = []
    for decision in ("best", "pairs"):
        for risk in RISKS:
            asked, losses = [], []
            for seed in range(seeds):
                order = np.random.default_rng(1000 + seed).permutation(names)
                known = np.isin(group, order[: len(order) // 2]) & there
                fresh = ~np.isin(group, order[: len(order) // 2]) & there
                kept = np.flatnonzero(known)
                try:
                    rule = cascade_rule(cheap, expensive, rows_of(first, kept), rows_of(second, kept),
                                        group[kept].tolist(), decision=decision, risk=risk, seed=seed)  # fmt: skip
                except AvrewardError:
                    continue
                read = first.sigma[:, 0].double().numpy() if rule.reads == "sigma" else x
                ask = (read >= rule.low) & (read <= rule.high)
                made = np.where(ask, y, rule.slope * x + rule.intercept)
                asked.append({g: float(ask[fresh & (group == g)].mean()) for g in order[len(order) // 2 :]})
                per = group_losses(made[fresh], y[fresh], group[fresh], decision)
                losses.append(dict(zip(np.unique(group[fresh]).tolist(), per.tolist(), strict=True)))
            found.append({"decision": decision, "risk": risk, "rules": len(losses), "seeds": seeds,
                          **summary(asked, losses, cost)})  # fmt: skip
    return found


def summary(
    asked: Sequence[dict[int, float]], losses: Sequence[dict[int, float]], cost: Sequence[float]
) -> dict[str, float]:
    """Return share asked, cost of the expensive rater's, agreement with its interval; NaN where there was no rule."""
    if not losses:
        return dict.fromkeys(("asked", "cost", "agreement", "low", "high", "worst"), float("nan"))
    names = sorted(set().union(*losses))
    total = np.array([[sum(one.get(g, 0.0) for one in losses), sum(g in one for one in losses)] for g in names])
    draws = np.random.default_rng(0).integers(0, len(names), (DRAWS, len(names)))
    drawn = total[draws].sum(1)
    low, high = np.quantile(1 - drawn[:, 0] / drawn[:, 1], [0.025, 0.975]).tolist()
    share = float(np.mean([np.mean(list(one.values())) for one in asked]))
    return {
        "asked": share, "cost": cost[0] / cost[1] + share,
        "agreement": float(1 - total[:, 0].sum() / total[:, 1].sum()), "low": low, "high": high,
        "worst": float(max(np.mean(list(one.values())) for one in losses)),
    }  # fmt: skip


def cascades(data: str, groups: int, seeds: int) -> list[dict[str, Any]]:
    """Return the rows of a cascade."""
    signals = load_rater("signals")
    if data == "sounds":
        made, dimension, name = list(sounds(groups + groups // 2)), "audio_quality", "a student"
        fit = [(group, clip) for group, clip in made if group >= groups]
        cheap: Rater = distill(signals, [c for _, c in fit], [g for g, _ in fit], dimension=dimension).student
        clips: Iterable[tuple[int, Clip]] = [(group, clip) for group, clip in made if group < groups]
    else:
        cheap, clips, dimension, name = sound_only(signals), scenes(groups), "overall", "sound alone"
    rows = measure((cheap, cheap.dimensions[0].name), (signals, dimension), clips, seeds)
    return [{"data": data, "cheap": name, "dimension": dimension, "groups": groups} | row for row in rows]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table."""
    heads = "clips | groups | cheap | expensive | decision | risk | rules found | asked | cost | agreement | " \
            "95 % interval | worst seed's risk"  # fmt: skip
    lines = [f"| {heads} |", "|---" * (heads.count("|") + 1) + "|"]
    for row in rows:
        start = f"| {row['data']} | {row['groups']} | {row['cheap']} | `{row['dimension']}` | {row['decision']} | "
        start += f"{row['risk']:g} | {row['rules']} of {row['seeds']} | "
        if row["rules"]:
            start += f"{row['asked']:.0%} | {row['cost']:.2f} | {row['agreement']:.3f} | {row['low']:.3f} to "
            lines.append(f"{start}{row['high']:.3f} | {row['worst']:.3f} |")
        else:
            lines.append(f"{start}– | – | – | – | – |")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=["sounds", "scenes"], default=["sounds", "scenes"])
    parser.add_argument("--groups", type=int, default=200, help="of sounds half as many more fit the student")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    rows = [row for data in arguments.data for row in cascades(data, arguments.groups, arguments.seeds)]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
