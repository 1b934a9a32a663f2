"""Whether an attribution finds the moment or the region of a defect, beside chance.

    python benchmarks/attribution.py --scenes 16

Each held-out synthesized scene gets each defect once, at a random place. The attribution of the dimension that the
defect concerns is a hit where its peak is at the defect: the middle of the moment within 0.25 s of it, the middle of
the block inside the blurred quarter. The peak is looked for on the side to which the defect moved the score: where a
rater takes the defect for an improvement, the attribution has to show that. A defect that moves the score by less than
a point is not seen by the rater, so that no attribution can find it; "of those seen" leaves it out. Chance is the share
of all moments or blocks that would be hits. Intervals are Wilson's 95 %; those over all defects have the effective
number of trials of scenes as clusters.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from avreward import Clip, load_rater
from avreward.audit import Attribution, attribute
from avreward.audit.attribution import METHODS
from avreward.datasets import Scene, scene
from avreward.datasets.synthetic._blur import gaussian_blur
from avreward.datasets.synthetic._perturbations import with_video
from avreward.evaluation import wilson

FIRST_SCENE = 970_000  # nothing was fitted or chosen with these seeds
HITS = ("strike", "keys", "steps")  # kinds of scenes whose sound is single hits
NEAR = 0.25  # s
SEEN = 1.0  # points
FREEZE, BURST, GAP = 1.0, 0.3, 0.6  # s
SIGMA = 8.0  # pixels of a frame 480 high
SECONDS = {"blurred quarter": 1.0}  # of the scenes; a region has no moment, and few frames are rated faster
LOUD = 2.0  # amplitude of the burst over that of the loudest 50 ms
DIMENSIONS = {
    "frozen": ("temporal_smoothness", "video"),
    "dropped hit": ("av_consistency", "video"),
    "burst of noise": ("audio_quality", "audio"),
    "blurred quarter": ("static_quality", "frame"),
}
NAMES = {
    "frozen": "1 s frozen",
    "dropped hit": "a dropped hit",
    "burst of noise": "a burst of noise",
    "blurred quarter": "a blurred quarter",
}


@dataclass(frozen=True)
class Defect:
    """A clip with a defect, and where it is: (from, to) in s, or (top, left, bottom, right)."""

    clip: Clip
    place: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """One defect of one scene under one method."""

    defect: str
    method: str
    seed: int
    moved: float
    hit: bool
    chance: float

    @property
    def seen(self) -> bool:
        """Whether the rater reacts to the defect."""
        return abs(self.moved) >= SEEN


def frozen(made: Scene, dice: torch.Generator) -> Defect:
    """Hold a frame for a second."""
    clip = made.clip
    start = float(torch.rand((), generator=dice)) * (clip.ends["video"] - FREEZE)
    first = int((clip.times >= start).nonzero()[0])
    begin = float(clip.times[first])
    held = (clip.times >= begin) & (clip.times < begin + FREEZE)
    video = clip.video.clone()
    video[held] = video[first].clone()
    return Defect(with_video(clip, video), (begin, begin + FREEZE))


def dropped_hit(made: Scene, dice: torch.Generator) -> Defect | None:
    """Silence one hit, until the next or for 0.6 s; `None` if there is none that can be told from its neighbours."""
    clip, rate = made.clip, made.clip.sample_rate
    ends = [*made.events[1:], clip.seconds]
    apart = [
        (time, following)
        for before, time, following in zip((-1.0, *made.events), made.events, ends, strict=False)
        if time - before > NEAR and following - time > NEAR and 0.3 < time < clip.seconds - 0.3
    ]
    if not apart:
        return None
    time, following = apart[int(torch.randint(len(apart), (), generator=dice))]
    first, end = round((time - 0.03) * rate), round(min(following - 0.03, time + GAP) * rate)
    gain = torch.ones(clip.sound().shape[-1])
    gain[first:end] = 0.003
    fade = round(0.01 * rate)
    gain = torch.nn.functional.avg_pool1d(gain[None, None], 2 * fade + 1, 1, fade, count_include_pad=False)[0, 0]
    return Defect(clip.with_audio(clip.sound() * gain, rate), (time, time))


def burst(made: Scene, dice: torch.Generator) -> Defect:
    """Add 0.3 s of white noise, 6 dB over the loudest 50 ms."""
    clip, rate = made.clip, made.clip.sample_rate
    start = float(torch.rand((), generator=dice)) * (clip.ends["audio"] - BURST)
    audio, size = clip.sound().clone(), round(0.05 * rate)
    power = audio.square().mean(0)
    loudest = power[: len(power) // size * size].reshape(-1, size).mean(1).max()
    part = audio[:, round(start * rate) : round((start + BURST) * rate)]
    part += LOUD * loudest.sqrt() * torch.randn(part.shape, generator=dice)
    return Defect(clip.with_audio(audio / audio.abs().max().clamp_min(1.0), rate), (start, start + BURST))


def blurred_quarter(made: Scene, dice: torch.Generator) -> Defect:
    """Blur that quarter of the frame which has most detail."""
    clip = made.clip
    height, width = clip.height // 2, clip.width // 2
    quarters = [(row * height, column * width) for row in (0, 1) for column in (0, 1)]
    video = clip.video.clone()
    detail = [float(_detail(video[..., y : y + height, x : x + width])) for y, x in quarters]
    top, left = quarters[max(range(4), key=lambda k: detail[k])]
    for frame in video:
        soft = gaussian_blur(frame, SIGMA * clip.height / 480)[:, top : top + height, left : left + width]
        frame[:, top : top + height, left : left + width] = soft.clamp(0, 1).mul(255).round().div(255)
    place = (top / clip.height, left / clip.width, (top + height) / clip.height, (left + width) / clip.width)
    return Defect(with_video(clip, video), place)


def _detail(video: Tensor) -> Tensor:
    return video.diff(dim=-1).square().mean() + video.diff(dim=-2).square().mean()


MAKERS: dict[str, Callable[[Scene, torch.Generator], Defect | None]] = {
    "frozen": frozen,
    "dropped hit": dropped_hit,
    "burst of noise": burst,
    "blurred quarter": blurred_quarter,
}


def judged(found: Attribution, part: str, moved: float, place: Sequence[float]) -> tuple[bool, float]:
    """Return whether the peak is at the defect, and the share of moments or blocks that would be."""
    if part == "frame":
        assert found.regions is not None
        effects = found.regions.flat
        boxes = [found.regions.box(i) for i in range(len(effects))]
        right = [_inside((a + c) / 2, (b + d) / 2, place) for a, b, c, d in boxes]
    else:
        moments = found.moments[part]
        effects = moments.effect
        middles = [(a + b) / 2 for a, b in zip(moments.start, moments.stop, strict=True)]
        right = [place[0] - NEAR <= middle <= place[1] + NEAR for middle in middles]
    side = -1 if moved < 0 else 1
    peak = max(range(len(effects)), key=lambda i: -math.inf if effects[i] is None else side * effects[i])
    return right[peak], sum(right) / len(right)


def _inside(down: float, across: float, box: Sequence[float]) -> bool:
    return box[0] <= down <= box[2] and box[1] <= across <= box[3]


def trials_of(seed: int, rater_name: str, defects: Sequence[str], methods: Sequence[str]) -> list[Trial]:
    """Return the trials of one scene."""
    torch.set_num_threads(1)
    return list(_trials(seed, rater_name, defects, methods))


def _trials(seed: int, rater_name: str, defects: Sequence[str], methods: Sequence[str]) -> Iterator[Trial]:
    rater = load_rater(rater_name)
    for defect in defects:
        made = scene(seed, HITS[seed % len(HITS)] if defect == "dropped hit" else None, SECONDS.get(defect, 4.0))
        dice = torch.Generator().manual_seed(seed)
        injected = MAKERS[defect](made, dice)
        if injected is None:
            continue
        dimension, part = DIMENSIONS[defect]
        reward = rater[dimension]
        with torch.no_grad():
            before, after = reward([made.clip, injected.clip]).tolist()
        done: dict[str, Trial] = {}
        for method in methods:
            # the two parts that "mixed" is made of need not be looked for twice
            way = ("alone" if part == "frame" else "occlusion") if method == "mixed" else method
            if way not in done:
                # video and audio are cut together
                looked_at = "clip" if way == "alone" and dimension == "av_consistency" else part
                found = attribute(reward, injected.clip, way, parts=[looked_at])  # type: ignore[arg-type]
                hit, chance = judged(found, looked_at, after - before, injected.place)
                done[way] = Trial(defect, way, seed, after - before, hit, chance)
            yield replace(done[way], method=method)


def clustered(trials: Sequence[Trial]) -> tuple[float, tuple[float, float]]:
    """Return the share of hits and its interval, with scenes as clusters."""
    share = sum(t.hit for t in trials) / len(trials)
    left = [sum(t.hit - share for t in trials if t.seed == seed) for seed in {t.seed for t in trials}]
    variance = sum(x * x for x in left) / len(trials) ** 2
    usual = share * (1 - share) / len(trials)
    trial_count = len(trials) * (min(1.0, usual / variance) if variance > 0 else 1.0)
    return share, wilson(share * trial_count, trial_count)


def rows_of(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """Return a row for each defect and one over all."""
    rows = []
    for defect in [*(d for d in DIMENSIONS if any(t.defect == d for t in trials)), "all"]:
        own = [t for t in trials if defect in (t.defect, "all")]
        row: dict[str, object] = {"defect": NAMES.get(defect, "all four"), "n": len({(t.seed, t.defect) for t in own})}
        row["seen"] = len({(t.seed, t.defect) for t in own if t.seen})
        seen = [t for t in own if t.seen]
        row["chance"] = sum(t.chance for t in seen) / len(seen) if seen else math.nan
        for method in METHODS:
            for label, some in (("seen", seen), ("all", own)):
                of = [t for t in some if t.method == method]
                row[f"{method} {label}"] = clustered(of) if of else None
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, object]], title: str) -> None:
    """Print the table as Markdown."""
    columns = [f"{method}, of {some}" for some in ("those seen", "all") for method in METHODS]
    print(f"| {title} | n | seen | chance | {' | '.join(columns)} |")
    print("|---" * (4 + len(columns)) + "|")
    for row in rows:
        cells = [str(row["defect"]), str(row["n"]), str(row["seen"]), f"{row['chance']:.2f}"]
        for label in ("seen", "all"):
            for method in METHODS:
                found = row[f"{method} {label}"]
                cells.append("–" if found is None else f"{found[0]:.2f} ({found[1][0]:.2f}–{found[1][1]:.2f})")  # type: ignore[index]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--first", type=int, default=FIRST_SCENE, help="seed of the first scene")
    parser.add_argument("--rater", default="signals")
    parser.add_argument("--defects", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the trials here")
    arguments = parser.parse_args()
    job = partial(trials_of, rater_name=arguments.rater, defects=arguments.defects, methods=arguments.methods)
    seeds = range(arguments.first, arguments.first + arguments.scenes)
    found: list[Trial] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for some in track(pool.map(job, seeds), "scenes", len(seeds), console=Console(file=sys.stderr)):
            found += some
    show(rows_of(found), f"{arguments.rater}, {arguments.scenes} scenes")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(trial) for trial in found], indent=1))


if __name__ == "__main__":
    main()
