"""A second set of degenerate inputs, drawn at random and kept apart: only for a last check of fixes.

Other kinds than those of `avreward.audit.inputs`, with parameters that a seed draws, alone, in pairs, and mixed
with the first set's. Whoever changes a measurement to please this set must draw another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from avreward.audit import Probe
from avreward.audit import _audio_inputs as probe_sounds
from avreward.audit import _video_inputs as probe_pictures

Dice = torch.Generator
FIRST = (probe_pictures.black, probe_pictures.white_noise, probe_pictures.stripes, probe_pictures.one_colour)
FIRST_SOUNDS = (probe_sounds.silence, probe_sounds.white_noise, probe_sounds.shrill, probe_sounds.loud)


def between(low: float, high: float, dice: Dice) -> float:
    """Return a number drawn evenly."""
    return low + (high - low) * float(torch.rand((), generator=dice))


def ramp(video: Tensor, dice: Dice) -> Tensor:
    """Return a smooth ramp of brightness that drifts."""
    count, _, height, width = video.shape
    speed, turns = between(0.01, 0.2, dice), between(0.5, 4, dice)
    phase = turns * torch.arange(width) / width + between(0, 1, dice) * torch.arange(height)[:, None] / height
    waves = 0.5 + 0.4 * torch.sin(2 * math.pi * (phase + speed * torch.arange(count)[:, None, None]))
    return waves[:, None].expand_as(video).to(video).contiguous()


def clouds(video: Tensor, dice: Dice) -> Tensor:
    """Noise with a falling spectrum, as natural pictures have, shifted a little every frame."""
    count, colours, height, width = video.shape
    across = torch.fft.rfftfreq(width)[None] ** 2 + torch.fft.fftfreq(height)[:, None] ** 2
    slope = across.clamp_min(across[0, 1]) ** (-between(0.3, 0.8, dice))
    field = torch.fft.irfft2(
        torch.fft.rfft2(torch.randn(colours, height, width, generator=dice)) * slope, (height, width)
    )
    field = (0.5 + 0.18 * field / field.std()).clamp(0, 1)
    step = 1 + int(between(0, 4, dice))
    return torch.stack([field.roll(step * n, -1) for n in range(count)]).to(video)


def pepper(video: Tensor, dice: Dice) -> Tensor:
    """Return the real picture, some pixels black or white."""
    drawn, share = torch.rand(video.shape, generator=dice).to(video), between(0.05, 0.4, dice)
    return torch.where(drawn < share / 2, 0.0, torch.where(drawn > 1 - share / 2, 1.0, video))


def mosaic(video: Tensor, dice: Dice) -> Tensor:
    """Return the real picture in large flat squares."""
    size = int(between(12, 48, dice))
    small = torch.nn.functional.avg_pool2d(video, size, ceil_mode=True)
    return torch.nn.functional.interpolate(small, scale_factor=size)[..., : video.shape[-2], : video.shape[-1]]


def strobe(video: Tensor, dice: Dice) -> Tensor:
    """Another colour every few frames."""
    hold = 1 + int(between(0, 4, dice))
    colours = torch.rand(math.ceil(len(video) / hold), 3, generator=dice).repeat_interleave(hold, 0)[: len(video)]
    return colours[:, :, None, None].expand_as(video).to(video).contiguous()


def loop(video: Tensor, dice: Dice) -> Tensor:
    """Two or three frames over and over."""
    few = 2 + int(between(0, 2, dice))
    return video[torch.arange(len(video)) % min(few, len(video))]


def negative(video: Tensor, dice: Dice) -> Tensor:
    """Return the real picture as a negative, with little contrast."""
    return 0.5 - between(0.1, 0.6, dice) * (video.clamp(0, 1) - 0.5)


def jitter(video: Tensor, dice: Dice) -> Tensor:
    """One frame, thrown about."""
    still, far = video[len(video) // 2], 1 + int(between(0, 12, dice))
    moves = torch.randint(-far, far + 1, (len(video), 2), generator=dice).tolist()
    return torch.stack([still.roll(move, (-2, -1)) for move in moves])


def fade(video: Tensor, dice: Dice) -> Tensor:
    """Return the real picture, gone to black after a while."""
    light = 1 - torch.linspace(0, between(1.5, 6, dice), len(video))
    return video * light.clamp(0, 1).to(video)[:, None, None, None]


def pink(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Noise with a falling spectrum."""
    spectrum = torch.fft.rfft(torch.randn(audio.shape, generator=dice))
    spectrum /= torch.arange(1, spectrum.shape[-1] + 1) ** between(0.3, 1.2, dice)
    wave = torch.fft.irfft(spectrum, audio.shape[-1])
    return (0.1 * wave / wave.std()).clamp(-1, 1).to(audio)


def clicks(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Return a metronome of single samples."""
    wave = torch.zeros_like(audio)
    wave[:, :: max(2, int(rate / between(1, 30, dice)))] = between(0.2, 1, dice)
    return wave


def sweep(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Return a tone that rises again and again."""
    time = torch.arange(audio.shape[-1], dtype=torch.float64) / rate
    part = (time * between(0.5, 4, dice)) % 1
    phase = torch.cumsum(2 * math.pi * (100 + part * between(1000, 0.45 * rate, dice)) / rate, 0)
    return (0.3 * torch.sin(phase)).to(audio).expand_as(audio).contiguous()


def buzz(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Return a square wave."""
    time = torch.arange(audio.shape[-1], dtype=torch.float64) / rate
    wave = torch.sign(torch.sin(2 * math.pi * between(50, 2000, dice) * time))
    return (between(0.05, 0.9, dice) * wave).to(audio).expand_as(audio).contiguous()


def pulsing(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Noise that comes and goes."""
    time = torch.arange(audio.shape[-1], dtype=torch.float64) / rate
    envelope = torch.exp(-between(3, 20, dice) * ((time * between(1, 8, dice)) % 1)).to(audio)
    return (0.3 * envelope * torch.randn(audio.shape, generator=dice).to(audio)).clamp(-1, 1)


def grain(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Return a piece of the real sound over and over."""
    length = max(8, int(between(0.02, 0.3, dice) * rate))
    start = int(between(0, max(1, audio.shape[-1] - length), dice))
    piece = audio[:, start : start + length]
    return piece.repeat(1, math.ceil(audio.shape[-1] / piece.shape[-1]))[:, : audio.shape[-1]]


def crushed(audio: Tensor, rate: int, dice: Dice) -> Tensor:
    """Return the real sound in two to four bits."""
    steps = 2 ** (1 + int(between(0, 3, dice)))
    return (audio / audio.abs().max().clamp_min(1e-6) * steps).round() / steps


PICTURES: tuple[Callable[[Tensor, Dice], Tensor], ...] = (
    ramp, clouds, pepper, mosaic, strobe, loop, negative, jitter, fade,
)  # fmt: skip
SOUNDS: tuple[Callable[[Tensor, int, Dice], Tensor], ...] = (pink, clicks, sweep, buzz, pulsing, grain, crushed)


def drawn(seed: int, count: int = 24) -> list[Probe]:
    """`count` probes: a third each of pictures (with the real sound), sounds (with the real picture), and both.

    Half of those of both kinds take one of the two from the first set. Of the parameters the probe's own seed decides.
    """
    dice = torch.Generator().manual_seed(seed)
    probes = []
    for number in range(count):
        picture = PICTURES[int(torch.randint(len(PICTURES), (), generator=dice))]
        sound = SOUNDS[int(torch.randint(len(SOUNDS), (), generator=dice))]
        kind, coin = number % 3, float(torch.rand((), generator=dice))
        if kind == 2 and coin < 0.25:
            picture = FIRST[int(torch.randint(len(FIRST), (), generator=dice))]
        elif kind == 2 and coin < 0.5:
            sound = FIRST_SOUNDS[int(torch.randint(len(FIRST_SOUNDS), (), generator=dice))]
        names = [f.__name__ for f, used in ((picture, kind != 1), (sound, kind != 0)) if used]
        name = f"{number + 1}: {' + '.join(names)}"
        probes.append(Probe(name, name, picture if kind != 1 else None, sound if kind != 0 else None))
    return probes
