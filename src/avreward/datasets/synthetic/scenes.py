"""Synthetic scenes: clips in which something moves and is heard, made from a seed alone."""

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
        clip: picture and sound as float32 tensors; the picture in steps of 1/255.
        kind: one of `KINDS`.
        seed: what it was made from.
        events: times (s), ascending, at which something happens that is both seen and heard: contacts, explosions and
            starts of syllables; for continuous sounds the moments at which motion and loudness peak or rise.
    """

    clip: Clip
    kind: str
    seed: int
    events: tuple[float, ...]


def scene(seed: int, kind: str | None = None, seconds: float = 4.0) -> Scene:
    """Make a scene: a clip whose sound comes from what is seen in it.

    Size, frame rate (12 to 30 per second), sample rate (16 to 48 kHz), channels, materials, light, camera, loudness,
    room and ambience all vary with the seed. The clip is without defects: nothing clips, drops out, flickers, freezes
    or repeats.

    Args:
        seed: everything follows from it (and from `kind` and `seconds`); no global random state is used.
        kind: one of `KINDS`; *optional*, drawn from the seed by default.
        seconds: duration, 0.5 or more.

    Raises:
        ValueError: for an unknown kind or a duration below 0.5 s.

    Example:
        >>> scene(1, "bounce", seconds=1.0).clip.seconds
        1.0
    """
    if seconds < 0.5:
        raise ValueError(f"seconds={seconds}: a scene needs 0.5 s or more")
    dice = Dice(seed, stream=0)
    drawn = dice.pick(KINDS)
    kind = drawn if kind is None else kind
    if kind not in _PLOTS:
        raise ValueError(f"kind={kind!r} is not one of {', '.join(KINDS)}")
    # Every kind has its own dice: the same seed in two kinds shares nothing but luck.
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
