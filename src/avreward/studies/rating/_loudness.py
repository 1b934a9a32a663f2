"""Soundtracks at one loudness, so that nobody prefers the louder one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from avreward.raters.signals._audio import AudioWindow
from avreward.raters.signals._gates import hard
from avreward.raters.signals._loudness import loudness

LOUDEST, SOFTEST = -23.0, -31.0  # LUFS that soundtracks are brought to: EBU R 128, and as far below as peaks ask for
PEAK = 0.9  # of full scale; encoding adds a little
SILENT = -60.0  # LUFS below which a soundtrack stays as it is


def matched_gains(sounds: Sequence[tuple[Tensor, int]]) -> list[float]:
    """Return the factor for each soundtrack that makes all of them equally loud, without clipping any.

    Loudness is integrated as in ITU-R BS.1770-4. All are brought to −23 LUFS, or lower where a peak would clip, but not
    below −31: a soundtrack whose peaks allow less stays softer than the others. One below −60 LUFS is left as it is.

    Args:
        sounds: waveform (channels, samples) and sample rate of each.

    Example:
        >>> tone = 0.1 * torch.sin(torch.arange(48000) * 0.1)[None]
        >>> [round(gain, 2) for gain in matched_gains([(tone, 48000), (0.5 * tone, 48000)])]
        [1.05, 2.1]
    """
    found = [_measured(wave, rate) for wave, rate in sounds]
    reached = [20 * math.log10(PEAK / peak) + level for level, peak in found if level > SILENT]
    target = max(SOFTEST, min([LOUDEST, *reached]))
    return [min(10 ** ((target - level) / 20), PEAK / peak) if level > SILENT else 1.0 for level, peak in found]


def _measured(wave: Tensor, rate: int) -> tuple[float, float]:
    """Return loudness in LUFS and peak."""
    return float(loudness(AudioWindow(wave, rate), hard)), max(float(wave.abs().max()), 1e-9)
