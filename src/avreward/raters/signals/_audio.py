"""Input of the audio measurements: the waveform and its short-time spectrum, computed once per stretch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor

from avreward.raters.signals._kept import Kept

WINDOW = 0.032  # s; a pitch period of 60 Hz fits twice
HOP = 0.008  # s
HIGHEST = 20_000.0  # Hz; the limit of hearing
LOWEST = 60.0  # Hz; where the lowest band begins
POWER_FLOOR = 1e-10  # −100 dBFS, below 16-bit rounding noise


@dataclass(frozen=True)
class AudioWindow:
    """A stretch of audio: `wave` (channels, samples) in [−1, 1] at `rate` Hz, from `start` s of the clip on."""

    wave: Tensor
    rate: int
    start: float = 0.0

    @Kept
    def frame_times(self) -> Tensor:
        """The middles of the spectrogram's frames in s of the clip (frames,), float64."""
        size, hop = round(WINDOW * self.rate), round(HOP * self.rate)
        count = self.spectrogram.shape[-1]
        index = torch.arange(count, dtype=torch.float64, device=self.wave.device)
        return self.start + (index * hop + size / 2) / self.rate

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.wave.shape[-1] / self.rate

    @Kept
    def trimmed(self) -> AudioWindow:
        """The stretch from the first to the last millisecond of more than −70 dBFS: without padding at its ends."""
        size = max(1, round(0.001 * self.rate))
        frames = self.wave[:, : self.wave.shape[-1] // size * size].unflatten(-1, (-1, size))
        varied = frames - frames.mean(-1, keepdim=True)
        heard = (varied.square_().mean((0, -1)) > 1e-7).nonzero()[:, 0]
        if len(heard) == 0 or (int(heard[0]) == 0 and int(heard[-1]) == frames.shape[1] - 1):
            return self
        first, last = int(heard[0]) * size, (int(heard[-1]) + 1) * size
        return AudioWindow(self.wave[:, first:last], self.rate, self.start + first / self.rate)

    @Kept
    def spectrogram(self) -> Tensor:
        """Power a bin and frame (bins, frames): 32 ms windows every 8 ms.

        Scaled so that the sum over the bins is the mean square of the windowed sound; no frame reaches over an end.
        """
        size, hop = round(WINDOW * self.rate), round(HOP * self.rate)
        return rearrange(self.power_spectrum(size, hop) * (2 / size), "frames bins -> bins frames")

    def power_spectrum(self, size: int, hop: int) -> Tensor:
        """Return the power (frames, bins) in Hann windows of `size` samples, the mean over the channels.

        The mean of the powers, not the power of the mean: channels of opposite sign are no silence.
        """
        return _power(torch.fft.rfft(self._windowed(size, hop)))

    def lowest_bins(self, size: int, hop: int, bins: int) -> tuple[Tensor, Tensor]:
        """Return the first `bins` of `power_spectrum` (frames, bins), and the sum over all of its bins (frames,).

        The sum is that of the squared samples (Parseval): in it each bin counts twice, but for those at 0 Hz and at the
        Nyquist frequency.
        """
        x = self._windowed(size, hop)
        spectrum = torch.fft.rfft(x)
        once = _power(spectrum[..., :: size // 2] if size % 2 == 0 else spectrum[..., :1]).sum(-1)
        return _power(spectrum[..., :bins]), (size * torch.linalg.vector_norm(x, dim=-1).square().sum(0) + once) / 2

    def _windowed(self, size: int, hop: int) -> Tensor:
        """Return the sound in Hann windows (channels, frames, size), scaled by the number of channels."""
        x = torch.nn.functional.pad(self.wave, (0, max(0, size - self.wave.shape[-1])))
        window = torch.hann_window(size, periodic=True, dtype=x.dtype, device=x.device)
        window = window / (len(x) * window.square().sum()).sqrt()
        return x.unfold(-1, size, hop) * window

    def power_every(self, seconds: float) -> Tensor:
        """Mean square (frames,) over the channels in frames of `seconds` that follow each other; the rest is cut."""
        size = max(1, round(seconds * self.rate))
        frames = max(1, self.wave.shape[-1] // size)
        x = torch.nn.functional.pad(self.wave, (0, max(0, size - self.wave.shape[-1])))
        return x[:, : frames * size].reshape(-1, frames, size).square().mean((0, -1))

    def bands(self, per_octave: int = 3) -> tuple[Tensor, Tensor]:
        """Power in logarithmic bands up to 20 kHz or the Nyquist frequency: (bands, frames), centres in Hz (bands,).

        A band that holds no bin is left out, so the number of bands depends on the rate alone.
        """
        if per_octave not in self._bands:
            first, sizes, centres = self._rows(per_octave)
            each = self.spectrogram[first : first + sum(sizes)].split(sizes)
            self._bands[per_octave] = torch.stack([bins.sum(0) for bins in each]), centres
        return self._bands[per_octave]

    @Kept
    def quietest(self) -> Tensor:
        """The frames of each of the `bands` in the order of their power, the least first (bands, frames)."""
        return self.bands()[0].argsort(-1)

    @Kept
    def _bands(self) -> dict[int, tuple[Tensor, Tensor]]:
        """`bands` by their number an octave, as far as they were asked for."""
        return {}

    def widths(self, per_octave: int = 3) -> Tensor:
        """How wide each of the `bands` is in Hz (bands,)."""
        sizes = torch.tensor(self._rows(per_octave)[1], dtype=self.wave.dtype, device=self.wave.device)
        return sizes * self.rate / round(WINDOW * self.rate)

    def _rows(self, per_octave: int) -> tuple[int, list[int], Tensor]:
        return _band_rows(self.rate, per_octave, self.wave.dtype, self.wave.device)


def _power(spectrum: Tensor) -> Tensor:
    """Return the power of spectra (channels, frames, bins), summed over the channels."""
    power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
    return power.sum(0) if len(power) > 1 else power[0]


@lru_cache(maxsize=32)  # the clips of one job have few sample rates
@torch.inference_mode(False)  # or a gradient could not pass it afterwards
def _band_rows(rate: int, per_octave: int, dtype: torch.dtype, device: torch.device) -> tuple[int, list[int], Tensor]:
    """Return the first bin of the lowest band, how many bins each band holds, and the centres in Hz (bands,)."""
    frequencies, top = _frequencies(rate, dtype, device), min(HIGHEST, rate / 2)
    index = torch.floor(torch.log2(frequencies.clamp(min=1) / LOWEST) * per_octave).long()
    inside = (frequencies >= LOWEST) & (frequencies <= top)
    kept, sizes = index[inside].unique_consecutive(return_counts=True)
    centres = [LOWEST * 2 ** ((k + 0.5) / per_octave) for k in kept.tolist()]
    return int(inside.nonzero()[0]), sizes.tolist(), torch.tensor(centres, dtype=dtype, device=device)


def _frequencies(rate: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the frequencies of the spectrogram's bins in Hz (bins,)."""
    size = round(WINDOW * rate)
    return torch.arange(size // 2 + 1, dtype=dtype, device=device) * (rate / size)
