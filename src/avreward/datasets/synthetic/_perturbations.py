"""Controlled defects, each of one kind and of a known severity, to fit and to check raters with.

`Perturbation` is the grammar of all of them: `PERTURBATIONS` are those that any clip with the track can have,
`ALL_PERTURBATIONS` (`_all_kinds.py`) also those that need speech, words with times, a face or a prompt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from avreward.clip import Clip
from avreward.datasets.synthetic import _perturb_audio as perturb_sound
from avreward.datasets.synthetic import _perturb_video as perturb_picture
from avreward.errors import ArgumentError, AvrewardError, Described

Work = Callable[[Clip, float, torch.Generator, Clip | None], Clip]
Partner = Literal["any", "category", "caption"]


class NotPerturbable(AvrewardError):
    """Raised where a defect can't be made from this clip, such as another voice without speech; the text says why."""


@dataclass(frozen=True)
class Perturbation:
    """One kind of controlled defect.

    Attributes:
        name: its key in `PERTURBATIONS` or `ALL_PERTURBATIONS`.
        track: what it changes: "audio", "video", "prompt" or "texts.NAME".
        dimension: the dimension of quality that it harms.
        severities: from mild to strong, in `unit`; empty if the defect has no severity.
        unit: of the severities.
        work: makes the defect from a clip, a severity, a generator and the other clip.
        needs_other: whether `apply` needs another clip with `track`.
        needs: what the clip needs besides `track`, such as "texts.words".
        partner: which other clip fits: "any"; one of another "category"; one whose "caption" shares no noun with this
            one's.
        control: what is done to the original of a pair, so that the defect is all that differs (*optional*).
        package: the optional package that it takes (*optional*).
    """

    name: str
    track: str
    dimension: str
    severities: tuple[float, ...]
    unit: str
    work: Work
    needs_other: bool = False
    needs: tuple[str, ...] = ()
    partner: Partner = "any"
    control: Work | None = None
    package: str = ""

    def apply(self, clip: Clip, severity: float | None = None, seed: int = 0, other: Clip | None = None) -> Clip:
        """Return a new clip with the defect; the other track and the texts are kept.

        Args:
            clip: a clip with `track`.
            severity: one of `severities` or any number between them (*optional*, the strongest).
            seed: of all random choices.
            other: the clip that something is taken from, where `needs_other` (*optional*).

        Raises:
            ArgumentError: if the clip lacks the track, the other clip or its track is missing, or a severity is given
                to a defect that has none.
            NotPerturbable: if the defect can't be made from this clip.

        Example:
            >>> from avreward.datasets import scene
            >>> noisy = PERTURBATIONS["noise"].apply(scene(1, seconds=1.0).clip, severity=20.0, seed=5)
        """
        for what in (self.track, *self.needs):
            if not has(clip, what):
                raise ArgumentError("clip", f"a clip with {what} for {self.name}", Described(f"{clip.name} without"))
        if self.needs_other and (other is None or not has(other, self.track)):
            raise ArgumentError("other", f"a clip with {self.track} for {self.name}", other)
        if severity is None:
            severity = self.severities[-1] if self.severities else 0.0
        elif not self.severities:
            raise ArgumentError("severity", f"None, since {self.name} has no severity", severity)
        return self.work(clip, severity, torch.Generator().manual_seed(seed), other)


def has(clip: Clip, what: str) -> bool:
    """Return whether a clip has "video", "audio", a "prompt" or the text "texts.NAME"."""
    if what in ("video", "audio"):
        return clip.has_audio if what == "audio" else clip.has_video
    return bool(clip.prompt if what == "prompt" else clip.texts.get(what.removeprefix("texts.")))


def _sound(function: Callable[[Tensor, int, float, torch.Generator], Tensor]) -> Work:
    def work(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
        return clip.with_audio(function(clip.sound(), clip.sample_rate, severity, generator), clip.sample_rate)

    return work


def _reverse(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    return clip.with_audio(perturb_sound.backwards(clip.sound()), clip.sample_rate)


def _swap(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    assert other is not None  # checked by `apply`
    audio = perturb_sound.swap(clip.sound(), clip.sample_rate, other.sound(), other.sample_rate)
    return clip.with_audio(audio, clip.sample_rate)


def with_video(clip: Clip, video: Tensor) -> Clip:
    """Return the clip with these frames, at the same times."""
    new = Clip(video=video, times=clip.times, prompt=clip.prompt, texts=clip.texts)
    return new.with_audio(clip) if clip.has_audio else new


def _picture(function: Callable[[Tensor, float, torch.Generator], Tensor]) -> Work:
    def work(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
        return with_video(clip, function(clip.video, severity, generator))

    return work


def _freeze(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    return with_video(clip, clip.video[perturb_picture.frozen_order(clip.times, severity, generator)])


def _shuffle(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    video = clip.video
    return with_video(clip, video[perturb_picture.shuffled_order(len(video), severity, generator)])


_ALL = (
    # name, track, dimension harmed, severities from mild to strong, their unit, how
    Perturbation(
        "noise", "audio", "audio_quality", (30.0, 20.0, 10.0), "dB signal to noise", _sound(perturb_sound.add_noise)
    ),
    Perturbation("clipping", "audio", "audio_quality", (0.01, 0.05, 0.15), "share", _sound(perturb_sound.clip_peaks)),
    Perturbation("lowpass", "audio", "audio_quality", (8000.0, 4000.0, 2000.0), "Hz", _sound(perturb_sound.low_pass)),
    Perturbation("dropouts", "audio", "audio_quality", (0.03, 0.08, 0.2), "share", _sound(perturb_sound.drop_outs)),
    Perturbation("reversed", "audio", "audio_quality", (), "", _reverse),
    Perturbation("shift", "audio", "av_consistency", (0.25, 0.5, 1.0), "s", _sound(perturb_sound.shift)),
    Perturbation("swapped", "audio", "av_consistency", (), "", _swap, needs_other=True, partner="category"),
    Perturbation("blur", "video", "static_quality", (0.8, 1.6, 3.2), "px at 480", _picture(perturb_picture.blur)),
    Perturbation(
        "picture_noise", "video", "static_quality", (4.0, 10.0, 25.0), "of 255", _picture(perturb_picture.picture_noise)
    ),
    Perturbation(
        "blockiness", "video", "static_quality", (2.0, 4.0, 8.0), "steps", _picture(perturb_picture.blockiness)
    ),
    Perturbation(
        "flicker", "video", "temporal_smoothness", (0.03, 0.08, 0.2), "gain", _picture(perturb_picture.flicker)
    ),
    Perturbation("frozen", "video", "temporal_smoothness", (0.1, 0.25, 0.5), "share", _freeze),
    Perturbation("shuffled", "video", "temporal_smoothness", (0.15, 0.4, 1.0), "share of windows", _shuffle),
)
PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType({one.name: one for one in _ALL})


AUDIBLE_DB = -50.0  # relative to the energy of the audio: a smaller change is ignored
VISIBLE_STEP = 2 / 255  # in the mean of an 8x8 block: far above the sensor noise in it
VISIBLE_SHARE = 2e-4  # of all blocks of all frames
EDGE_CHANGE = 0.03  # of the mean of the strongest edges
GRAIN_RISE = 0.5 / 255  # in the mean difference between neighbours: noise raises it; a fall may be lost noise


def changed(original: Clip, perturbed: Clip) -> bool:
    """Return whether a defect made a noticeable difference; shuffling still frames, for example, does not.

    Audio: the difference has more than -50 dB of the energy of the original. Video: of the means of 8x8 blocks, in
    which sensor noise is averaged out, at least one in 5000 moved by more than 2/255, or the strongest edges (5 % of
    the pixels) changed by more than 3 %, or the mean difference between neighbours rose by half a step of 1/255.

    Example:
        >>> from avreward.datasets import scene
        >>> clip = scene(1, seconds=1.0).clip
        >>> changed(clip, clip)
        False
    """
    if original.has_audio != perturbed.has_audio or original.has_video != perturbed.has_video:
        return True
    if original.has_audio and sound_changed(original.sound(), perturbed.sound()):
        return True
    return original.has_video and picture_changed(original.video, perturbed.video)


def sound_changed(before: Tensor, after: Tensor) -> bool:
    """Return whether two waveforms (channels, samples) differ by more than `AUDIBLE_DB` of the energy of the first."""
    if before.shape != after.shape:
        return True
    lost = float((after.double() - before.double()).square().sum())
    return lost > 10 ** (AUDIBLE_DB / 10) * float(before.double().square().sum())


def edges(frame: Tensor) -> Tensor:
    """Return the mean of the largest 5 % and of all grey differences between neighbours in a frame (3, h, w): (2,)."""
    grey = frame.mean(0)
    steps = torch.cat(((grey[1:] - grey[:-1]).flatten(), (grey[:, 1:] - grey[:, :-1]).flatten())).abs()
    return torch.stack((steps.topk(max(1, steps.numel() // 20)).values.mean(), steps.mean()))


def picture_changed(before: Tensor, after: Tensor) -> bool:
    """Return whether two videos (frames, 3, h, w) differ in the means of blocks or in their strongest edges."""
    if before.shape != after.shape:
        return True
    moved = total = 0
    for first, second in zip(before, after, strict=True):
        blocks = functional.avg_pool2d((second - first).mean(0)[None, None], 8, ceil_mode=True).abs()
        moved, total = moved + int((blocks > VISIBLE_STEP).sum()), total + blocks.numel()
    if moved > VISIBLE_SHARE * total:
        return True
    few = torch.linspace(0, len(before) - 1, min(8, len(before))).long().tolist()
    old, old_mean = torch.stack([edges(before[number]) for number in few]).mean(0).tolist()
    new, new_mean = torch.stack([edges(after[number]) for number in few]).mean(0).tolist()
    return abs(new - old) > max(EDGE_CHANGE * old, 0.3 / 255) or new_mean - old_mean > GRAIN_RISE
