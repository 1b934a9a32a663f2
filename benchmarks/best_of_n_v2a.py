"""What choosing among eight dubs of one video gains, by a measure that wasn't used for choosing.

    python benchmarks/best_of_n_v2a.py [--scenes 60] [--n 8]

The small video-to-audio generator of recipes/tiny_v2a dubs synthesized scenes of 4 s that neither its training nor any
choice of settings has seen (seeds from 13,000; seeds from 10,000 to 12,999 were looked at before). One reward
chooses; the dub's loudness over time against the scene's true sound judges (`envelope_match`). Gain: the chosen dub's
match less the mean match of all dubs, ± its standard error over scenes. `most` is what the best choice would gain.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from rich.progress import track
from tiny_v2a import tiny_v2a
from tiny_v2a.held_out import envelope_match
from tiny_v2a.train import KINDS
from torch import Tensor

from avreward import Clip, load_rater
from avreward.datasets import scene

FIRST, SECONDS = 13_000, 4.0
REWARDS = ("loudness_motion", "av_consistency", "overall", "audio_quality")
GROUPS = {"all": KINDS, "strike, bursts, keys": ("strike", "bursts", "keys"), "bounce, steps": ("bounce", "steps")}


def dubbed(seed: int, count: int) -> tuple[list[Clip], Tensor]:
    """`count` dubs of a scene, and how well each matches the scene's own sound."""
    true = scene(seed, KINDS[seed % len(KINDS)], SECONDS).clip
    generators = [torch.Generator().manual_seed(i) for i in range(count)]
    sounds = tiny_v2a()(video=true.video, frame_rate=true.fps, generator=generators).audios
    silent = Clip(video=true.video, fps=true.fps)
    matches = envelope_match(sounds[:, 0], true.sound(16000, 1)[0])
    return [silent.with_audio(sound, 16000) for sound in sounds], matches


def error(values: Tensor) -> str:
    """Mean ± standard error."""
    return f"{float(values.mean()):+.3f} ± {float(values.std()) / len(values) ** 0.5:.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--n", type=int, default=8)
    arguments = parser.parse_args()
    rater, seeds = load_rater("signals"), range(FIRST, FIRST + arguments.scenes)
    found: dict[str, list[Tensor]] = {name: [] for name in (*REWARDS, "most", "mean")}
    for seed in track(seeds, "scenes"):
        dubs, match = dubbed(seed, arguments.n)
        scores = rater(dubs)
        found["most"].append(match.max() - match.mean())
        found["mean"].append(match.mean())
        for name in REWARDS:
            found[name].append(match[scores[name].argmax()] - match.mean())
    kinds = [KINDS[seed % len(KINDS)] for seed in seeds]
    print(f"{arguments.scenes} scenes, best of {arguments.n}\n")
    print(f"| scenes | n | mean match | most | {' | '.join(f'by `signals.{name}`' for name in REWARDS)} |")
    print("|---" * (4 + len(REWARDS)) + "|")
    for label, members in GROUPS.items():
        rows = torch.tensor([kind in members for kind in kinds])
        own = {name: torch.stack(values)[rows] for name, values in found.items()}
        gains = " | ".join(error(own[name]) for name in REWARDS)
        print(f"| {label} | {int(rows.sum())} | {own['mean'].mean():.3f} | {own['most'].mean():+.3f} | {gains} |")


if __name__ == "__main__":
    main()
