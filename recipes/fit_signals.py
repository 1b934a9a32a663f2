"""Fit the constants of the `signals` rater on synthesized scenes.

    python recipes/fit_signals.py --scenes 48 --jobs 2

Method. Scenes are synthesized (seeds from 0 on; the held-out benchmark and the demo use others) and each gets every
controlled defect of `avreward.datasets.synthetic._perturbations` at three severities, and those of `MORE` below, for
the measurements that the others leave alone (hum, exposure, dropped frames). Before the defects of `audio_quality` two
scenes in three get the ambience of a recording. A scene as it was made is to score 90 on every dimension, one with a
mild, medium or strong defect 70, 50 and 30 on the dimension concerned, one with a defect that has no severity 40. For
`dynamic_degree` the time stamps are stretched (×4 … ×1/2) and the score is to be the percentile among all of these. A
clip whose sound is 48 ms late or 40 ms early, which people do not notice, is to keep its `av_consistency`. Each
measurement's weight and reference are fitted by gradient descent on the Huber loss to those targets plus a logistic
loss that wants every defect to lower the score of its own scene; its scale is the spread over clean scenes. No real
clip is involved. The result is ``src/avreward/raters/signals/fusion.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor
from torch.nn.functional import huber_loss, softplus

from avreward import Clip
from avreward.datasets import PERTURBATIONS, scene
from avreward.datasets.synthetic._perturb_video import frozen_order
from avreward.datasets.synthetic._stage import Dice
from avreward.datasets.synthetic._synthesis import coloured_noise, loudness
from avreward.raters import SignalsRater, Work
from avreward.raters.signals._fusion import DIMENSIONS, Fusion, badness
from avreward.raters.signals._measurement import MEASUREMENTS, Measurement, feeding

TARGETS = (90.0, 70.0, 50.0, 30.0)  # as made, mild, medium, strong
UNGRADED = 40.0  # a defect without severity
SPEEDS = (0.25, 0.5, 1.0, 2.0)
LEAST = 0.02  # a measurement that these scenes hardly need still counts a little on clips unlike them
STEEPEST = 0.2  # of a figure's spread: no penalty sets in within less, or what nobody hears would move it
STEEPEST_OF = {"audio_quality": 0.5, "spectral_flatness": 0.25, "frozen": 0.4}  # a dimension's, or a measurement's own
UNNOTICED = (0.048, -0.04)  # s that sound may be late or early: a codec's padding, and what people do not notice
STEADY = 0.07  # how much it counts that such a copy has the score of the clip
AMBIENCE = (10.0, 40.0)  # dB under the loudness of the scene
COLOUR = (0.8, 2.4)  # power of the ambience falls with the frequency to this power
# Weight, reference and scale of what no defect of these scenes changes: a pause is dead or not in any of them.
GIVEN = {"silence": (0.1, 25.0, 25.0)}
CLEAN_APART = ("audio_quality", "dynamic_degree")  # have clean clips of their own
STEPS = 3000
OUT = Path(__file__).parents[1] / "src/avreward/raters/signals/fusion.json"


@dataclass(frozen=True)
class Row:
    """One measured clip: a scene, its defect, the dimension concerned, the target there, the figures, how late in s."""

    seed: int
    defect: str
    dimension: str | None
    target: float
    values: dict[str, float]
    late: float = 0.0


def humming(clip: Clip, level: float, seed: int) -> Clip:
    """Steady lines at multiples of 50 or 60 Hz, `level` dB against the sound."""
    rate, audio = clip.sample_rate, clip.audio
    time = torch.arange(audio.shape[-1], dtype=torch.float64) / rate
    mains = 50 + 10 * (seed % 2)
    lines = sum(torch.sin(2 * torch.pi * mains * k * time + k) / k for k in range(1, 9)).to(audio)
    gain = 10 ** (level / 20) * audio.square().mean().sqrt() / lines.square().mean().sqrt()
    return clip.with_audio((audio + gain * lines).clamp(-1, 1), rate)


def with_ambience(clip: Clip, seed: int) -> Clip:
    """Lay coloured noise, pink to brown, under the sound of two scenes in three: recordings have 10 to 40 dB of it.

    Scenes as they are made are quieter between their events than any real recording.
    """
    if seed % 3 == 2:
        return clip
    dice, audio = Dice(seed, stream=77), clip.sound()
    level = loudness(audio, clip.sample_rate) - dice.uniform(*AMBIENCE)
    noise = coloured_noise(dice, len(audio), audio.shape[-1], clip.sample_rate, dice.uniform(*COLOUR))
    mixed = audio + 10 ** (level / 20) * noise
    return clip.with_audio(mixed / mixed.abs().max().clamp_min(1.0), clip.sample_rate)


def delayed(clip: Clip, seconds: float) -> Clip:
    """Return the clip with its sound later by `seconds`, after zeros; earlier, cut, if they are negative."""
    audio, samples = clip.sound(), round(seconds * clip.sample_rate)
    return clip.with_audio(torch.nn.functional.pad(audio, (samples, 0)), clip.sample_rate)


def exposed(clip: Clip, stops: float, seed: int) -> Clip:
    """Under- or over-exposed (by the seed) by so many stops."""
    gain = 2 ** (stops if seed % 2 else -stops)
    return Clip(video=(clip.video * gain).clamp(0, 1), times=clip.times)


def dropped(clip: Clip, share: float, seed: int) -> Clip:
    """Drop runs of frames; the time stamps of the others stay."""
    order = frozen_order(clip.times, share, torch.Generator().manual_seed(seed))
    kept = order.unique()
    return Clip(video=clip.video[kept], times=clip.times[kept])


MORE: dict[str, tuple[str, tuple[float, float, float], Callable[[Clip, float, int], Clip]]] = {
    "hum": ("audio_quality", (-20.0, -10.0, 0.0), humming),
    "exposure": ("static_quality", (1.5, 2.5, 3.5), exposed),
    "dropped frames": ("temporal_smoothness", (0.1, 0.25, 0.5), dropped),
}


def variants(seed: int, severities: Sequence[int]) -> Iterator[tuple[str, str | None, float, Clip]]:
    """Return a scene and its defects: (name, dimension concerned, target, clip)."""
    original = scene(seed).clip
    recorded = with_ambience(original, seed)
    other = scene(seed + 50_000).clip
    yield "none", None, TARGETS[0], original
    yield "none", "audio_quality", TARGETS[0], recorded
    for name, defect in PERTURBATIONS.items():
        clip = recorded if defect.dimension == "audio_quality" else original
        if not defect.severities:
            yield name, defect.dimension, UNGRADED, defect.apply(clip, seed=seed, other=other)
        for k in severities if defect.severities else ():
            yield name, defect.dimension, TARGETS[k + 1], defect.apply(clip, defect.severities[k], seed=seed)
    for name, (dimension, levels, work) in MORE.items():
        for k in severities:
            clip = recorded if dimension == "audio_quality" else original
            yield name, dimension, TARGETS[k + 1], work(clip, levels[k], seed)
    for speed in SPEEDS:
        times = original.times / speed
        yield f"speed {speed}", "dynamic_degree", float("nan"), Clip(video=original.video, times=times)


def measure(seed: int, severities: Sequence[int] = (0, 1, 2)) -> list[Row]:
    """All figures of a scene and its defects."""
    torch.set_num_threads(1)
    rater, work = SignalsRater(Fusion({}, {})), Work()
    rows = []
    for name, dimension, target, clip in variants(seed, severities):
        copies = [(0.0, dimension, clip)]
        if dimension in (None, "av_consistency"):
            copies += [(late, "av_consistency", delayed(clip, late)) for late in UNNOTICED]
        for late, concerned, copy in copies:
            values, _ = rater.measure(rater.load(copy, work), work)
            rows.append(Row(seed, name, concerned, target, {k: float(v) for k, v in values.items()}, late))
    return rows


def fit(rows: Sequence[Row]) -> dict:
    """Return the constants, in the layout of ``fusion.json``."""
    constants: dict[str, dict[str, float]] = {}
    for dimension in DIMENSIONS:
        constants |= fit_dimension(dimension, rows)
    overall = fit_overall(constants, rows)
    return {"measurements": constants, "overall": overall}


def fit_dimension(dimension: str, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Weight, reference and scale of each measurement that feeds `dimension`."""
    parts = feeding(dimension)
    chosen = [r for r in rows if r.dimension == dimension or (r.dimension is None and dimension not in CLEAN_APART)]
    chosen = [r for r in chosen if all(m.name in r.values for m in parts)]
    chosen, late = [r for r in chosen if not r.late], [r for r in chosen if r.late]
    table, late_table = (torch.stack([_badness(m.name, some) for m in parts], 1) for some in (chosen, late))
    target, better, worse = _targets(dimension, chosen, table)
    place = {(r.seed, r.defect, r.target): i for i, r in enumerate(chosen)}
    as_good = [place[r.seed, r.defect, r.target] for r in late]
    clean = [i for i, r in enumerate(chosen) if r.defect in ("none", "speed 1.0")]
    # one clean clip for many with defects: it counts as much as a quarter of them
    importance = 1 + torch.tensor([len(chosen) / (4 * len(clean)) * (r.defect == "none") for r in chosen])

    def loss(score: Tensor, late_score: Tensor) -> Tensor:
        total = (importance * huber_loss(score / 10, target / 10, reduction="none")).mean()
        if better:
            total = total + 6 * softplus(-(score[better] - score[worse]) / 2).mean()
        if late:
            total = total + STEADY * ((late_score - score[as_good]) / 2).pow(4).mean() * len(UNNOTICED)
        return total

    weight, shift, width = descend(parts, table, late_table, table[clean].quantile(0.8, 0), loss)
    return {
        m.name: {"weight": _short(weight[i]), "reference": _short(shift[i]), "scale": _short(width[i])}
        for i, m in enumerate(parts)
    }


def descend(
    parts: Sequence[Measurement], table: Tensor, late: Tensor, start: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return weights, references and scales (3, measurements) of the least `loss`, by gradient descent.

    Args:
        parts: the measurements.
        table: their badness (clips, measurements).
        late: that of clips whose sound is a little late or early.
        start: the first references (measurements,).
        loss: of the scores of both.
    """
    spread = table.std(0) + 1e-2
    raw = torch.full((len(parts),), -1.0, dtype=torch.float64, requires_grad=True)
    scale = (table.std(0) / 2 + 1e-2).log().requires_grad_()
    reference = start.clone().requires_grad_()
    usual = STEEPEST_OF.get(str(parts[0].feeds), STEEPEST)
    least = torch.tensor([STEEPEST_OF.get(m.name, usual) for m in parts], dtype=torch.float64) * spread
    given = torch.tensor([GIVEN.get(m.name, (float("nan"),) * 3) for m in parts], dtype=torch.float64).T
    optimizer = torch.optim.Adam(
        [{"params": [raw], "lr": 0.05}, {"params": [scale], "lr": 0.02}, {"params": [reference], "lr": 0.02}]
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)

    def constants() -> Tensor:
        free = torch.stack([softplus(raw) + LEAST, reference, least + scale.exp()])
        return torch.where(given.isnan(), free, given)

    for _ in range(STEPS):
        weight, at, width = constants()
        scores = [100 / (1 + (weight * softplus((some - at) / width)).sum(1)) for some in (table, late)]
        # evenly spread where the scenes don't care, and no step so sharp that clips unlike them fall off it
        slope = weight * spread / width
        total = loss(*scores) + 0.02 * (slope - slope.mean()).square().mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    return constants().detach()


def _targets(dimension: str, rows: Sequence[Row], table: Tensor) -> tuple[Tensor, list[int], list[int]]:
    """Return the target of each row, and pairs of rows of one scene: better and worse.

    The original is better than every defect, and a defect better than the same one at the next severity.
    """
    if dimension == "dynamic_degree":
        order = table[:, 0].argsort(descending=True).argsort().double()
        return 100 * (order + 0.5) / len(rows), [], []
    made = {(r.seed, r.dimension == "audio_quality"): i for i, r in enumerate(rows) if r.defect == "none"}
    place = {(r.seed, r.defect, r.target): i for i, r in enumerate(rows)}
    pairs = [(made[r.seed, r.dimension == "audio_quality"], i) for i, r in enumerate(rows) if r.defect != "none"]
    pairs += [
        (place[key], i)
        for i, r in enumerate(rows)
        if r.defect != "none" and (key := (r.seed, r.defect, r.target + 20)) in place
    ]
    target = torch.tensor([r.target for r in rows], dtype=torch.float64)
    return target, [first for first, _ in pairs], [second for _, second in pairs]


def fit_overall(constants: dict[str, dict[str, float]], rows: Sequence[Row]) -> dict[str, float]:
    """Return the dimensions' weights in `overall`, so that every defect lowers it; `dynamic_degree` has none."""
    fusion = Fusion.from_dict({"measurements": constants, "overall": {}})
    quality = [d for d in DIMENSIONS if d != "dynamic_degree"]
    chosen = [r for r in rows if r.dimension != "dynamic_degree" and "av_offset" in r.values and not r.late]
    values = [{k: torch.tensor(v, dtype=torch.float64) for k, v in r.values.items()} for r in chosen]
    penalties = torch.stack([torch.stack([100 / fusion.fuse(v)[0][d] - 1 for d in quality]) for v in values])
    _, better, worse = _targets("overall", chosen, penalties)
    of = [chosen[i].dimension for i in worse]
    share = torch.tensor([1 / of.count(d) / len(quality) for d in of])  # each dimension's defects count the same
    raw = torch.zeros(len(quality), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.03)
    for _ in range(STEPS):
        weight = torch.softmax(raw, 0)
        score = 100 / (1 + penalties @ weight)
        loss = (share * softplus(-(score[better] - score[worse]) / 3)).sum()
        loss = loss + 0.01 * (weight - 0.25).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weights = torch.softmax(raw, 0)
    return {name: _short(w) for name, w in zip(quality, weights, strict=True)}


def _badness(name: str, rows: Sequence[Row]) -> Tensor:
    measurement = next(m for m in MEASUREMENTS if m.name == name)
    return badness(measurement, torch.tensor([r.values[name] for r in rows], dtype=torch.float64))


def _short(x: Tensor) -> float:
    return float(f"{float(x.detach()):.5g}")


def measure_all(scenes: int, jobs: int, cache: Path | None) -> list[Row]:
    """Figures of the scenes 0 … `scenes` − 1; those in `cache` (JSON lines) are not measured again."""
    known = [Row(**json.loads(line)) for line in cache.read_text().splitlines()] if cache and cache.exists() else []
    done = {r.seed for r in known}
    todo = [s for s in range(scenes) if s not in done]
    with ProcessPoolExecutor(jobs) as pool:
        for rows in track(pool.map(measure, todo), "measuring scenes", total=len(todo)):
            known += rows
            if cache:
                with cache.open("a") as file:
                    file.writelines(json.dumps(vars(r)) + "\n" for r in rows)
    return [r for r in known if r.seed < scenes]


def main() -> None:
    """Measures, fits, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="keep the figures in this file, and go on from it")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    fitted = fit(measure_all(arguments.scenes, arguments.jobs, arguments.cache))
    fitted["made_by"] = f"recipes/fit_signals.py --scenes {arguments.scenes}"
    arguments.out.write_text(json.dumps(fitted, indent=1, sort_keys=True) + "\n")
    print(json.dumps(fitted, indent=1))


if __name__ == "__main__":
    main()
