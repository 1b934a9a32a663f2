"""Candidates for `avreward demo`: one scene without defects, and the same scene with one known defect each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import PERTURBATIONS
from avreward.datasets.synthetic.scenes import scene

BEST = "original"
KIND = "bursts"  # explosions with sparks: video and audio are in sync, whatever the seed
OTHER_KIND = "keys"  # the scene whose audio "other_sound" takes
SECONDS = 4.0
FIRST_SEED = 900_000  # of demonstrations; the recipes that fit the rater use seeds below 100 000


@dataclass(frozen=True)
class Defect:
    """One defect: its candidate's name, a key of `PERTURBATIONS`, its severity and a description."""

    name: str
    perturbation: str
    severity: float | None
    about: str


DEFECTS = (
    Defect("noise", "noise", 10.0, "noise 10 dB below the audio"),
    Defect("clipping", "clipping", 0.15, "15 % of the audio clipped"),
    Defect("other_sound", "swapped", None, "the audio of another scene"),
    Defect("shifted", "shift", 0.5, "the audio half a second late"),
    Defect("reversed", "reversed", None, "the audio reversed"),
    Defect("frozen", "frozen", 0.5, "half of the frames frozen"),
)


def demo_candidates(
    seed: int, folder: str | PathLike[str], seconds: float = SECONDS, step: Callable[[str], None] = lambda name: None
) -> dict[str, Path]:
    """Write the candidates to `folder` as MP4 (H.264 and AAC), and return name → file, with the original as `BEST`.

    Args:
        seed: of the scene, counted from `FIRST_SEED`.
        folder: created if it doesn't exist.
        seconds: the length of the scene, 0.5 or more.
        step: called with the name of each candidate when it is written.

    Raises:
        ArgumentError: if `seconds` is below 0.5.

    Example:
        >>> sorted(demo_candidates(0, "demo", seconds=1.0))
        ['clipping', 'frozen', 'noise', 'original', 'other_sound', 'reversed', 'shifted']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    original = _even(scene(FIRST_SEED + seed, KIND, seconds).clip)
    other = scene(FIRST_SEED + seed, OTHER_KIND, seconds).clip
    files = {name: folder / f"{name}.mp4" for name in (BEST, *(defect.name for defect in DEFECTS))}
    original.save(files[BEST])
    step(BEST)
    for defect in DEFECTS:
        perturbation = PERTURBATIONS[defect.perturbation]
        defective = perturbation.apply(original, defect.severity, seed, other)
        if perturbation.track == "audio":
            # The packets of the encoded video are copied: dubs of one video, as from a generator.
            defective = Clip.open(files[BEST]).with_audio(defective.sound(), defective.sample_rate)
        defective.save(files[defect.name])
        step(defect.name)
    return files


def _even(clip: Clip) -> Clip:
    """Crop the clip to even sides: H.264 for browsers halves the colour planes."""
    video = clip.video[..., : clip.height // 2 * 2, : clip.width // 2 * 2]
    return Clip(video=video, fps=clip.fps, audio=clip.sound(), sample_rate=clip.sample_rate, prompt=clip.prompt)
