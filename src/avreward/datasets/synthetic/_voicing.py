"""Whether someone speaks in an audio track: pitch, harmonicity, and the rhythm of syllables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME = 0.005  # s, the step of the pitch track
PITCHES = (65.0, 400.0)  # Hz; the median pitch of a speaker
LEAST_VOICED = 0.1  # share of the time
LEAST_HARMONIC = 0.55  # what correlates with itself one period later
LEAST_SYLLABIC = 0.7  # amplitude of 2 to 10 changes of loudness a second, of all up to 50
MOST_HELD = 0.25  # share of the voiced stretches of 0.1 s whose pitch stays within HELD: notes, not speech
HELD = 25.0  # cents
_BAND = (300.0, 3400.0)  # Hz
_SYLLABLES, _ALL = (2.0, 10.0), (0.5, 50.0)  # Hz
_AROUND = 10  # frames on each side of a stretch of 0.1 s

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Voicing:
    """What tells speech from other sounds.

    Attributes:
        voiced: share of the time that has a pitch.
        pitch: median in Hz; 0 without any.
        harmonic: median correlation of the waveform with itself one period later, where it has a pitch.
        syllabic: amplitude of the changes of loudness that come 2 to 10 times a second, as a share of all changes.
        held: share of the voiced stretches of 0.1 s in which the pitch stands still.
    """

    voiced: float
    pitch: float
    harmonic: float
    syllabic: float
    held: float

    @property
    def doubt(self) -> str | None:
        """Why nobody seems to speak, one of a few texts; `None` where someone does."""
        if self.voiced < LEAST_VOICED:
            return "hardly anything in it has a pitch"
        if not PITCHES[0] <= self.pitch <= PITCHES[1]:
            return "its pitch is not that of a speaker"
        if self.harmonic < LEAST_HARMONIC:
            return "what has a pitch in it is noisier than a voice"
        if self.syllabic < LEAST_SYLLABIC:
            return "its loudness lacks the rhythm of syllables"
        if self.held > MOST_HELD:
            return "its pitch is held as that of notes is"
        return None


def voicing(wave: Wave, rate: int, pitches: Wave) -> Voicing:
    """Measure the signs of speech.

    Args:
        wave: mono (samples,).
        rate: samples a second.
        pitches: in Hz every 5 ms (frames,), 0 where there is none, such as those of WORLD.
    """
    voiced = pitches > 0
    return Voicing(
        float(voiced.mean()),
        float(np.median(pitches[voiced])) if voiced.any() else 0.0,
        _harmonicity(wave, rate, pitches),
        _syllabic(wave, rate),
        _held(pitches),
    )


def _harmonicity(wave: Wave, rate: int, pitches: Wave) -> float:
    """Return the median over voiced frames of the correlation of two periods with the two after the first."""
    found = []
    for frame in np.flatnonzero(pitches > 0):
        period, middle = round(rate / pitches[frame]), round(frame * FRAME * rate)
        start, stop = max(0, middle - period), min(len(wave) - period, middle + period)
        if stop - start >= period:
            now, later = wave[start:stop], wave[start + period : stop + period]
            found.append(float(now @ later) / float(np.sqrt((now @ now) * (later @ later)) + 1e-12))
    return float(np.median(found)) if found else 0.0


def _syllabic(wave: Wave, rate: int) -> float:
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / rate)
    spectrum[(hertz < _BAND[0]) | (hertz > _BAND[1])] = 0
    block = max(1, round(0.01 * rate))
    power = np.fft.irfft(spectrum, len(wave)) ** 2
    count = len(power) // block
    if count < 2:
        return 0.0
    loudness = np.sqrt(power[: count * block].reshape(count, block).mean(1))
    changes = np.abs(np.fft.rfft((loudness - loudness.mean()) * np.hanning(count))) ** 2
    times = np.fft.rfftfreq(count, block / rate)
    syllables, every = (float(changes[(times >= low) & (times <= high)].sum()) for low, high in (_SYLLABLES, _ALL))
    return float(np.sqrt(syllables / every)) if every > 0 else 0.0


def _held(pitches: Wave) -> float:
    cents = 1200 * np.log2(np.where(pitches > 0, pitches, 1.0))
    if len(pitches) < 2 * _AROUND + 1:
        return 0.0
    stretches = np.lib.stride_tricks.sliding_window_view
    whole = stretches(pitches > 0, 2 * _AROUND + 1).all(1)
    return float((np.ptp(stretches(cents, 2 * _AROUND + 1)[whole], axis=1) < HELD).mean()) if whole.any() else 0.0
