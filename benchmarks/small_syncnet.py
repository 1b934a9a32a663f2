"""Train a small SyncNet on synthetic scenes, for `benchmarks/avbench_offset.py`.

    python benchmarks/small_syncnet.py FOLDER [--scenes 96] [--steps 1200]

SyncNet's published weights are not shipped. A network of its architecture and few channels learns from scenes in which
a stick strikes an object. It sees 2.4 s of a scene whose audio is moved by up to 0.4 s, fractions of a frame included,
and learns where the audio belongs: cross-entropy over the 31 shifts against a bell around the true one, whose width
makes the distance rise evenly to both sides. The first layer of its lip tower keeps random filters that sum to zero
over time, so that they see motion alone; their output is computed once a scene. `load_rater(FOLDER)` reads the result.
All random choices are seeded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avreward import Clip
from avreward.datasets.synthetic._impacts import strike
from avreward.datasets.synthetic._rendering import render
from avreward.datasets.synthetic._stage import Dice, Stage
from avreward.datasets.synthetic._synthesis import finish
from avreward.media._mfcc import RATE, mfcc
from avreward.raters.avbench import SyncNet, SyncNetConfig, SyncNetRater
from avreward.raters.avbench._sync_offset import SHIFTS, Synchrony, synchrony

SMALL = SyncNetConfig((8, 12, 16, 16, 16, 32), (8, 12, 16, 16, 16, 32), 48, 32)
FPS, HEIGHT = 25, 80
SAMPLES = RATE // FPS  # of one frame
WINDOWS = 55  # of a training example
FARTHEST = 10  # frames by which audio is moved in training
BELL = 1.5  # frames: standard deviation of the target over the shifts
TEMPERATURE = 0.5  # of the soft offset: the rater's own


@dataclass(frozen=True)
class Seen:
    """A scene as the network's second layer sees it, float16 (channels, windows, h, w), and its waveform."""

    motion: Tensor
    wave: Tensor


def striking(seed: int, seconds: float = 4.0) -> Clip:
    """Return a small scene at the network's own rates; the network squashes frames anyway."""
    dice = Dice(seed, stream=1)
    stage = Stage(Dice(seed, stream=2), seconds, dice.uniform(1.0, 1.8), RATE, float(FPS), 0.85)
    plot = strike(stage)
    audio = finish(Dice(seed, stream=3), plot.sound, RATE, 1)
    times = torch.arange(round(seconds * FPS)) / FPS
    video = render(Dice(seed, stream=4), stage, plot, HEIGHT, round(HEIGHT * stage.aspect), times)
    return Clip(video=video, fps=FPS, audio=audio, sample_rate=RATE)


def new_network(examples: Sequence[Clip], config: SyncNetConfig = SMALL) -> SyncNet:
    """Return a network whose first layer of the lip tower sees motion alone, and is scaled to the examples."""
    network = SyncNet(config).eval().requires_grad_(False)
    filters, scaling = network.netcnnlip[0], network.netcnnlip[1]
    filters.weight -= filters.weight.mean(2, keepdim=True)
    filters.bias.zero_()
    rater = SyncNetRater(network)
    seen = [filters(_frames(rater, clip)[:40].transpose(0, 1)[None])[0].flatten(1) for clip in examples]
    outputs = torch.cat(seen, 1)
    scaling.running_mean.copy_(outputs.mean(1))
    scaling.running_var.copy_(outputs.var(1))
    return network


def _frames(rater: SyncNetRater, clip: Clip) -> Tensor:
    (lips,) = rater.load(clip).tracks["video"]
    return lips.frames


@torch.no_grad()
def prepared(network: SyncNet, clip: Clip) -> Seen:
    """Return a clip after the network's first layer."""
    frames, parts = _frames(SyncNetRater(network), clip), []
    for first in range(0, len(frames) - 4, 32):
        parts.append(network.netcnnlip[:4](frames[first : first + 36].transpose(0, 1)[None])[0].half())
    return Seen(torch.cat(parts, 1), clip.sound(RATE, 1)[0])


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
        lips, speech = _lips(network, torch.stack(motions)), _speech(network, torch.stack(waves))
        each = [synchrony(lips[i], speech[i]) for i in range(batch)]
        loss = torch.stack([_loss(one, lead, sharpness) for one, lead in zip(each, leads, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    learning.eval().requires_grad_(False)
    return losses


def _lips(network: SyncNet, motion: Tensor) -> Tensor:
    """Return the embeddings of windows (n, windows, embedding) from the first layer's output (n, channels, …)."""
    inner = network.netcnnlip[4:](motion.float()).flatten(2).transpose(1, 2)
    return network.netfclip(inner.flatten(0, 1)).unflatten(0, inner.shape[:2])


def _speech(network: SyncNet, waves: Tensor) -> Tensor:
    """Return the embeddings (n, windows, embedding) of waveforms (n, samples)."""
    cut = torch.cat([mfcc(wave * 32768).float().unfold(1, 20, 4).transpose(0, 1)[:WINDOWS] for wave in waves])
    return network.netfcaud(network.netcnnaud(cut[:, None]).flatten(1)).unflatten(0, (len(waves), WINDOWS))


def _example(scenes: Sequence[Seen], dice: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw a stretch of a scene, its audio moved and at another level, and by how many frames the audio leads."""

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=dice))

    seen = scenes[int(torch.randint(len(scenes), (), generator=dice))]
    late, first = drawn(-FARTHEST, FARTHEST), int(drawn(0, seen.motion.shape[1] - WINDOWS))
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


def trained(scenes: int, steps: int) -> tuple[SyncNetRater, str]:
    """Return the rater, and a line about the training."""
    started = time.process_time()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = new_network([striking(seed) for seed in range(3)])
    losses = train(network, [prepared(network, striking(seed)) for seed in range(scenes)], steps)
    first, last = (sum(part) / len(part) for part in (losses[:5], losses[-20:]))
    spent = time.process_time() - started
    return SyncNetRater(network), (
        f"{scenes} scenes, {steps} steps, {spent:.0f} s of CPU time: loss {first:.2f} at first, {last:.2f} at last"
    )


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=96)
    parser.add_argument("--steps", type=int, default=1200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rater, line = trained(arguments.scenes, arguments.steps)
    rater.save_pretrained(arguments.folder)
    print(line)


if __name__ == "__main__":
    main()
