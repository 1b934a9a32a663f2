"""Does gradient descent on the shift alone bring audio back into sync, by the soft offset of the rater `syncnet`?

    python benchmarks/avbench_offset.py [--train 64] [--steps 350] [--test 12]

The published weights are not at hand, so a SyncNet of the published architecture and few channels learns from synthetic
scenes of a talking face: each window of lips has to find its own window of speech among those of its scene. Then scenes
that it has not seen are put out of sync by a known shift of the whole waveform (a phase shift, so fractions of a sample
exist), and descent on the square of the soft offset moves that one number. The distance that is left is compared with
the distance at the start: the ratio's mean, with a percentile bootstrap over scenes, and the share of runs that end
within one video frame (40 ms), with a Wilson interval. The hard offset at the start and at the end stands beside it.
The last line is the gradient that reaches the samples of the waveform.

Whole frames are rated, as AVBench does it. All random choices are seeded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from medium_agav import machine
from torch import Tensor

from avreward import Clip
from avreward.datasets.synthetic._figures import voice
from avreward.datasets.synthetic._rendering import render
from avreward.datasets.synthetic._stage import Dice, Stage
from avreward.datasets.synthetic._synthesis import finish
from avreward.evaluation import wilson
from avreward.media._mfcc import RATE, mfcc
from avreward.raters import Work
from avreward.raters.avbench import SyncNet, SyncNetConfig, SyncNetRater

SMALL = SyncNetConfig((16, 24, 32, 32, 32, 64), (8, 16, 24, 24, 24, 64), 64, 64)
SECONDS = 4.0
SEGMENT = 60  # frames
HEIGHT = 72
STARTS = (-0.2, -0.1, 0.1, 0.2)
FRAME = 0.04
HELD_OUT = 10_000  # seeds of the scenes that the network has not seen


@dataclass(frozen=True)
class Seen:
    """A scene as the network sees and hears it: frames in 8 bits (n, 3, 224, 224), and the waveform (samples,)."""

    frames: Tensor
    wave: Tensor


def talking(seed: int) -> Clip:
    """Return a scene of a talking face, small, since the network squashes it, and at the network's own rates."""
    dice = Dice(seed, stream=1)
    stage = Stage(Dice(seed, stream=2), SECONDS, dice.uniform(1.0, 1.8), RATE, 25.0, 0.85)
    plot = voice(stage)
    audio = finish(Dice(seed, stream=3), plot.sound, RATE, 1)
    times = torch.arange(round(SECONDS * 25)) / 25
    video = render(Dice(seed, stream=4), stage, plot, HEIGHT, round(HEIGHT * stage.aspect), times)
    return Clip(video=video, fps=25, audio=audio, sample_rate=RATE)


def prepared(rater: SyncNetRater, seed: int) -> Seen:
    """Return one scene as the network sees and hears it."""
    sample = rater.load(talking(seed))
    (lips,) = sample.tracks["video"]
    return Seen(lips.frames.to(torch.uint8), sample.tracks["audio"])


def train(network: SyncNet, scenes: Sequence[Seen], steps: int, seed: int = 0) -> float:
    """Teach the network to find the speech of each window; return the mean loss of the last steps."""
    dice = torch.Generator().manual_seed(seed)
    network.train().requires_grad_(True)
    scale = torch.nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.AdamW([*network.parameters(), scale], 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    losses: list[float] = []
    for _ in range(steps):
        seen = scenes[int(torch.randint(len(scenes), (), generator=dice))]
        first = int(torch.randint(len(seen.frames) - SEGMENT + 1, (), generator=dice))
        part = seen.wave[first * RATE // 25 : (first + SEGMENT) * RATE // 25]
        level = float(torch.empty(1).uniform_(-1, 1, generator=dice).exp())
        speech = network.speech(mfcc(part * 32768 * level).float())
        lips = network.lips(seen.frames[first : first + SEGMENT].float())[: len(speech)]
        distances = torch.cdist(lips, speech[: len(lips)])
        target = torch.arange(len(distances))
        logits = -distances * scale
        loss = torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item() / 2)
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


def shifted(wave: Tensor, seconds: Tensor) -> Tensor:
    """Return the waveform (samples,) that much later, differentiably; its ends wrap around."""
    spectrum = torch.fft.rfft(wave.double())
    frequencies = torch.fft.rfftfreq(len(wave), 1 / RATE, dtype=torch.float64)
    turned = spectrum * torch.exp(-2j * torch.pi * frequencies * seconds.double())
    return torch.fft.irfft(turned, len(wave)).to(wave)


@dataclass(frozen=True)
class Run:
    """One descent: the shift at its start and end, and the hard offset there, all in seconds."""

    start: float
    end: float
    hard_start: float
    hard_end: float


def descended(rater: SyncNetRater, clip: Clip, start: float, steps: int = 40, rate: float = 0.1) -> Run:
    """Return where descent on the square of the soft offset leads from a shift of `start` seconds."""
    wave, video = clip.sound(RATE, 1)[0], Clip(video=clip.video, times=clip.times)
    shift, momentum, hard, work = torch.tensor(start), torch.zeros(()), [], Work()  # lips are encoded once
    for _ in range(steps + 1):
        shift.requires_grad_()
        moved = video.with_audio(shifted(wave, shift), RATE)
        scores = rater.rate([rater.load(moved, work)], work)
        (slope,) = torch.autograd.grad(scores["soft_offset"].square().sum(), shift)
        hard.append(float(scores["offset"].detach()))
        momentum = 0.8 * momentum + slope
        shift = (shift - rate * momentum).detach()
    return Run(start, float(shift), hard[0], hard[-1])


def report(runs: Sequence[Sequence[Run]], seconds: float) -> str:
    """Return the table; `runs`: for each scene those from every start."""
    lines = [
        "| start | distance left, of the start | ends within 40 ms | hard offset within 40 ms: at first | at last |",
        "|---:|---:|---:|---:|---:|",
    ]
    for column, start in enumerate(STARTS):
        own = [each[column] for each in runs]
        lines.append(f"| {start:+.1f} s | {_ratio([[run] for run in own])} | {_shares(own)} |")
    every = [run for each in runs for run in each]
    lines.append(f"| all | {_ratio(runs)} | {_shares(every)} |")
    return "\n".join([*lines, "", f"{len(runs)} scenes; {seconds:.2f} s of CPU time a descent"])


def _ratio(runs: Sequence[Sequence[Run]]) -> str:
    """Return the mean ratio of the distances after and before, with its interval over scenes."""
    each = torch.tensor([sum(abs(run.end) / abs(run.start) for run in own) / len(own) for own in runs])
    drawn = torch.randint(len(each), (2000, len(each)), generator=torch.Generator().manual_seed(0))
    low, high = each[drawn].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{float(each.mean()):.2f} ({low:.2f}–{high:.2f})"


def _shares(runs: Sequence[Run]) -> str:
    hits = ([abs(r.end) <= FRAME for r in runs], [abs(r.hard_start) <= FRAME for r in runs],
            [abs(r.hard_end) <= FRAME for r in runs])  # fmt: skip
    cells = []
    for hit in hits:
        low, high = wilson(sum(hit), len(hit))
        cells.append(f"{sum(hit) / len(hit):.2f} ({low:.2f}–{high:.2f})")
    return " | ".join(cells)


def main() -> None:
    """Train, descend, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=64, help="scenes")
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--test", type=int, default=12, help="scenes")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = SyncNet(SMALL)
    started, untrained = time.process_time(), SyncNetRater(network)
    loss = train(network, [prepared(untrained, seed) for seed in range(arguments.train)], arguments.steps)
    rater = SyncNetRater(network)
    print(f"{machine()}; trained on {arguments.train} scenes in {time.process_time() - started:.0f} s of CPU time: ")
    print(f"a cross-entropy of {loss:.2f}, {torch.tensor(SEGMENT - 4.0).log():.2f} by chance\n")
    started = time.process_time()
    runs = []
    for seed in range(HELD_OUT, HELD_OUT + arguments.test):
        clip = talking(seed)
        runs.append([descended(rater, clip, start) for start in STARTS])
    print(report(runs, (time.process_time() - started) / (arguments.test * len(STARTS))))
    clip = talking(HELD_OUT)
    wave = clip.sound(RATE, 1).requires_grad_()
    rater([Clip(video=clip.video, times=clip.times, audio=wave, sample_rate=RATE)])["soft_offset"].sum().backward()
    reached = (wave.grad != 0).double().mean()
    print(f"\nThe gradient reaches {100 * reached:.0f} % of the waveform's samples; its norm is {wave.grad.norm():.2g}")


if __name__ == "__main__":
    main()
