"""Does gradient descent on the shift alone bring audio back into sync, by the soft offset of the rater `syncnet`?

    python benchmarks/avbench_offset.py [--train 24] [--steps 120] [--test 6] [--landscape FILE.png]

SyncNet's published weights are not at hand, so a SyncNet of the published architecture and few channels learns from
synthetic scenes in which a stick strikes an object. It sees 2.4 s of a scene whose audio is moved by up to 0.4 s,
fractions of a frame included, and learns where the audio belongs: cross-entropy over the 31 shifts against a bell
around the true one, whose width makes the distance rise evenly to both sides. The first layer of its lip tower keeps
random filters that sum to zero over time: they see motion alone, and their output is computed once.

Then scenes of other seeds are put out of sync by a known shift of the whole waveform (a phase shift, whose ends wrap
around), and Adam moves that one number down the square of the soft offset, with steps that shrink from 20 ms to none.
*Within 40 ms*: the share of runs that end within one video frame of the truth, with a Wilson interval over runs;
*left*: what is left of the distance at the start, as a mean over runs with a bootstrap over scenes; *control*: the same
audio under the video of another scene, so that there is nothing to find. All random choices are seeded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from medium_agav import machine
from torch import Tensor

from avreward import Clip
from avreward.datasets.synthetic._impacts import strike
from avreward.datasets.synthetic._rendering import render
from avreward.datasets.synthetic._stage import Dice, Stage
from avreward.datasets.synthetic._synthesis import finish
from avreward.evaluation import wilson
from avreward.media._mfcc import RATE, mfcc
from avreward.raters.avbench import SyncNet, SyncNetConfig, SyncNetRater
from avreward.raters.avbench._sync_offset import SHIFTS, Synchrony, synchrony

SMALL = SyncNetConfig((8, 12, 16, 16, 16, 32), (8, 12, 16, 16, 16, 32), 48, 32)
SECONDS, FPS, HEIGHT = 4.0, 25, 80
SAMPLES = RATE // FPS  # of one frame
WINDOWS = 55  # of a training example
BELL = 1.5  # frames: standard deviation of the target over the shifts
STARTS = (-0.3, -0.2, -0.1, 0.1, 0.2, 0.3)
NEAR = 0.04  # s
SMOOTH = 0.03  # s
TEMPERATURE = 0.5  # of the soft offset: the rater's own
HELD_OUT = 10_000  # first seed of the scenes that the network has not seen


@dataclass(frozen=True)
class Seen:
    """A scene as the network's second layer sees it, float16 (channels, windows, h, w), and its waveform."""

    motion: Tensor
    wave: Tensor


def striking(seed: int) -> Clip:
    """Return a small scene at the network's own rates; the network squashes frames anyway."""
    dice = Dice(seed, stream=1)
    stage = Stage(Dice(seed, stream=2), SECONDS, dice.uniform(1.0, 1.8), RATE, float(FPS), 0.85)
    plot = strike(stage)
    audio = finish(Dice(seed, stream=3), plot.sound, RATE, 1)
    times = torch.arange(round(SECONDS * FPS)) / FPS
    video = render(Dice(seed, stream=4), stage, plot, HEIGHT, round(HEIGHT * stage.aspect), times)
    return Clip(video=video, fps=FPS, audio=audio, sample_rate=RATE)


def new_network(examples: Sequence[Clip], config: SyncNetConfig = SMALL) -> SyncNet:
    """Return a network whose first layer of the lip tower sees motion alone, and is scaled to the examples."""
    network = SyncNet(config).eval().requires_grad_(False)
    filters, scaling = network.netcnnlip[0], network.netcnnlip[1]
    filters.weight -= filters.weight.mean(2, keepdim=True)
    filters.bias.zero_()
    rater = SyncNetRater(network)
    outputs = torch.cat(
        [filters(_frames(rater, clip)[:40].transpose(0, 1)[None])[0].flatten(1) for clip in examples], 1
    )
    scaling.running_mean.copy_(outputs.mean(1))
    scaling.running_var.copy_(outputs.var(1))
    return network


def _frames(rater: SyncNetRater, clip: Clip) -> Tensor:
    (lips,) = rater.load(clip).tracks["video"]
    return lips.frames


@torch.no_grad()
def prepared(network: SyncNet, seed: int) -> Seen:
    """Return a scene after the network's first layer."""
    clip = striking(seed)
    frames, parts = _frames(SyncNetRater(network), clip), []
    for first in range(0, len(frames) - 4, 32):
        parts.append(network.netcnnlip[:4](frames[first : first + 36].transpose(0, 1)[None])[0].half())
    return Seen(torch.cat(parts, 1), clip.sound(RATE, 1)[0])


def lips_of(network: SyncNet, motion: Tensor) -> Tensor:
    """Return the embeddings of windows (n, windows, embedding) from the first layer's output (n, channels, …)."""
    inner = network.netcnnlip[4:](motion.float()).flatten(2).transpose(1, 2)
    return network.netfclip(inner.flatten(0, 1)).unflatten(0, inner.shape[:2])


def speech_of(network: SyncNet, waves: Tensor, windows: int) -> Tensor:
    """Return the embeddings (n, windows, embedding) of waveforms (n, samples)."""
    cut = torch.cat([mfcc(wave * 32768).float().unfold(1, 20, 4).transpose(0, 1)[:windows] for wave in waves])
    return network.netfcaud(network.netcnnaud(cut[:, None]).flatten(1)).unflatten(0, (len(waves), windows))


def shifted(wave: Tensor, seconds: Tensor) -> Tensor:
    """Return the waveform (samples,) that much later, differentiably; its ends wrap around."""
    frequencies = torch.fft.rfftfreq(len(wave), 1 / RATE, dtype=torch.float64)
    turned = torch.fft.rfft(wave.double()) * torch.exp(-2j * torch.pi * frequencies * seconds.double())
    return torch.fft.irfft(turned, len(wave)).to(wave)


def train(network: SyncNet, scenes: Sequence[Seen], steps: int, batch: int = 3, seed: int = 0) -> list[float]:
    """Teach the network, without its first layer, where the audio of a scene belongs; return the losses."""
    dice = torch.Generator().manual_seed(seed)
    learning = torch.nn.ModuleList([network.netcnnlip[4:], network.netfclip, network.netcnnaud, network.netfcaud])
    learning.train().requires_grad_(True)
    sharpness = torch.nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.AdamW([*learning.parameters(), sharpness], 4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    losses = []
    for _ in range(steps):
        motions, waves, leads = zip(*[_example(scenes, dice) for _ in range(batch)], strict=True)
        lips, speech = lips_of(network, torch.stack(motions)), speech_of(network, torch.stack(waves), WINDOWS)
        each = [synchrony(lips[i], speech[i]) for i in range(batch)]
        loss = torch.stack([_loss(one, lead, sharpness) for one, lead in zip(each, leads, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    learning.eval().requires_grad_(False)
    return losses


def _example(scenes: Sequence[Seen], dice: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw a stretch of a scene, its audio moved and at another level, and by how many frames the audio leads."""

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=dice))

    seen = scenes[int(torch.randint(len(scenes), (), generator=dice))]
    late, first = drawn(-10, 10), int(drawn(0, seen.motion.shape[1] - WINDOWS))
    wave = shifted(seen.wave, torch.tensor(late / FPS))[first * SAMPLES : (first + WINDOWS + 5) * SAMPLES]
    hiss = drawn(0, 3) / 32768 * torch.randn(wave.shape, generator=dice)
    return seen.motion[:, first : first + WINDOWS], wave * 10 ** drawn(-0.5, 0.5) + hiss, -late


def _loss(found: Synchrony, lead: float, sharpness: Tensor) -> Tensor:
    """Return the cross-entropy over the shifts of the mean distances, and of those of each window."""
    leads = SHIFTS - torch.arange(2.0 * SHIFTS + 1)
    target = (-((leads - lead) ** 2) / (2 * BELL**2)).softmax(0)
    spread = found.paired.std(correction=0) + 1e-6
    whole = -(target * (-found.paired / (TEMPERATURE * spread)).log_softmax(0)).sum()
    partner = torch.arange(len(found.each))[:, None] + torch.arange(-SHIFTS, SHIFTS + 1)
    inside = (partner >= 0) & (partner < len(found.each))
    single = -((-sharpness * found.each).masked_fill(~inside, -1e4).log_softmax(1) * (target * inside)).sum(1)
    return whole + single[(target * inside).sum(1) > 0.5].mean()


def soft_offset(network: SyncNet, lips: Tensor, wave: Tensor, shift: Tensor) -> Tensor:
    """Return by how many seconds the audio leads, softly, when it is moved by `shift` seconds; lips are embedded."""
    windows = len(lips) - 1  # the original drops the last window
    speech = speech_of(network, shifted(wave, shift)[None], windows)[0]
    return synchrony(lips[:windows], speech).soft_offset(TEMPERATURE) / FPS


def smoothed(network: SyncNet, lips: Tensor, wave: Tensor, shift: Tensor) -> Tensor:
    """Return the mean square of the soft offset around a shift: by itself it trembles with the period of the sound."""
    windows = len(lips) - 1
    waves = torch.stack([shifted(wave, shift + near) for near in torch.linspace(-SMOOTH, SMOOTH, 7).tolist()])
    found = [synchrony(lips[:windows], one).soft_offset(TEMPERATURE) for one in speech_of(network, waves, windows)]
    return (torch.stack(found) / FPS).square().mean()


def descended(network: SyncNet, lips: Tensor, wave: Tensor, start: float, steps: int = 40, step: float = 0.02) -> float:
    """Return the shift in s at which Adam ends that starts at `start`."""
    shift = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([shift], step, betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        smoothed(network, lips, wave, shift).backward()
        optimizer.step()
        schedule.step()
    return float(shift.detach())


def report(ends: Tensor) -> str:
    """Return the table; `ends` (scenes, 2, starts): shifts after descent under the scene's own video and another."""
    names = ("start", "within 40 ms", "left", "control: within 40 ms", "control: left")
    lines = [f"| {' | '.join(names)} |", "|---:|---:|---:|---:|---:|"]
    starts = torch.tensor(STARTS, dtype=ends.dtype)
    for distance in (*sorted({abs(start) for start in STARTS}), None):
        chosen = [i for i, start in enumerate(STARTS) if distance in (None, abs(start))]
        cells = []
        for way in (0, 1):
            own = ends[:, way, chosen].abs()
            hits = own <= NEAR
            low, high = wilson(int(hits.sum()), hits.numel())
            cells += [f"{float(hits.double().mean()):.2f} ({low:.2f}–{high:.2f})", _left(own / starts[chosen].abs())]
        lines.append(f"| {'all' if distance is None else f'±{distance:g} s'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _left(ratios: Tensor) -> str:
    each = ratios.mean(1)
    drawn = torch.randint(len(each), (2000, len(each)), generator=torch.Generator().manual_seed(0))
    low, high = each[drawn].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=each.dtype)).tolist()
    return f"{float(each.mean()):.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    """Train, descend, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=24, help="scenes")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--test", type=int, default=6, help="scenes")
    parser.add_argument("--landscape", type=Path, help="write a picture of the soft offset against the shift")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    started = time.process_time()
    network = new_network([striking(seed) for seed in range(3)])
    scenes = [prepared(network, seed) for seed in range(arguments.train)]
    losses = train(network, scenes, arguments.steps)
    spent = time.process_time() - started
    print(
        f"{machine()}; trained on {arguments.train} scenes in {spent:.0f} s of CPU time: loss {losses[0]:.2f}", end=" "
    )
    print(f"at first, {sum(losses[-20:]) / len(losses[-20:]):.2f} at last\n", flush=True)
    started = time.process_time()
    held_out = [prepared(network, HELD_OUT + number) for number in range(arguments.test)]
    ends = descents(network, held_out)
    print(f"{report(ends)}\n\n{time.process_time() - started:.0f} s of CPU time for {ends.numel()} descents")
    if arguments.landscape:
        picture(network, held_out[:4], arguments.landscape)


def descents(network: SyncNet, seen: Sequence[Seen]) -> Tensor:
    """Return where descent ends (scenes, 2, starts): with each scene's own video, and with the next scene's."""
    with torch.no_grad():
        lips = [lips_of(network, one.motion[None])[0] for one in seen]
    rows = [
        [[descended(network, lips[i - way], one.wave, start) for start in STARTS] for way in (0, 1)]
        for i, one in enumerate(seen)
    ]
    return torch.tensor(rows, dtype=torch.float64)


@torch.no_grad()
def picture(network: SyncNet, scenes: Sequence[Seen], path: Path) -> None:
    """Draw the soft offset (up) against the shift (right), from −0.5 to 0.5 s both ways, a colour a scene."""
    from PIL import Image, ImageDraw

    size = 480
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    draw.line([(0, size // 2), (size, size // 2)], "lightgrey")
    draw.line([(0, 0), (size, size)], "lightgrey")  # the truth: the audio leads by minus the shift
    for colour, one in zip(("crimson", "royalblue", "seagreen", "darkorange"), scenes, strict=False):
        lips = lips_of(network, one.motion[None])[0]
        shifts = torch.linspace(-0.5, 0.5, 101)
        led = [float(soft_offset(network, lips, one.wave, shift)) for shift in shifts]
        points = [(size * (float(s) + 0.5), size * (0.5 - up)) for s, up in zip(shifts, led, strict=True)]
        draw.line(points, colour)
    image.save(path)


if __name__ == "__main__":
    main()
