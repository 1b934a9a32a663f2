"""Synthetic scenes: clips whose audio comes from what moves in the video, made from a seed alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._figures import steps, voice
from avreward.datasets.synthetic._flows import engine, pouring, whoosh
from avreward.datasets.synthetic._impacts import bounce, bursts, keys, strike
from avreward.datasets.synthetic._rendering import render
from avreward.datasets.synthetic._stage import Dice, Plot, Stage
from avreward.datasets.synthetic._synthesis import finish
from avreward.errors import ArgumentError, unknown_name

_PLOTS: Mapping[str, Callable[[Stage], Plot]] = MappingProxyType(
    {
        "bounce": bounce,
        "strike": strike,
        "steps": steps,
        "bursts": bursts,
        "keys": keys,
        "whoosh": whoosh,
        "engine": engine,
        "voice": voice,
        "pouring": pouring,
    }
)
KINDS: tuple[str, ...] = tuple(_PLOTS)

PROMPTS: Mapping[str, str] = MappingProxyType(
    {
        "bounce": "balls bounce off the floor and the walls",
        "strike": "a stick strikes an object",
        "steps": "a figure walks and stops",
        "bursts": "explosions with sparks in the dark",
        "keys": "bars are pressed and sound their notes",
        "whoosh": "a rod is swung through the air",
        "engine": "a rotor speeds up and slows down",
        "voice": "a face talks or barks",
        "pouring": "drops fall, now many, now few",
    }
)


@dataclass(frozen=True)
class Scene:
    """A synthetic clip and what is known about it.

    Attributes:
        clip: video and audio as float32 tensors; video values are multiples of 1/255.
        kind: one of `KINDS`.
        seed: the seed that it was made from.
        events: times (s), ascending, of events that are both seen and heard: contacts, explosions and starts of
            syllables; for continuous sounds, the moments when motion and loudness peak or rise.
    """

    clip: Clip
    kind: str
    seed: int
    events: tuple[float, ...]


def scene(seed: int, kind: str | None = None, seconds: float = 4.0) -> Scene:
    """Make a synthetic scene: a clip whose audio comes from what is seen in it.

    Size, frame rate (12 to 30 per second), sample rate (16 to 48 kHz), channels, materials, light, camera, loudness,
    reverberation and ambience all vary with the seed. The clip has no defects: nothing clips, drops out, flickers,
    freezes or repeats.

    Args:
        seed: of all random choices; no global random state is used.
        kind: one of `KINDS`; *optional*, drawn from the seed by default.
        seconds: duration, 0.5 or more.

    Raises:
        ArgumentError: for an unknown kind or a duration below 0.5 s.

    Example:
        >>> scene(1, "bounce", seconds=1.0).clip.seconds
        1.0
    """
    if seconds < 0.5:
        raise ArgumentError("seconds", "a duration of 0.5 s or more", seconds)
    dice = Dice(seed, stream=0)
    drawn = dice.pick(KINDS)
    kind = drawn if kind is None else kind
    if kind not in _PLOTS:
        raise unknown_name("kind", kind, KINDS)
    # Each kind has its own random numbers: one seed gives unrelated scenes in two kinds.
    own = seed * len(KINDS) + KINDS.index(kind)
    dice = Dice(own, stream=1)
    aspect = dice.pick((16 / 9, 16 / 9, 16 / 9, 4 / 3, 3 / 2, 1.0)) * dice.uniform(0.97, 1.03)
    height = round((dice.log_uniform(256 * 160, 400 * 260) / aspect) ** 0.5)
    width = round(height * aspect)
    fps = dice.pick((12.0, 15.0, 16.0, 24.0, 25.0, 30.0))
    rate, channels = dice.pick((16000, 22050, 24000, 32000, 44100, 48000)), dice.integer(1, 2)
    floor = dice.uniform(0.78, 0.92)
    stage = Stage(Dice(own, stream=2), seconds, width / height, rate, fps, floor)
    plot = _PLOTS[kind](stage)
    audio = finish(Dice(own, stream=3), plot.sound, rate, channels)
    times = torch.arange(max(2, round(seconds * fps)), dtype=torch.float32) / fps
    video = render(Dice(own, stream=4), stage, plot, height, width, times)
    clip = Clip(video=video, fps=fps, audio=audio, sample_rate=rate, prompt=PROMPTS[kind])
    return Scene(clip, kind, seed, tuple(sorted(plot.events)))
