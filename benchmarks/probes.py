"""Reward cards: of `signals`, and of raters with random weights, where everything runs but nothing means anything.

    python benchmarks/probes.py --scenes 12 ../shared/media/v2a/*/ground_truth.mp4        # table, docs/cards/signals.*
    python benchmarks/probes.py --scenes 12 --held-out 1 ../shared/media/v2a/*/ground_truth.mp4   # the set kept apart

The real clips are synthesized scenes of 2 s (seeds from 700 000 on, which nothing was fitted with) and the files given.
Each probe is judged by how far its median is above the median real clip. `--held-out SEED` draws the second set of
probes (probes_held_out.py) and prints its table alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from probes_held_out import drawn
from rich.console import Console
from rich.progress import Progress

from avreward import Clip, Reward, load_rater, parse_reward
from avreward.audit import ProbeResults, run_probes
from avreward.audit._statistics import Difference, Verdict, count_above, median
from avreward.datasets import scene
from avreward.report import RewardCard
from avreward.report._card_page import SAID, interval, signed
from avreward.report.card import pieces, reward_card, write_card

FIRST_SCENE = 700_000
SECONDS = 2.0
WORST = "min(audio_quality, av_consistency, static_quality, temporal_smoothness)"
DOCS = Path(__file__).parents[1] / "docs" / "cards"
RANDOM = "random weights: this card shows that everything runs, its figures mean nothing"


def clips_of(scenes: int, files: Sequence[Path]) -> dict[str, Clip]:
    """Name → real clip."""
    made = {f"scene {FIRST_SCENE + n}": scene(FIRST_SCENE + n, seconds=SECONDS).clip for n in range(scenes)}
    return made | {f"{path.parent.name}/{path.name}": Clip.open(path) for path in files}


def card_of(reward: Reward, held_out: Reward | None, clips: dict[str, Clip], name: str) -> RewardCard:
    """Return a card, with progress on standard error."""
    with Progress(console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(name, total=pieces(len(clips)))
        return reward_card(
            reward, list(clips.values()), held_out=held_out, names=list(clips), name=name,
            settings={"Made by": "python benchmarks/probes.py"}, step=lambda doing: bar.advance(task),
        )  # fmt: skip


TITLES = "median | against real | 95 % interval | above the median real clip | beats it |"


def line(name: str, middle: float | None, gain: Difference | None, above: str, verdict: Verdict) -> str:
    """Return a row of the table, as Markdown that docs can hold."""
    shown = "–" if middle is None else f"{middle:.1f}"
    return (
        f"| {name} | {shown} | {signed(gain.value if gain else None)} | {interval(gain)} | {above} | {SAID[verdict]} |"
    )


def show(probed: ProbeResults, title: str) -> None:
    """Print the table, the highest first."""
    real = median(probed.real.values) or 0.0
    print(f"| {title} | {TITLES}\n|---|---|---|---|---|---|\n| *real clips* | {real:.1f} | 0 | | | |")
    for outcome in sorted(probed.outcomes, key=lambda o: -o.to_median.value if o.to_median else float("inf")):
        there = [value for value in outcome.trained.values if value is not None]
        above = f"{count_above(outcome.trained.values, probed.real.values)} of {len(there)}"
        print(line(outcome.probe.name, median(there), outcome.to_median, above, outcome.verdict))


def show_card(card: RewardCard) -> None:
    """Return a card's figures."""
    real = median(card.real) or 0.0
    print(f"| {card.name} | {TITLES}\n|---|---|---|---|---|---|")
    print(f"| *{len(card.clips)} real clips* | {real:.1f} | 0 | | | |")
    for row in sorted(card.probes, key=lambda row: -row.to_median.value if row.to_median else float("inf")):
        print(line(row.name, row.median, row.to_median, f"{row.above_median} of {len(row.there)}", row.verdict))
    climbed = card.climbed
    if climbed.gain is not None:
        clips = climbed.gain.clips
        print(f"\nGradient ascent over {clips} clips: {signed(climbed.gain.value)} ({interval(climbed.gain)})")
        if climbed.held_out_gain is not None:
            print(f"held out: {signed(climbed.held_out_gain.value)} ({interval(climbed.held_out_gain)})")
            print(f"disagreement: {signed(climbed.disagreement)} sd")
    print("gradient, signal to noise: " + ", ".join(f"{t} {s.median:.3g}" for t, s in card.gradient_snr.items()))
    print(f"cost a clip: {card.cost.seconds:.2f} s, {card.cost.cpu_seconds:.2f} s CPU ({card.cost.machine})\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="real clips")
    parser.add_argument("--scenes", type=int, default=12, help="how many synthesized scenes")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder for the cards")
    parser.add_argument("--held-out", type=int, metavar="SEED", help="judge the set that is kept apart, and only it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    signals = load_rater("signals")
    clips = clips_of(arguments.scenes, arguments.files)
    title = f"signals.overall, {len(clips)} clips"
    if arguments.held_out is not None:
        probes = drawn(arguments.held_out)
        show(run_probes(signals["overall"], list(clips.values()), names=list(clips), probes=probes), title)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    card = card_of(signals["overall"], parse_reward(WORST, {"signals": signals}), clips, "signals.overall")
    for ending in ("html", "json"):
        print(write_card(card, arguments.out / f"signals.{ending}"), file=sys.stderr)
    show_card(card)
    few = dict(list(clips.items())[:4])
    for name, reward in random_raters().items():
        show_card(card_of(reward, signals["overall"], few, f"{name} ({RANDOM})"))


def random_raters() -> dict[str, Reward]:
    """Tiny raters with random weights, as the recipes make them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
    from tiny_agav_rater import write_tiny

    folder = Path(tempfile.mkdtemp(prefix="tiny-agav-"))
    rater = load_rater(str(write_tiny(folder / "agav")))
    return {"tiny AGAV-Rater": rater[next(d.name for d in rater.dimensions if d.name == "overall" or not d.detail)]}


if __name__ == "__main__":
    main()
