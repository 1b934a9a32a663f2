"""Building blocks of audio: struck objects, shaped noise, rotating machines, voices and reverberation."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from avreward.datasets.synthetic._stage import Dice, interpolate

# fundamental (Hz), decay of the lowest partial (s), partials, share of contact noise
MATERIALS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[int, int], tuple[float, float]]] = {
    "wood": ((180, 900), (0.03, 0.12), (6, 16), (0.1, 0.5)),
    "metal": ((350, 2500), (0.25, 1.3), (10, 24), (0.05, 0.25)),
    "glass": ((1200, 3500), (0.12, 0.6), (6, 14), (0.05, 0.25)),
    "rubber": ((80, 260), (0.03, 0.09), (4, 9), (0.1, 0.5)),
    "skin": ((60, 240), (0.12, 0.5), (8, 18), (0.1, 0.5)),
    "stone": ((500, 2200), (0.015, 0.06), (8, 18), (0.3, 0.8)),
    "gravel": ((150, 700), (0.01, 0.04), (4, 8), (0.8, 1.6)),
}


def spectrum_filter(sound: Tensor, gain_of: Tensor) -> Tensor:
    """Multiply the spectrum of sound (..., n) by gain_of (n // 2 + 1,)."""
    return torch.fft.irfft(torch.fft.rfft(sound) * gain_of, n=sound.shape[-1])


def frequencies(samples: int, rate: int) -> Tensor:
    """Return the frequencies (Hz) of the bins of an rfft over `samples` samples."""
    return torch.arange(samples // 2 + 1, dtype=torch.float32) * (rate / samples)


def coloured_noise(dice: Dice, channels: int, samples: int, rate: int, slope: float) -> Tensor:
    """Return noise with power f**-slope (1 pink, 2 brown), flat below 40 Hz; unit RMS; (channels, samples)."""
    # A length with small factors keeps the transform fast.
    padded = math.ceil(samples / 4096) * 4096
    shaped = spectrum_filter(dice.normal(channels, padded), frequencies(padded, rate).clamp_min(40.0) ** (-slope / 2))
    return shaped[:, :samples] / shaped.square().mean().sqrt()


def struck(dice: Dice, rate: int, material: str) -> tuple[Tensor, Tensor]:
    """Return the sounds (soft, hard) of a struck object: decaying inharmonic partials and contact noise."""
    low_high, decays, counts, noises = MATERIALS[material]
    count = dice.integer(*counts)
    fundamental, decay = dice.log_uniform(*low_high), dice.log_uniform(*decays)
    stretch = dice.uniform(0.8, 1.6)
    pitch = fundamental * (1 + torch.arange(count)) ** stretch * (1 + 0.06 * dice.normal(count))
    audible = (pitch > 20) & (pitch < 0.47 * rate)
    pitch = pitch[audible]
    damping = 1 / decay * (1 + dice.uniform(0.1, 0.6) * pitch / fundamental)
    times = torch.arange(int(rate * min(1.8, 5 * decay + 0.05)), dtype=torch.float32) / rate
    size = (0.3 + dice.rand(len(pitch))) * (pitch / fundamental) ** -dice.uniform(0.1, 0.8)
    partials = torch.sin(2 * math.pi * pitch[:, None] * times) * torch.exp(-damping[:, None] * times)
    noise = dice.normal(len(times)) * torch.exp(-times / dice.uniform(0.002, 0.012)) * dice.uniform(*noises)
    rise = (times / 0.0008).clamp(max=1)  # contact is not instantaneous
    soft = torch.exp(-pitch / 1800.0)[:, None] * size[:, None] * partials
    hard = torch.exp(-pitch / 9000.0)[:, None] * size[:, None] * partials
    duller = 0.5 * (noise[1:] + noise[:-1])
    return (soft.sum(0) + 0.5 * functional.pad(duller, (1, 0))) * rise, (hard.sum(0) + noise) * rise


def impacts(
    dice: Dice, samples: int, rate: int, events: Sequence[tuple[float, float]], answer: tuple[Tensor, Tensor]
) -> Tensor:
    """Return the sound (samples,) of blows at (time s, strength 0..1): harder ones are louder and brighter."""
    out = torch.zeros(samples)
    soft, hard = answer
    for time, strength in events:
        start = round(time * rate)
        length = min(len(soft), samples - start)
        if length > 0 and start >= 0:
            mixed = torch.lerp(soft[:length], hard[:length], min(1.0, strength))
            out[start : start + length] += mixed * (strength**1.3 * dice.uniform(0.85, 1.15))
    return out


def shaped_noise(dice: Dice, samples: int, rate: int, level: Tensor, centre: Tensor, octaves: float = 1.0) -> Tensor:
    """Return noise (samples,) with a moving spectrum: level (>= 0) and centre (Hz) are evenly spaced curves (k,)."""
    padded = math.ceil(samples / 4096) * 4096
    source = torch.fft.rfft(dice.normal(padded))
    log_frequency = torch.log2(frequencies(padded, rate).clamp_min(1.0))
    out = torch.zeros(samples)
    middles = torch.arange(math.log2(90.0), math.log2(rate / 2), 1.0)
    for middle in middles:
        band = torch.fft.irfft(source * torch.exp(-0.5 * ((log_frequency - middle) / 0.5) ** 2), n=padded)[:samples]
        gain = level * torch.exp(-0.5 * ((torch.log2(centre) - middle) / octaves) ** 2) * 2 ** (-middle / 2)
        out += band * stretch_curve(gain, samples)
    return out * 30.0


def stretch_curve(curve: Tensor, samples: int) -> Tensor:
    """Interpolate a curve (k,), evenly spaced over the clip, at every sample: (samples,)."""
    return functional.interpolate(curve[None, None], size=samples, mode="linear", align_corners=True)[0, 0]


def tone(pitch: Tensor, rate: int, amplitudes: Tensor, phases: Tensor) -> Tensor:
    """Return a periodic sound of moving pitch (Hz, (samples,)) and given harmonics: amplitudes and phases."""
    allowed = max(1, int(0.46 * rate / float(pitch.max())))
    amplitudes, phases = amplitudes[:allowed], phases[:allowed]
    size = 4096
    angle = torch.arange(size + 1) * (2 * math.pi / size)
    order = 1 + torch.arange(len(amplitudes))
    table = (amplitudes[:, None] * torch.sin(order[:, None] * angle + phases[:, None])).sum(0)
    place = torch.cumsum(pitch.double() / rate, 0).remainder(1.0) * size
    index = place.long().clamp(max=size - 1)
    return torch.lerp(table[index], table[index + 1], (place - index).float())


def syllable(dice: Dice, rate: int, seconds: float, pitch: float, bark: bool) -> Tensor:
    """Return a voiced syllable: pulses of falling pitch through resonances, some with a hiss at the start."""
    samples = max(64, int(seconds * rate))
    padded = math.ceil(samples * 1.25 / 512) * 512
    along = torch.linspace(0, 1, samples)
    glide = pitch * (
        1 + dice.uniform(-0.1, 0.25) * (1 - along) + 0.015 * torch.sin(2 * math.pi * 5.5 * seconds * along)
    )
    count = 80
    source = tone(glide, rate, (1 + torch.arange(count)) ** -dice.uniform(0.8, 1.3), 0.3 * dice.normal(count))
    source = source + dice.normal(samples) * dice.uniform(0.02, 0.5 if bark else 0.1)
    frequency = frequencies(padded, rate)
    gain = torch.zeros_like(frequency)
    for low, high, weight in (
        (250, 850, 1.0),
        (900, 2300, 0.6),
        (2300, 3200, 0.3),
        (3300, 4500, 0.15),
        (5000, 8000, 0.04),
    ):
        middle = dice.uniform(low, high) * (0.7 if bark else 1.0)
        gain += weight / (1 + ((frequency - middle) / (60 + 0.08 * middle)) ** 2)
    rise, fall = (0.12, 0.5) if bark else (0.25, 0.35)
    envelope = (along / rise).clamp(max=1).sqrt() * ((1 - along) / fall).clamp(max=1)
    voiced = spectrum_filter(functional.pad(source * envelope, (0, padded - samples)), gain + 0.003)
    if not bark and dice.chance(0.5):
        hiss = int(rate * dice.uniform(0.03, 0.08))
        hissed = torch.diff(dice.normal(hiss + 1)) * torch.hann_window(hiss)
        voiced[: min(hiss, padded)] += 0.25 * voiced.abs().max() * hissed[:padded] / 3
    return voiced / voiced.square().mean().sqrt().clamp_min(1e-6)


def reverberate(dice: Dice, dry: Tensor, rate: int, channels: int) -> Tensor:
    """Add reverberation to dry audio (samples,): (channels, samples), without delay of the direct sound."""
    samples = len(dry)
    if dice.chance(0.3):
        return dry.expand(channels, samples).clone()
    decay = dice.log_uniform(0.12, 1.2)
    tail = int(rate * decay)
    times = torch.arange(tail, dtype=torch.float32) / rate
    response = dice.normal(channels, tail) * torch.exp(-6.9 * times / decay) * (times > dice.uniform(0.003, 0.02))
    response = response / response.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-9)
    padded = math.ceil((samples + tail) / 8192) * 8192
    # Air and walls absorb the high frequencies of the tail first.
    dull = 1 / (1 + (frequencies(padded, rate) / dice.log_uniform(1500, 9000)) ** 2).sqrt()
    spectrum = torch.fft.rfft(dry, n=padded) * torch.fft.rfft(response, n=padded) * dull
    wet = torch.fft.irfft(spectrum, n=padded)[:, :samples]
    return dry + 10 ** (dice.uniform(-24, -8) / 20) * wet


def music(dice: Dice, samples: int, rate: int) -> Tensor:
    """Return a quiet pad or a slow tune of decaying notes, unit RMS, (samples,)."""
    out = torch.zeros(samples)
    root = dice.log_uniform(90, 300)
    scale = [0, 2, 4, 5, 7, 9, 11, 12, 14, 16]
    now = 0.0
    while now * rate < samples:
        length = dice.uniform(0.3, 1.6)
        start, stop = int(now * rate), min(samples, int((now + length + 0.6) * rate))
        times = torch.arange(stop - start, dtype=torch.float32) / rate
        pitch = torch.full((stop - start,), root * 2 ** (dice.pick(scale) / 12))
        note = tone(pitch, rate, (1 + torch.arange(12)) ** -1.5, torch.zeros(12))
        out[start:stop] += (
            note * (times / 0.02).clamp(max=1) * torch.exp(-times / 0.6) * (times.flip(0) / 0.05).clamp(max=1)
        )
        now += length * dice.uniform(0.4, 1.0)
    return out / out.square().mean().sqrt().clamp_min(1e-6)


def loudness(sound: Tensor, rate: int) -> float:
    """Return a rough loudness: RMS (dBFS) of the blocks of 0.4 s within 10 dB of the average."""
    block = int(0.4 * rate)
    mono = sound.mean(0)
    power = (
        mono[: max(1, len(mono) // block) * block]
        .unfold(0, min(block, len(mono)), max(1, block // 2))
        .square()
        .mean(-1)
    )
    return 10 * math.log10(float(power[power >= 0.1 * power.mean()].mean()) + 1e-12)


def finish(dice: Dice, dry: Tensor, rate: int, channels: int) -> Tensor:
    """Make the audio track (channels, samples) from dry audio: reverberation, level, ambience, perhaps music."""
    samples = len(dry)
    sound = reverberate(dice, dry, rate, channels)
    if channels == 2:
        pan = dice.uniform(-0.5, 0.5)
        sound = (
            sound
            * torch.tensor([math.cos((pan + 0.5) * math.pi / 2), math.sin((pan + 0.5) * math.pi / 2)])[:, None]
            * 1.4
        )
    sound = sound * 10 ** ((dice.uniform(-33, -15) - loudness(sound, rate)) / 20)
    # Recordings have noise at -70 to -45 dB; generated tracks are sometimes almost silent between events.
    floor = dice.uniform(-95, -70) if dice.chance(0.15) else dice.uniform(-70, -45)
    sound = sound + 10 ** (floor / 20) * coloured_noise(dice, channels, samples, rate, dice.uniform(0.6, 2.0))
    if dice.chance(0.2):
        sound = sound + 10 ** ((loudness(sound, rate) - dice.uniform(12, 26)) / 20) * music(dice, samples, rate)
    if rate >= 44100 and dice.chance(0.25):
        # Most real audio has been coded without frequencies above 15 to 17 kHz, which does not count as a defect.
        padded = math.ceil(samples / 4096) * 4096
        edge = dice.uniform(15000, 17000)
        keep = ((edge + 600 - frequencies(padded, rate)) / 600).clamp(0, 1)
        sound = spectrum_filter(functional.pad(sound, (0, padded - samples)), keep)[:, :samples]
    # Headroom: a clean recording has no clipped samples.
    peak = float(sound.abs().max())
    ceiling = 10 ** (dice.uniform(-6, -1) / 20)
    return sound * min(1.0, ceiling / max(peak, 1e-9))


def curve_at(knots: Tensor, values: Tensor, seconds: float, count: int = 400) -> Tensor:
    """Sample a curve evenly at `count` points from 0 to `seconds`: (count,)."""
    return interpolate(knots, values, torch.linspace(0, seconds, count))
