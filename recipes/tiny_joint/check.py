"""What the small joint generator has learned: measured on its samples, beside the scenes that it was trained on.

    python recipes/tiny_joint/check.py [FOLDER] [--samples 96] [--clips OUT]

Colour: the share of samples whose ball has the prompt's colour. Speed: correlation, over clips, of the change between
frames and the audio's level, since fast balls are loud. Moments: correlation, over the frames of a clip, of the turn of
the ball's path and the audio's level; both with each clip's own audio and with another clip's of the same prompt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from avreward import Clip
from avreward.generators import Condition, Noise, sample_flow
from tiny_joint.generator import WEIGHTS, TinyJoint, tiny_joint
from tiny_joint.scenes import COLOURS, FPS, FRAMES, RATE, bounce, prompt_of


def sampled(generator: TinyJoint, count: int, steps: int = 8, first: int = 0) -> dict[str, list[Clip]]:
    """Return `count` clips of each prompt, by Euler steps."""
    found = {}
    for colour in COLOURS:
        with torch.no_grad():
            encoded = generator.encode(Condition(arguments={"prompt": prompt_of(colour)}))
            noises = [Noise.of(first + i) for i in range(count)]
            latents = sample_flow(generator, encoded, noises, generator.sigmas(steps, encoded))
            found[colour] = generator.decode(latents, encoded)
    return found


def scenes(count: int) -> dict[str, list[Clip]]:
    """Return `count` scenes of each prompt that training did not use."""
    found = {}
    for colour in COLOURS:
        pairs = [bounce(colour, 5 * 10**8 + i) for i in range(count)]
        found[colour] = [Clip(video=v, fps=FPS, audio=a[None], sample_rate=RATE) for v, a in pairs]
    return found


def has_colour(clip: Clip, colour: str) -> bool:
    """Return whether the most coloured pixels are nearer to this colour than to the others."""
    pixels = clip.video.transpose(0, 1).flatten(1)  # (3, pixels)
    coloured = pixels[:, (pixels.amax(0) - pixels.amin(0)).topk(200).indices].mean(1)
    names = list(COLOURS)
    distances = torch.stack([(coloured - torch.tensor(COLOURS[name])).norm() for name in names])
    return names[int(distances.argmin())] == colour


def levels(clip: Clip) -> Tensor:
    """Return the logarithm of the audio's power during each frame, (frames,)."""
    wave = clip.sound(RATE, 1)[0].unflatten(0, (FRAMES, -1))
    return (wave.square().mean(1) + 1e-6).log()


def turns(clip: Clip) -> Tensor:
    """Return how much the path of the ball's centre turns after each inner frame, (frames − 2,), in pixels."""
    weights = (clip.video.amax(1) - clip.video.amin(1) - 0.2).clamp_min(0) + 1e-6  # (frames, height, width)
    axis = torch.arange(weights.shape[-1]).float()
    mass = weights.sum((1, 2))
    centre = torch.stack([(weights.sum(1) * axis).sum(1) / mass, (weights.sum(2) * axis).sum(1) / mass], 1)
    return (centre[2:] - 2 * centre[1:-1] + centre[:-2]).norm(dim=1)


def correlation(first: Tensor, second: Tensor) -> float:
    """Return Pearson's correlation."""
    return float(torch.corrcoef(torch.stack([first, second]))[0, 1])


def report(clips: dict[str, Sequence[Clip]]) -> dict[str, float]:
    """Return name → number; see above."""
    right = [has_colour(clip, colour) for colour, own in clips.items() for clip in own]
    every = [clip for own in clips.values() for clip in own]
    others = [clip for own in clips.values() for clip in (*own[1:], own[0])]
    change = torch.stack([(c.video[1:] - c.video[:-1]).abs().mean().log() for c in every])
    found = {"colour": sum(right) / len(right)}
    for name, heard in (("own audio", every), ("another's", others)):
        level = torch.stack([levels(clip) for clip in heard])  # (clips, frames)
        found[f"speed, {name}"] = correlation(change, level.mean(1))
        turn = torch.stack([turns(clip) for clip in every])
        turn, level = (x - x.mean(1, keepdim=True) for x in (turn, level[:, 1:-1]))
        found[f"moments, {name}"] = correlation(turn.flatten(), level.flatten())
    return found


def main() -> None:
    """Print a table; write clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--samples", type=int, default=96, help="of each prompt")
    parser.add_argument("--clips", type=Path, help="write four samples of each prompt here")
    arguments = parser.parse_args()
    made = sampled(tiny_joint(arguments.folder), arguments.samples)
    tables = {"scenes": report(scenes(arguments.samples)), "samples": report(made)}
    print(f"| | {' | '.join(tables['scenes'])} |\n{'|---' * (1 + len(tables['scenes']))}|")
    for name, row in tables.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row.values())} |")
    if arguments.clips:
        arguments.clips.mkdir(parents=True, exist_ok=True)
        for colour, clips in made.items():
            for number, clip in enumerate(clips[:4]):
                clip.save(arguments.clips / f"{colour}_{number}.mp4")


if __name__ == "__main__":
    main()
