"""How far edits that nobody hears or sees move a rater's scores: its stability certificate.

    python benchmarks/stability.py CLIPS/*.mp4
    python benchmarks/stability.py CLIPS/*.mp4 --rater agav:FOLDER --json stability.json --csv stability.csv

Each clip gets each edit of `stability_edits.EDITS`: padding at the ends of the audio, 1 dB of gain, a DC offset,
resampling, AAC at 256 kbit/s, one frame fewer, a pixel cropped, two pixels of letterbox, 10 instead of 8 bits, another
container. Shown is the largest move of each dimension, in points of 100 of its range, and which edit and clip it was.
For `signals` also by measurement: how far the dimension would move if that measurement alone had moved. A video of
more than `--seconds` is cut, and one larger than `--side` is scaled down first.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from stability_edits import BY_NAME, EDITS

from avreward import Clip, load_rater
from avreward.media.sampling import AllFrames, FramePlan
from avreward.raters import Rater, Work
from avreward.raters.signals._measurement import MEASUREMENTS


@dataclass(frozen=True)
class Move:
    """How far one edit moved one score of one clip, in points; `measurement` is empty for the whole dimension."""

    clip: str
    edit: str
    dimension: str
    measurement: str
    points: float


def decoded(path: Path, seconds: float, side: int) -> Clip:
    """Return the clip with its tracks in memory, cut to `seconds`; a smaller video takes less of it."""
    clip = Clip.open(path)
    made = None
    if clip.has_video:
        kept = clip.times < seconds
        frames = clip.frames(FramePlan(AllFrames(), max_side=side))[kept]
        made = Clip(video=frames, times=clip.times[kept])
    if not clip.has_audio:
        assert made is not None
        return made
    sound = clip.sound()[:, : round(seconds * clip.sample_rate)].clone()
    return made.with_audio(sound, clip.sample_rate) if made else Clip(audio=sound, sample_rate=clip.sample_rate)


def scored(rater: Rater, clip: Clip, work: Work) -> dict[str, float]:
    """Return the scores that the clip has, name → value."""
    scores = rater.rate([rater.load(clip, work)], work)
    values, present = scores.values[0].detach().double(), scores.present[0]
    return {name: float(values[k]) for k, name in enumerate(scores.names) if present[k]}


def moves(path: Path, rater_name: str, seconds: float, side: int, edits: Sequence[str] = ()) -> list[Move]:
    """Return the moves of all scores of one clip by all edits, or by those that are named."""
    torch.set_num_threads(1)
    rater, work = load_rater(rater_name), Work()
    clip, name = decoded(path, seconds, side), "/".join(path.parts[-3:])
    before, found = scored(rater, clip, work), []
    for edit in [BY_NAME[one] for one in edits] or EDITS:
        changed = edit.apply(clip, path)
        if changed is not None:  # a file is compared with its copy, both as they are
            first = scored(rater, Clip.open(path), work) if edit.track == "file" else before
            found += compared(rater, name, edit.name, first, scored(rater, changed, work))
    return found


def compared(
    rater: Rater, clip: str, edit: str, before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[Move]:
    """Yield the move of each dimension, and for `signals` that by each measurement alone."""
    for dimension in rater.dimensions:
        name = dimension.name
        if dimension.detail or name not in before:
            continue
        if name not in after:
            print(f"{clip}: {edit}: no {name} any more", file=sys.stderr)
            continue
        points = 100 / (dimension.high - dimension.low)
        yield Move(clip, edit, name, "", points * (after[name] - before[name]))
    if rater.name != "signals":
        return
    values = {k: torch.tensor(v, dtype=torch.float64) for k, v in before.items()}
    fused, _ = rater.fusion.fuse(values)
    for m in MEASUREMENTS:
        if m.feeds in fused and m.name in after:
            alone, _ = rater.fusion.fuse({**values, m.name: values[m.name].new_tensor(after[m.name])})
            yield Move(clip, edit, m.feeds, m.name, float(alone[m.feeds] - fused[m.feeds]))


def worst(found: Sequence[Move]) -> list[dict[str, object]]:
    """Return the largest move of each dimension and measurement, and how many clips each row has."""
    rows = []
    for dimension, measurement in dict.fromkeys((m.dimension, m.measurement) for m in found):
        mine = [m for m in found if (m.dimension, m.measurement) == (dimension, measurement)]
        most = max(mine, key=lambda m: abs(m.points))
        rows.append(asdict(most) | {"clips": len({m.clip for m in mine})})
    return sorted(rows, key=lambda row: (str(row["dimension"]), bool(row["measurement"])))


def by_edit(found: Sequence[Move]) -> list[dict[str, object]]:
    """Return the largest move of each dimension by each edit."""
    whole = [m for m in found if not m.measurement]
    rows = []
    for edit in dict.fromkeys(m.edit for m in whole):
        mine = [m for m in whole if m.edit == edit]
        most = {d: max((m.points for m in mine if m.dimension == d), key=abs) for d in {m.dimension for m in mine}}
        rows.append({"edit": edit, "clips": len({m.clip for m in mine}), **most})
    return rows


def show(found: Sequence[Move], bound: float) -> None:
    """Print both tables as Markdown."""
    print("| dimension | measurement | worst case | by | clips |\n|---|---|---|---|---|")
    for row in worst(found):
        beyond = " **over**" if abs(float(str(row["points"]))) > bound else ""
        cells = (row["dimension"], row["measurement"] or "*all*", f"{row['points']:+.2f}{beyond}", row["edit"])
        print("| " + " | ".join(map(str, cells)) + f" | {row['clips']} |")
    dimensions = list(dict.fromkeys(m.dimension for m in found))
    print("\n| edit | clips | " + " | ".join(dimensions) + " |\n" + "|---" * (len(dimensions) + 2) + "|")
    for row in by_edit(found):
        moved = [f"{row[d]:+.2f}" if d in row else "–" for d in dimensions]
        print(f"| {row['edit']} | {row['clips']} | " + " | ".join(moved) + " |")


def main() -> int:
    """Run the benchmark; exit status 1 if a score moved by more than `--bound`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="clips with video, audio, or both")
    parser.add_argument("--rater", default="signals")
    parser.add_argument("--bound", type=float, default=2.0, help="points that an edit may move a dimension by")
    parser.add_argument("--seconds", type=float, default=5.0, help="how much of each clip is edited")
    parser.add_argument("--side", type=int, default=854, help="longer side of the video in pixels")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--edit", action="append", choices=list(BY_NAME), default=[], help="only this one; repeatable")
    parser.add_argument("--json", type=Path, help="also write every move here")
    parser.add_argument("--csv", type=Path, help="also write every move here")
    arguments = parser.parse_args()
    job = partial(
        moves, rater_name=arguments.rater, seconds=arguments.seconds, side=arguments.side, edits=arguments.edit
    )
    found: list[Move] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        done = pool.map(job, arguments.files)
        for some in track(done, "editing", len(arguments.files), console=Console(file=sys.stderr)):
            found += some
    show(found, arguments.bound)
    rows = [asdict(move) for move in found]
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return int(any(abs(move.points) > arguments.bound for move in found))


if __name__ == "__main__":
    sys.exit(main())
