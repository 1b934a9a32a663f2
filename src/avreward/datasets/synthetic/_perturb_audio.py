"""Controlled defects of audio: functions on (channels, samples); random choices come from `generator`."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from avreward.media.resampling import remix, resample

BLOCK = 0.02  # s, the length of a block that is sounding or silent
RANGE_DB = 30.0  # blocks within this of the loudest one are sounding


def coin(generator: torch.Generator) -> bool:
    """Return `True` with probability one half."""
    return bool(torch.rand((), generator=generator) < 0.5)


def sounding(audio: Tensor, rate: int) -> Tensor:
    """Return which samples are in 20 ms blocks within 30 dB of the loudest block: bool (samples,)."""
    samples = audio.shape[-1]
    block = max(1, min(samples, int(BLOCK * rate)))
    count = math.ceil(samples / block)
    power = (
        functional.pad(audio.detach().double().square().mean(0), (0, count * block - samples))
        .view(count, block)
        .mean(1)
    )
    loud = (power >= power.max() * 10 ** (-RANGE_DB / 10)) & (power > 0)
    return loud.repeat_interleave(block)[:samples]


def add_noise(audio: Tensor, rate: int, snr: float, generator: torch.Generator) -> Tensor:
    """Add white noise at `snr` dB below the mean power of the whole sound.

    If the sum leaves [-1, 1], all of it is scaled down, so that the ratio is kept and nothing clips.
    """
    noise = torch.randn(audio.shape, generator=generator, dtype=torch.float32).to(audio)
    power, own = audio.square().mean(), noise.square().mean()
    noisy = audio + noise * (power / own * 10 ** (-snr / 10)).sqrt()
    return noisy / noisy.abs().max().clamp_min(1.0)


def clip_peaks(audio: Tensor, rate: int, share: float, generator: torch.Generator) -> Tensor:
    """Amplify the audio so that `share` (0..1) of its sounding samples clip.

    With probability one half it clips at full scale; otherwise the result is scaled to the original level, as when a
    clipped recording is mixed afterwards. Threshold and gain are common to all channels.
    """
    active = audio[:, sounding(audio, rate)].abs().flatten()
    if active.numel() == 0:
        return audio.clone()
    keep = max(1, math.ceil(active.numel() * (1 - share)))
    ceiling = active.kthvalue(keep).values.clamp_min(1e-9)
    driven = (audio / ceiling).clamp(-1, 1)
    if coin(generator):
        return driven
    return driven * (audio.square().mean() / driven.square().mean()).sqrt().clamp(max=1.0)


def low_pass(audio: Tensor, rate: int, cutoff: float, generator: torch.Generator) -> Tensor:
    """Remove frequencies above `cutoff` Hz by a Kaiser-windowed sinc (80 dB, transition 10 % wide), without delay."""
    if cutoff * 1.05 >= rate / 2:
        return audio.clone()
    width = 0.1 * cutoff
    half = math.ceil(0.5 * (80 - 7.95) / (14.36 * width / rate))
    times = torch.arange(-half, half + 1, dtype=torch.float64)
    window = torch.kaiser_window(2 * half + 1, periodic=False, beta=0.1102 * (80 - 8.7), dtype=torch.float64)
    taps = torch.sinc(2 * cutoff / rate * times) * window
    taps = taps / taps.sum()
    samples = audio.shape[-1]
    padded = math.ceil((samples + 2 * half) / 4096) * 4096
    spectrum = torch.fft.rfft(audio.double(), n=padded) * torch.fft.rfft(taps, n=padded)
    return torch.fft.irfft(spectrum, n=padded)[:, half : half + samples].to(audio.dtype)


def drop_outs(audio: Tensor, rate: int, share: float, generator: torch.Generator) -> Tensor:
    """Silence gaps of 20 to 80 ms, in all channels, that together take `share` (0..1) of the sounding time.

    Gaps start in sounding blocks. With probability one half their edges are hard, otherwise they fade within 2 ms.
    """
    samples = audio.shape[-1]
    active = sounding(audio, rate)
    wanted = share * float(active.sum())
    gain = torch.ones(samples, dtype=torch.float32)
    places = active.nonzero()[:, 0]
    apart = int(0.01 * rate)
    fade = 0 if coin(generator) else int(0.002 * rate)
    for _ in range(5_000):
        gone = float(((gain == 0) & active).sum())
        if len(places) == 0 or gone >= wanted:
            break
        length = min(0.02 + 0.06 * float(torch.rand((), generator=generator)), max(0.02, (wanted - gone) / rate))
        start = int(places[torch.randint(len(places), (), generator=generator)])
        stop = min(samples, start + int(length * rate))
        if (gain[max(0, start - apart) : stop + apart] < 1).any():
            continue  # gaps that touch would be one longer gap
        gap = torch.zeros(stop - start)
        if fade and stop - start > 2 * fade:
            ramp = torch.linspace(1, 0, fade + 2)[1:-1]
            gap[:fade], gap[-fade:] = ramp, ramp.flip(0)
        gain[start:stop] = torch.minimum(gain[start:stop], gap)
    return audio * gain.to(audio)


def shift(audio: Tensor, rate: int, seconds: float, generator: torch.Generator) -> Tensor:
    """Shift the audio circularly by `seconds`, later or earlier: only the timing changes."""
    amount = round(seconds * rate)
    return audio.roll(amount if coin(generator) else -amount, -1)


def backwards(audio: Tensor) -> Tensor:
    """Return the audio reversed in time."""
    return audio.flip(-1)


def swap(audio: Tensor, rate: int, other: Tensor, other_rate: int) -> Tensor:
    """Return another clip's audio with the rate, channels, length (cropped or looped) and RMS level of this one."""
    samples = audio.shape[-1]
    new = resample(other.to(audio), other_rate, rate)
    if new.shape[0] != audio.shape[0]:
        new = remix(new, 1).expand(audio.shape[0], -1) if audio.shape[0] > 2 else remix(new, audio.shape[0])
    new = new.repeat(1, max(1, math.ceil(samples / max(1, new.shape[-1]))))[:, :samples]
    new = new * (audio.square().mean() / new.square().mean().clamp_min(1e-12)).sqrt()
    return new / new.abs().max().clamp_min(1.0)
