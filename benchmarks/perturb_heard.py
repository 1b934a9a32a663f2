"""What do the audio defects of `avreward perturb` change in real clips?

    python benchmarks/perturb_heard.py FOLDER [--limit 12] [--seconds 4]

Every audio kind that takes no words is made of each clip, at its mildest and its strongest, with the sound of the next
clip where another is taken. *Made*: clips that have it, of those asked; the rest is refused with a reason. *Level*:
mean change in dB, of the root mean square of the louder blocks. *Spectrum*: mean distance in dB of the long-term
spectra in 24 bands, of which those too narrow to hold a frequency count as 0. *Cells*: the share of audible cells of
time and pitch that change by 3 dB or more, as a median; a defect whose cells are near 0 would not be heard. A voice is
compared with its control, which is taken apart and put together again.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from statistics import mean, median

import torch
from medium_agav import machine

from avreward import Clip
from avreward.datasets import ALL_PERTURBATIONS, Perturbation
from avreward.datasets.synthetic._perturb_mix import _cells, heard_change
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.datasets.synthetic._synthesis import loudness
from avreward.scoring import list_clips

KINDS = (
    "noise", "clipping", "lowpass", "dropouts", "reversed", "shift", "swapped", "event", "background", "speaker",
    "gender",
)  # fmt: skip
Change = tuple[float, float, float]


def change(before: Clip, after: Clip) -> Change:
    """Return by how many dB, by how many dB in a band on average, and in which share of cells two clips differ."""
    rate, sounds = before.sample_rate, [clip.sound(channels=1) for clip in (before, after)]
    loud = [loudness(sound, rate) for sound in sounds]
    bands = [_cells(sound, rate).mean(1).clamp_min(1e-12).log10() * 10 for sound in sounds]
    return loud[1] - loud[0], float((bands[1] - bands[0]).abs().mean()), heard_change(*sounds, rate)


def changes(kind: Perturbation, clips: list[Clip], severity: float | None) -> tuple[list[Change], Counter[str]]:
    """Return what changes in each clip, and why some can't have the defect."""
    found, refused = [], Counter[str]()
    for number, clip in enumerate(clips):
        other = clips[(number + 1) % len(clips)] if kind.needs_other else None
        try:
            bad = kind.apply(clip, severity, number, other)
            good = clip if kind.control is None else kind.control(clip, 0.0, torch.Generator(), None)
        except NotPerturbable as error:
            refused[str(error).partition(": ")[2]] += 1
            continue
        found.append(change(good, bad))
    return found, refused


def cut(clip: Clip, seconds: float) -> Clip:
    """Return the beginning of a clip's audio."""
    return Clip(audio=clip.sound()[:, : round(seconds * clip.sample_rate)], sample_rate=clip.sample_rate)


def row(name: str, severity: str, found: list[Change], asked: int) -> str:
    """Return a line of the table."""
    if not found:
        return f"| `{name}` | {severity} | 0 of {asked} | – | – | – |"
    loud, spectrum, cells = zip(*found, strict=True)
    numbers = f"{mean(loud):+.1f} | {mean(spectrum):.1f} | {median(cells):.2f}"
    return f"| `{name}` | {severity} | {len(found)} of {asked} | {numbers} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=12, help="clips")
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    clips = [
        cut(Clip.open(listed.path), arguments.seconds)
        for listed in list(list_clips(arguments.folder))[: arguments.limit]
    ]
    print(f"{machine()}; the first {arguments.seconds:g} s of {len(clips)} clips\n")
    print("| kind | severity | made | level, dB | spectrum, dB | cells |\n|---|---:|---:|---:|---:|---:|")
    reasons: Counter[str] = Counter()
    for name in KINDS:
        kind = ALL_PERTURBATIONS[name]
        for severity in (kind.severities[0], kind.severities[-1]) if kind.severities else (None,):
            found, refused = changes(kind, clips, severity)
            reasons += refused
            label = "–" if severity is None else f"{severity:g} {kind.unit}"
            print(row(name, label, found, len(clips)), flush=True)
    print()
    for reason, count in reasons.most_common():
        print(f"- {count} refused: {reason}")


if __name__ == "__main__":
    main()
