"""The demonstration's candidates: one scene as it is, and the same scene with one known defect each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import PERTURBATIONS
from avreward.datasets.synthetic.scenes import scene

BEST = "original"
KIND = "bursts"  # explosions with sparks: what is heard is seen at the same moment, whatever the seed
OTHER_KIND = "keys"  # whose sound "other_sound" has
SECONDS = 4.0
FIRST_SEED = 900_000  # demonstrations count from here; the recipes that fit the rater stay below 100 000


@dataclass(frozen=True)
class Defect:
    """One defect: its candidate's name, a key of `PERTURBATIONS`, how strong, and what a person is told."""

    name: str
    perturbation: str
    severity: float | None
    told: str


DEFECTS = (
    Defect("noise", "noise", 10.0, "noise under the sound, 10 dB below it"),
    Defect("clipping", "clipping", 0.15, "the sound overdriven until 15 % of it is cut off"),
    Defect("other_sound", "swapped", None, "the sound of another scene"),
    Defect("shifted", "shift", 0.5, "the sound half a second late"),
    Defect("reversed", "reversed", None, "the sound backwards"),
    Defect("frozen", "frozen", 0.5, "the picture frozen for half of the time"),
)


def demo_candidates(
    seed: int, folder: str | PathLike[str], seconds: float = SECONDS, step: Callable[[str], None] = lambda name: None
) -> dict[str, Path]:
    """Writes the candidates to `folder` as MP4 (H.264 and AAC), name → file; the original, `BEST`, is among them.

    Args:
        seed: of the scene, counted from `FIRST_SEED`; another seed, other explosions.
        folder: made if it isn't there.
        seconds: the length of the scene.
        step: called with the name of each candidate when it is written.

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
        spoilt = perturbation.apply(original, defect.severity, seed, other)
        if perturbation.track == "audio":
            # Over the encoded picture, whose packets are copied: dubs of one video, as a generator would give them.
            spoilt = Clip.open(files[BEST]).with_audio(spoilt.sound(), spoilt.sample_rate)
        spoilt.save(files[defect.name])
        step(defect.name)
    return files


def _even(clip: Clip) -> Clip:
    """The clip with even sides: H.264 as every browser plays it halves the colour planes."""
    video = clip.video[..., : clip.height // 2 * 2, : clip.width // 2 * 2]
    return Clip(video=video, fps=clip.fps, audio=clip.sound(), sample_rate=clip.sample_rate, prompt=clip.prompt)
