"""Degenerate inputs made from a real clip: outputs that a generator drifts to if a reward prefers them."""

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
from avreward.datasets.synthetic._perturbations import PERTURBATIONS, with_video
from avreward.errors import AvrewardError

Swap = Literal["audio", "prompt"]


class ProbeNotApplicable(AvrewardError):
    """Raised where a degenerate input can't be made from a clip; the text says why."""


@dataclass(frozen=True)
class Probe:
    """One kind of degenerate input, made from a real clip; tracks that it does not replace are kept.

    Attributes:
        name: its key in `PROBES`.
        about: a description in one line.
        picture: makes frames (n, 3, height, width) in [0, 1] from the real ones (*optional*).
        sound: makes audio (channels, samples) in [−1, 1] from the real audio (*optional*).
        swap: what is taken from another real clip (*optional*): ``"audio"`` or ``"prompt"``.
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
        """Return the degenerate clip, with the length, size, frame times, sample rate and channels of `clip`.

        Args:
            clip: a real clip.
            seed: of all random choices, together with the probe's name.
            other: another real clip, for `swap`.

        Raises:
            ProbeNotApplicable: if the clip lacks the track to replace, or `other` lacks another audio or prompt.

        Example:
            >>> clip = Clip(audio=torch.ones(1, 8), sample_rate=8000)
            >>> PROBES["silence"].apply(clip).audio.abs().max()
            tensor(0.)
        """
        generator = torch.Generator().manual_seed(_seed(self.name, seed))
        made = clip
        if self.picture is not None:
            if not clip.has_video:
                raise ProbeNotApplicable("the clip has no video to replace; pass clips with video")
            made = with_video(made, self.picture(clip.video, generator))
        if self.sound is not None:
            if not clip.has_audio:
                raise ProbeNotApplicable("the clip has no audio to replace; pass clips with audio")
            made = made.with_audio(self.sound(clip.sound(), clip.sample_rate, generator), clip.sample_rate)
        return made if self.swap is None else _swapped(made, self.swap, other)


def _swapped(clip: Clip, what: Swap, other: Clip | None) -> Clip:
    if what == "audio":
        if not clip.has_audio:
            raise ProbeNotApplicable("the clip has no audio to swap; pass clips with audio")
        if other is None or not other.has_audio:
            raise ProbeNotApplicable("no other clip has audio to swap in; pass more clips")
        return PERTURBATIONS["swapped"].apply(clip, other=other)
    if clip.prompt is None:
        raise ProbeNotApplicable("the clip has no prompt to swap; pass the clips' prompts")
    if other is None or other.prompt in (None, clip.prompt):
        raise ProbeNotApplicable("no other clip has another prompt; pass clips of several prompts")
    return clip.with_prompt(other.prompt, other.texts)


def _seed(name: str, seed: int) -> int:
    """Return a seed that depends on the name and `seed` alone, in every process."""
    return int.from_bytes(hashlib.blake2b(f"{name} {seed}".encode(), digest_size=7).digest(), "big")


_SOUND = (
    Probe("silence", "silence with the real video", sound=sounds.silence),
    Probe("noise sound", "white noise at −20 dBFS with the real video", sound=sounds.white_noise),
    Probe("loud", "the real audio 40 dB louder, clipped at full scale", sound=sounds.loud),
    Probe("loud noise", "white noise at full scale", sound=sounds.loud_noise),
    Probe(
        "noise, silent ends",
        "the real audio with white noise 20 dB under it and 40 ms of silence at either end",
        sound=sounds.noise_between_silences,
    ),
    Probe("shrill", "a tone just below the Nyquist frequency", sound=sounds.shrill),
)
_PICTURE = (
    Probe("black", "black frames with the real audio", picture=pictures.black),
    Probe("one colour", "one colour in every pixel and frame", picture=pictures.one_colour),
    Probe("noise picture", "random pixels in each frame", picture=pictures.white_noise),
    Probe("saturation", "the real video with eight times the colour and contrast", picture=pictures.saturation),
    Probe("frozen", "the middle frame of the real video, repeated", picture=pictures.frozen),
    Probe("flicker", "the real video, every second frame at a third of its brightness", picture=pictures.flicker),
    Probe("checkerboard", "a still checkerboard of black and white pixels", picture=pictures.checkerboard),
    Probe("stripes", "fine moving stripes", picture=pictures.stripes),
)
_BOTH = (
    Probe("black + silence", "black frames, silence", pictures.black, sounds.silence),
    Probe("one colour + silence", "one colour, silence", pictures.one_colour, sounds.silence),
    Probe("frozen + silence", "a frozen frame, silence", pictures.frozen, sounds.silence),
    Probe("noise + noise", "random pixels, white noise", pictures.white_noise, sounds.white_noise),
    Probe("saturation + loud", "saturated colours, clipped audio", pictures.saturation, sounds.loud),
    Probe("flicker + loud noise", "flicker, noise at full scale", pictures.flicker, sounds.loud_noise),
    Probe("stripes + shrill", "high frequencies in video and audio", pictures.stripes, sounds.shrill),
    *(
        Probe(f"mixture {n}", "two or three of these, mixed at random", pictures.mixture, sounds.mixture)
        for n in (1, 2, 3, 4)
    ),
)
_SWAPS = (
    Probe("swapped sound", "the audio of another clip, at the loudness of this one", swap="audio"),
    Probe("swapped prompt", "the real clip with another clip's prompt", swap="prompt"),
)
PROBES: Mapping[str, Probe] = MappingProxyType({p.name: p for p in (*_SOUND, *_PICTURE, *_BOTH, *_SWAPS)})
"""Name → probe, in display order."""
