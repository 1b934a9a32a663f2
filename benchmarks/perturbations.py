"""How often a rater prefers a clip to the same clip with a controlled defect.

    python benchmarks/perturbations.py --scenes 100                      # held-out synthesized scenes
    python benchmarks/perturbations.py ../shared/media/v2a/*/ground_truth.mp4

Each clip gets each defect at each severity below. Counted is how often the original's score is the higher one, on the
dimension concerned and on `overall`, with Wilson's 95 % interval, and the rank correlation (SRCC) of severity with the
fall of the dimension's score, a clip at a time over the original and the three severities, averaged over the clips. A
defect that does nothing to a clip (a low-pass above all its energy) is counted under "no effect" and left out. Of the
reversed scenes, those whose sound is known to have no attacks (the wind of a swung rod, an engine) are counted once
more in a row of their own: played backwards they are another sound of the same kind. The severities of blur and
shuffling are stronger than those that the constants were fitted with (0.8, 1.6, 3.2 and 0.15, 0.4, 1).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from avreward import Clip, load_rater
from avreward.datasets import scene
from avreward.datasets.synthetic._perturbations import PERTURBATIONS, changed
from avreward.evaluation import srcc, wilson
from avreward.raters import Rater, Work

HELD_OUT = 200_000  # first seed; recipes/fit_signals.py uses seeds from 0 and from 50 000 on
SEVERITIES: dict[str, tuple[float, ...]] = {
    "noise": (30, 20, 10),  # dB signal to noise
    "clipping": (0.01, 0.05, 0.15),  # share of the samples
    "lowpass": (8000, 4000, 2000),  # Hz
    "dropouts": (0.03, 0.08, 0.2),  # share of the time
    "shift": (0.25, 0.5, 1.0),  # s
    "blur": (1.2, 2.4, 4.8),  # σ in pixels of a picture 480 high
    "picture_noise": (4, 10, 25),  # σ in levels of 255
    "blockiness": (2, 4, 8),  # quantizer steps
    "flicker": (0.03, 0.08, 0.2),  # σ of the gain
    "frozen": (0.1, 0.25, 0.5),  # share of the time
    "shuffled": (0.25, 0.5, 1.0),  # share of the windows of four frames
    "reversed": (),
    "swapped": (),
}
NO_ATTACKS = "reversed, of these without attacks"
KINDS = {
    "audio quality": ("noise", "clipping", "lowpass", "dropouts", "reversed"),
    "video quality": ("blur", "picture_noise", "blockiness", "flicker", "frozen", "shuffled"),
    "another clip's audio": ("swapped",),
    "shift of 0.5 and 1 s": ("shift 0.5", "shift 1.0"),
}


@dataclass(frozen=True)
class Trial:
    """One clip with one defect: the fall of the score on the dimension concerned and on `overall`."""

    defect: str
    severity: float | None
    clip: str
    fall: float
    fall_overall: float

    @property
    def row(self) -> str:
        """The table row that it belongs to."""
        return self.defect if self.severity is None else f"{self.defect} {self.severity}"


def trials(
    original: Clip, others: Sequence[Clip], name: str, rater: Rater, attacks: bool = True
) -> Iterator[Trial | str]:
    """All defects of one clip; a string names a defect that had no effect. The clip's tracks are decoded once."""
    work = Work()
    kept = Clip(video=original.video, times=original.times, audio=original.audio, sample_rate=original.sample_rate)
    before = rater.rate([rater.load(kept, work)], work)
    for defect, severities in SEVERITIES.items():
        one = PERTURBATIONS[defect]
        for severity in severities or (None,):
            for other in others if one.needs_other else (None,):
                after_clip = one.apply(kept, severity, seed=hash_of(name), other=other)
                if not changed(kept, after_clip):
                    yield defect if severity is None else f"{defect} {float(severity)}"
                    continue
                after = rater.rate([rater.load(after_clip, work)], work)
                falls = [float(before[d] - after[d]) for d in (one.dimension, "overall")]
                yield Trial(defect, None if severity is None else float(severity), name, *falls)
                if defect == "reversed" and not attacks:
                    yield Trial(NO_ATTACKS, None, name, *falls)


def hash_of(name: str) -> int:
    """Return a seed from a clip's name, the same in every process."""
    return sum(ord(c) * 131**i for i, c in enumerate(name)) % 1_000_003


def scene_trials(seed: int, rater_name: str) -> list[Trial | str]:
    """Return the trials of a synthesized scene; the other sound is that of the next one."""
    torch.set_num_threads(1)
    made = scene(seed)
    attacks = made.kind not in ("engine", "whoosh")
    return list(trials(made.clip, [scene(seed + 1).clip], str(seed), load_rater(rater_name), attacks))


def file_trials(path: Path, paths: Sequence[Path], rater_name: str) -> list[Trial | str]:
    """Return the trials of a file; the other sounds are those of all other files."""
    torch.set_num_threads(1)
    others = [Clip.open(p) for p in paths if p != path]
    return list(trials(Clip.open(path), others, str(path), load_rater(rater_name)))


def summarize(found: Iterable[Trial | str]) -> list[dict[str, object]]:
    """One row a defect and severity, then one a kind (all its defects pooled)."""
    found = list(found)
    none = [f for f in found if isinstance(f, str)]
    real = [f for f in found if isinstance(f, Trial)]
    rows = []
    for defect, severities in SEVERITIES.items():
        for severity in severities or (None,):
            name = defect if severity is None else f"{defect} {float(severity)}"
            rows.append(summary(name, [t for t in real if t.row == name], none.count(name)))
        if severities:
            rows[-1]["srcc"] = severity_correlation([t for t in real if t.defect == defect])
    if any(t.defect == NO_ATTACKS for t in real):
        rows.append(summary(NO_ATTACKS, [t for t in real if t.defect == NO_ATTACKS], 0))
    for kind, members in KINDS.items():
        inside = [t for t in real if t.row in members or t.defect in members]
        rows.append(summary(f"all: {kind}", inside, sum(n.split()[0] in members or n in members for n in none)))
    return rows


def summary(name: str, inside: Sequence[Trial], without_effect: int) -> dict[str, object]:
    """Shares in which the original is preferred; an equal score is not."""
    row: dict[str, object] = {"defect": name, "n": len(inside), "no effect": without_effect}
    for label, get in (("dimension", lambda t: t.fall), ("overall", lambda t: t.fall_overall)):
        wins = sum(get(t) > 0 for t in inside)
        row[label] = wins / len(inside) if inside else None
        row[f"{label} interval"] = wilson(wins, len(inside))
    return row


def severity_correlation(inside: Sequence[Trial]) -> float | None:
    """SRCC of severity with the fall of the score, 0 for the original, averaged over the clips."""
    order = {float(s): k for k, s in enumerate(SEVERITIES[inside[0].defect], 1)} if inside else {}
    each = []
    for clip in {t.clip for t in inside}:
        mine = [t for t in inside if t.clip == clip]
        if len(mine) >= 2:
            severity = [0.0] + [float(order[t.severity]) for t in mine if t.severity is not None]
            each.append(float(srcc(severity, [0.0] + [t.fall for t in mine])))
    return sum(each) / len(each) if each else None


def show(rows: Sequence[dict[str, object]], title: str) -> None:
    """Return the table, as Markdown that the README can hold."""
    print(f"| {title} | n | no effect | prefers original (dimension) | (overall) | SRCC with severity |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        cells = [str(row["defect"]), str(row["n"]), str(row["no effect"])]
        for label in ("dimension", "overall"):
            low, high = row[f"{label} interval"]  # type: ignore[misc]
            share = row[label]
            cells.append("–" if share is None else f"{share:.3f} ({low:.2f}–{high:.2f})")
        cells.append(f"{row['srcc']:.2f}" if row.get("srcc") is not None else "")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="clips with picture and sound")
    parser.add_argument("--scenes", type=int, default=0, help="how many held-out synthesized scenes")
    parser.add_argument("--rater", default="signals")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    if bool(arguments.files) == bool(arguments.scenes):
        parser.error("give files, or --scenes N")
    job: Callable[..., list[Trial | str]]
    if arguments.scenes:
        job = partial(scene_trials, rater_name=arguments.rater)
        items = list(range(HELD_OUT, HELD_OUT + arguments.scenes))
    else:
        job, items = partial(file_trials, paths=arguments.files, rater_name=arguments.rater), arguments.files
    found: list[Trial | str] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for some in track(pool.map(job, items), "defects", len(items), console=Console(file=sys.stderr)):
            found += some
    rows = summarize(found)
    show(rows, f"{len(items)} held-out scenes" if arguments.scenes else f"{len(items)} files")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
