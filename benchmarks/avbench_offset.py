"""Does gradient descent on the shift alone bring audio back into sync, by the soft offset of the rater `syncnet`?

    python benchmarks/small_syncnet.py FOLDER
    python benchmarks/avbench_offset.py FOLDER [--scenes 24]

FOLDER holds SyncNet as `load_rater` reads it. Clips of 4 s of scenes with other seeds than those in training, whose
audio is up to 0.4 s early or late. Gradient descent moves one number, the shift, down the square of the soft offset
(`SyncNetRater.by_shift`): 30 steps at a rate of 0.2, each at most 40 ms, from no shift. *Left*: what remains of the
distance in ms, as the median over scenes, and as the mean with a bootstrap over scenes; *within 80 ms*: the share of
clips that end that near to sync, with a bootstrap over scenes, too. *Waveform*: the same descent by the gradient that
reaches the waveform. *Chance*: the video of another scene, so that there is nothing to find.

The last line is the soft offset itself: its slope over the shift, -1 if it is right, and where it sees sync (bias), as
means over scenes and standard deviations between them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from medium_agav import machine
from small_syncnet import FPS, SAMPLES, shifted, striking
from torch import Tensor

from avreward import Clip, load_rater
from avreward.media._mfcc import RATE
from avreward.raters.avbench import SyncNetRater
from avreward.raters.avbench._sync_offset import OffsetByShift

STARTS = (-0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4)
Offset = Callable[[Tensor], Tensor]
Lips = list[tuple[float, Tensor]]
WAYS = ("by_shift", "waveform", "chance")
NEAR = 0.08  # s
HELD_OUT = 10_000  # first seed of the scenes that the network has not seen
FRAMES, BEFORE = 100, 12  # of a clip, and how many of its scene come before it
STEPS, STEP, RATE_OF_DESCENT = 30, 0.04, 0.2


def descended(offset: Offset, steps: int = STEPS) -> float:
    """Return the shift in s at which descent on the square of `offset` ends that starts at 0."""
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(offset(shift) ** 2, shift)
        shift = (shift - (RATE_OF_DESCENT * slope).clamp(-STEP, STEP)).detach().requires_grad_()
    return float(shift.detach())


def seen(rater: SyncNetRater, scene: Clip) -> OffsetByShift:
    """Return the soft offset of four seconds of a scene of five by a shift; its audio is in sync."""
    audio = heard(scene, torch.zeros(()))[None] / 32768
    clip = Clip(video=scene.video[BEFORE : BEFORE + FRAMES], fps=FPS, audio=audio, sample_rate=RATE)
    return rater.by_shift(clip)


def heard(scene: Clip, late: Tensor) -> Tensor:
    """Return the audio of these four seconds, so many seconds late, in the units of 16-bit samples (samples,)."""
    start = BEFORE * SAMPLES
    return 32768 * shifted(scene.audio[0], late)[start : start + FRAMES * SAMPLES]


def ends(rater: SyncNetRater, seeds: Sequence[int], starts: Sequence[float] = STARTS) -> Tensor:
    """Return how late the audio is after descent (scenes, ways, starts), in s."""
    scenes = [striking(seed, 5.0) for seed in seeds]
    lips = [seen(rater, scene).lips for scene in scenes]
    rows = [
        [[late + descended(way(late)) for late in starts] for way in _ways(rater, scene, own, other)]
        for scene, own, other in zip(scenes, lips, [lips[-1], *lips], strict=False)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _ways(rater: SyncNetRater, scene: Clip, own: Lips, other: Lips) -> list[Callable[[float], Offset]]:
    """Return how to make, of audio that is so late, a soft offset to descend on: each of `WAYS`."""

    def of(lips: Lips, late: Tensor) -> OffsetByShift:
        return OffsetByShift(rater.module, lips, heard(scene, late), rater.temperature)

    def waveform(late: float) -> Offset:
        return lambda shift: of(own, shift + late)(torch.zeros(()))

    return [lambda late: of(own, torch.tensor(late)), waveform, lambda late: of(other, torch.tensor(late))]


@torch.no_grad()
def line_of(rater: SyncNetRater, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the slope of the soft offset over the lateness, and its value in sync: (scenes,) each."""
    late = torch.linspace(-0.3, 0.3, 13, dtype=torch.float64)
    slopes, biases = [], []
    for seed in seeds:
        scene = striking(seed, 5.0)
        found, led = seen(rater, scene), []
        for one in late:
            found.wave = heard(scene, one)
            led.append(found(torch.zeros(())).double())
        slopes.append((late * torch.stack(led)).sum() / late.square().sum())
        biases.append(led[len(late) // 2])
    return torch.stack(slopes), torch.stack(biases)


def report(found: Tensor, starts: Sequence[float] = STARTS) -> str:
    """Return the table of `ends`."""
    what = ("left, ms (median; mean)", "within 80 ms")
    titles = ["audio late by", *(f"{way}: {title}" for way in WAYS for title in what)]
    lines = [f"| {' | '.join(titles)} |", f"|{'---:|' * len(titles)}"]
    for start in (*starts, None):
        chosen = [i for i, one in enumerate(starts) if start in (None, one)]
        cells = []
        for way in range(len(WAYS)):
            left = found[:, way, chosen].abs()
            cells.append(f"{1000 * float(left.flatten().median()):.0f}; {interval(1000 * left.mean(1), 0)}")
            cells.append(interval((left <= NEAR).double().mean(1), 2))
        lines.append(f"| {'all' if start is None else f'{start:+g} s'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(each: Tensor, digits: int) -> str:
    """Return the mean of (scenes,) and its 95 % interval by a bootstrap over scenes."""
    drawn = torch.randint(len(each), (2000, len(each)), generator=torch.Generator().manual_seed(0))
    low, high = each[drawn].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=each.dtype)).tolist()
    return f"{float(each.mean()):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main() -> None:
    """Descend and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rater = load_rater(arguments.folder)
    assert isinstance(rater, SyncNetRater)
    seeds = range(HELD_OUT, HELD_OUT + arguments.scenes)
    started = time.process_time()
    print(f"{machine()}; {arguments.scenes} scenes\n\n{report(ends(rater, seeds))}\n")
    slopes, biases = line_of(rater, seeds)
    print(
        f"soft offset: slope {float(slopes.mean()):.2f} ± {float(slopes.std()):.2f}, "
        f"bias {1000 * float(biases.mean()):.0f} ± {1000 * float(biases.std()):.0f} ms; "
        f"{time.process_time() - started:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
