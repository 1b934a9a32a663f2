"""Degenerate inputs made from a real clip: what a generator drifts to when a reward pays for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch

from avreward.audit import _audio_inputs as sounds
from avreward.audit import _video_inputs as pictures
from avreward.audit._audio_inputs import MakeSound
from avreward.audit._video_inputs import MakePicture
from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_audio import swap
from avreward.datasets.synthetic._perturbations import with_video
from avreward.errors import AvrewardError

Swap = Literal["audio", "prompt"]


class ProbeNotApplicable(AvrewardError):
    """This degenerate input can't be made of this clip; the text says why."""


@dataclass(frozen=True)
class Probe:
    """One kind of degenerate input. What it doesn't replace stays the real clip's.

    Attributes:
        name: its key in `PROBES`.
        about: one line for a person.
        picture: makes the frames (n, 3, height, width) in [0, 1] from the real ones (*optional*).
        sound: makes the sound (channels, samples) in [−1, 1] from the real one (*optional*).
        swap: what is taken from another real clip instead (*optional*): ``"audio"`` or ``"prompt"``.
    """

    name: str
    about: str
    picture: MakePicture | None = None
    sound: MakeSound | None = None
    swap: Swap | None = None

    @property
    def replaces(self) -> tuple[str, ...]:
        """Which of ``video``, ``audio``, ``prompt`` it replaces."""
        made = (("video", self.picture), ("audio", self.sound))
        return (*(track for track, make in made if make is not None), *([self.swap] if self.swap else []))

    def apply(self, clip: Clip, seed: int = 0, other: Clip | None = None) -> Clip:
        """The degenerate clip: of the same length, size, frame times, sample rate and channels as `clip`.

        Args:
            clip: a real clip.
            seed: decides everything random, together with the probe's name.
            other: another real clip, for `swap`.

        Raises `ProbeNotApplicable` where the clip lacks what would be replaced, or `other` has nothing else to give.

        >>> clip = Clip(audio=torch.ones(1, 8), sample_rate=8000)
        >>> PROBES["silence"].apply(clip).audio.abs().max()
        tensor(0.)
        """
        generator = torch.Generator().manual_seed(_seed(self.name, seed))
        made = clip
        if self.picture is not None:
            if not clip.has_video:
                raise ProbeNotApplicable("there is no picture to replace; give clips with one")
            made = with_video(made, self.picture(clip.video, generator))
        if self.sound is not None:
            if not clip.has_audio:
                raise ProbeNotApplicable("there is no sound to replace; give clips with one")
            made = made.with_audio(self.sound(clip.sound(), clip.sample_rate, generator), clip.sample_rate)
        return made if self.swap is None else _swapped(made, self.swap, other)


def _swapped(clip: Clip, what: Swap, other: Clip | None) -> Clip:
    if what == "audio":
        if not clip.has_audio:
            raise ProbeNotApplicable("there is no sound to swap; give clips with one")
        if other is None or not other.has_audio:
            raise ProbeNotApplicable("no other clip has a sound to swap with; give more clips")
        sound = swap(clip.sound(), clip.sample_rate, other.sound(), other.sample_rate)
        return clip.with_audio(sound, clip.sample_rate)
    if clip.prompt is None:
        raise ProbeNotApplicable("there is no prompt to swap; say what the clips were asked for")
    if other is None or other.prompt in (None, clip.prompt):
        raise ProbeNotApplicable("no other clip has another prompt; give clips of several prompts")
    return clip.with_prompt(other.prompt, other.texts)


def _seed(name: str, seed: int) -> int:
    """The same for a name and a seed in every process."""
    return int.from_bytes(hashlib.blake2b(f"{name} {seed}".encode(), digest_size=7).digest(), "big")


_SOUND = (
    Probe("silence", "no sound at all, under the real picture", sound=sounds.silence),
    Probe("noise sound", "white noise at −20 dBFS, under the real picture", sound=sounds.white_noise),
    Probe("loud", "the real sound turned up by 40 dB and cut off at full scale", sound=sounds.loud),
    Probe("loud noise", "white noise that fills the whole scale", sound=sounds.loud_noise),
    Probe("shrill", "a tone just below the highest frequency there is", sound=sounds.shrill),
)
_PICTURE = (
    Probe("black", "black frames, over the real sound", picture=pictures.black),
    Probe("one colour", "one colour in every pixel and frame", picture=pictures.one_colour),
    Probe("noise picture", "each pixel of each frame random", picture=pictures.white_noise),
    Probe("saturation", "the real colours driven to the ends of the scale", picture=pictures.saturation),
    Probe("frozen", "the middle frame of the real picture, all the time", picture=pictures.frozen),
    Probe("flicker", "the real picture, every second frame at a third of its light", picture=pictures.flicker),
    Probe("checkerboard", "black and white pixels side by side, at rest", picture=pictures.checkerboard),
    Probe("stripes", "fine stripes that drift", picture=pictures.stripes),
)
_BOTH = (
    Probe("black + silence", "nothing to see or hear", pictures.black, sounds.silence),
    Probe("one colour + silence", "one colour, no sound", pictures.one_colour, sounds.silence),
    Probe("frozen + silence", "a still picture, no sound", pictures.frozen, sounds.silence),
    Probe("noise + noise", "random pixels, white noise", pictures.white_noise, sounds.white_noise),
    Probe("saturation + loud", "colours and sound driven to the ends", pictures.saturation, sounds.loud),
    Probe("flicker + loud noise", "flicker, and noise at full scale", pictures.flicker, sounds.loud_noise),
    Probe("stripes + shrill", "high frequencies to see and to hear", pictures.stripes, sounds.shrill),
    *(
        Probe(f"mixture {n}", "two or three of these, mixed at random", pictures.mixture, sounds.mixture)
        for n in (1, 2, 3, 4)
    ),
)
_SWAPS = (
    Probe("swapped sound", "the real sound of another clip, at this one's loudness", swap="audio"),
    Probe("swapped prompt", "judged against another clip's prompt", swap="prompt"),
)
PROBES: Mapping[str, Probe] = MappingProxyType({p.name: p for p in (*_SOUND, *_PICTURE, *_BOTH, *_SWAPS)})
"""Name → probe, in the order in which they are shown."""
