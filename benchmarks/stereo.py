"""Does `signals.stereo` tell which side a sound comes from?

    python benchmarks/stereo.py [--scenes 40]

Synthetic scenes whose sound is panned by the place of what makes it: a walker whose steps are heard, one bouncing ball,
a vehicle that hums and drives to and fro. The ear on the far side hears the sound weaker (3 to 12 dB), later (0.2 to
0.6 ms), or both, in turn; each channel has noise of its own, 40 dB below. Seeds, backgrounds, cameras and loudness vary
as in all synthetic scenes. *Right side*: the score is above 0. *Mirrored is preferred*: with exchanged channels it is
higher. Also: noise that has nothing to do with what moves, and mono copies. Wilson's intervals, 95 %.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

import torch
from medium_agav import machine
from torch import Tensor

from avreward import Clip, load_rater
from avreward.datasets.synthetic._figures import steps
from avreward.datasets.synthetic._impacts import bounce
from avreward.datasets.synthetic._rendering import render
from avreward.datasets.synthetic._stage import Dice, Plot, Sprite, Stage, interpolate, posed, smooth_curve, vivid
from avreward.datasets.synthetic._synthesis import finish, tone
from avreward.evaluation import wilson

FIRST = 50_000  # seeds that nothing was tuned on
KINDS = ("walker", "ball", "vehicle")
CUES = ("level", "time", "both")
HEIGHT = 120


def panned(seed: int, kind: str, cue: str, seconds: float = 4.0) -> Clip:
    """Return a scene whose stereo sound follows what makes it."""
    dice = Dice(seed, stream=1)
    aspect, fps = dice.pick((16 / 9, 4 / 3)), dice.pick((16.0, 24.0, 30.0))
    rate = dice.pick((16000, 24000, 44100))
    stage = Stage(Dice(seed, stream=2), seconds, aspect, rate, fps, dice.uniform(0.78, 0.92))
    plot = {"walker": steps, "ball": _one_ball, "vehicle": _vehicle}[kind](stage)
    mover = plot.sprites[1 if kind == "walker" else 0]
    samples = torch.arange(stage.samples) / rate
    place = 2 * mover.pose(samples)[:, 0] / aspect - 1
    sound = finish(Dice(seed, stream=3), plot.sound, rate, 1)[0]
    decibels = 0.0 if cue == "time" else dice.uniform(3, 12)
    lag = 0.0 if cue == "level" else dice.uniform(0.2e-3, 0.6e-3)
    ears = torch.stack([_ear(sound, -place, decibels, lag, rate), _ear(sound, place, decibels, lag, rate)])
    ears = ears + 0.01 * sound.square().mean().sqrt() * dice.normal(2, stage.samples)
    times = torch.arange(round(seconds * fps), dtype=torch.float32) / fps
    video = render(Dice(seed, stream=4), stage, plot, HEIGHT, round(HEIGHT * aspect), times)
    return Clip(video=video, fps=fps, audio=0.7 * ears, sample_rate=rate)


def _ear(sound: Tensor, towards: Tensor, decibels: float, lag: float, rate: int) -> Tensor:
    """Return what an ear hears (samples,) of a source that is `towards` it, −1 … 1 (samples,)."""
    samples = torch.arange(len(sound), dtype=torch.float64)
    late = samples - lag * (1 - towards.double()) / 2 * rate
    heard = interpolate(samples, sound.double(), late).float()
    return heard * 10 ** (decibels * (towards - 1) / 40)


def _one_ball(stage: Stage) -> Plot:
    plot = bounce(stage)
    while len(plot.sprites) > 1:
        plot = bounce(stage)
    return plot


def _vehicle(stage: Stage) -> Plot:
    """Plot a box that drives to and fro and hums."""
    dice = stage.dice
    knots, curve = smooth_curve(dice, stage.seconds, dice.uniform(0.8, 1.6))
    half = dice.uniform(0.06, 0.14)

    def pose(times: Tensor) -> Tensor:
        across = half + (stage.aspect - 2 * half) * interpolate(knots, curve, times)
        return posed(across, torch.tensor(stage.floor - 0.07), torch.zeros(()), half, 0.06)

    moments = torch.arange(stage.samples) / stage.rate
    pitch = dice.uniform(60, 160) * (1 + 0.2 * interpolate(*smooth_curve(dice, stage.seconds, 0.7), moments))
    hum = tone(pitch, stage.rate, (1 + torch.arange(16)) ** -1.0, dice.normal(16))
    return Plot(
        [Sprite(pose, vivid(dice), 0.3)], [], hum + 0.3 * dice.normal(stage.samples) * hum.square().mean().sqrt()
    )


def mirrored(clip: Clip) -> Clip:
    """Return the clip with exchanged channels."""
    return clip.with_audio(clip.audio.flip(0), clip.sample_rate)


def rate_of(hits: Sequence[bool]) -> str:
    """Return a share with its interval."""
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits) / len(hits):.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40, help="of each kind")
    arguments = parser.parse_args()
    rater, found, unrelated, spent = load_rater("signals.stereo"), {}, [], 0.0
    for kind in KINDS:
        for number in range(arguments.scenes):
            cue = CUES[number % len(CUES)]
            clip = panned(FIRST + number, kind, cue)
            started = time.process_time()
            score = float(rater([clip])["panning"])
            spent += time.process_time() - started
            found[kind, cue, number] = score, float(rater([mirrored(clip)])["panning"])
            noise = 0.1 * Dice(FIRST + number, stream=9).normal(2, clip.audio.shape[1])
            unrelated.append(float(rater([clip.with_audio(noise, clip.sample_rate)])["panning"]))
            mono = clip.with_audio(clip.sound(channels=1), clip.sample_rate)
            same = clip.with_audio(clip.sound(channels=1).expand(2, -1), clip.sample_rate)
            assert not rater([mono, same]).present.any()
    print(f"{machine()}; {len(found)} scenes of 4 s, {1000 * spent / len(found):.0f} ms of CPU time a clip\n")
    print("| scenes | right side | mirrored is preferred | mean score |")
    print("|---|---:|---:|---:|")
    groups = {f"{kind}": [v for (k, _, _), v in found.items() if k == kind] for kind in KINDS}
    groups |= {f"cue: {cue}": [v for (_, c, _), v in found.items() if c == cue] for cue in CUES}
    groups["all"] = [*found.values()]
    for label, values in groups.items():
        own = torch.tensor([score for score, _ in values])
        cells = (rate_of([s > 0 for s, _ in values]), rate_of([m > s for s, m in values]), f"{float(own.mean()):.2f}")
        print(f"| {label} | {' | '.join(cells)} |")
    size = math.sqrt(sum(value**2 for value in unrelated) / len(unrelated))
    print(f"\nNoise in both channels that has nothing to do with the motion scores {size:.2f} in root mean square")
    print("All mono copies are missing, with the reason")


if __name__ == "__main__":
    main()
