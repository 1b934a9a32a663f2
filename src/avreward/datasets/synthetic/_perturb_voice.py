"""Other voices: pitch and formants moved by the WORLD vocoder (package `pyworld`, extra `voice`)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from avreward._extras import extra
from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_audio import coin
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.datasets.synthetic._voicing import voicing
from avreward.media.resampling import remix

HIGH_VOICE = 165.0  # Hz; a voice with a higher median is taken for a woman's or a child's
GENDER_PITCH, GENDER_FORMANTS = 1.8, 1.17  # factors from a man's voice to a woman's
FORMANTS_A_SEMITONE = 1.015  # a larger body has a lower voice and lower formants


def another_speaker(clip: Clip, semitones: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Move pitch and formants up or down, by `semitones` and 1.5 % a semitone: a larger or a smaller person."""
    steps = semitones if coin(generator) else -semitones
    return _moved(clip, 2 ** (steps / 12), FORMANTS_A_SEMITONE**steps)


def another_gender(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Turn a low voice into a high one by factors of pitch and formants, or the reverse."""
    return _moved(clip, None, None)


def same_voice(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Take the voice apart and put it together unchanged, so that the vocoder is heard in both clips of a pair."""
    return _moved(clip, 1.0, 1.0)


def _moved(clip: Clip, pitch: float | None, formants: float | None) -> Clip:
    """Return the clip with another voice; `None` for the factors that change the gender.

    Raises:
        NotPerturbable: if nobody seems to speak: little has a pitch, or it is music or noise.
    """
    with extra("voice"):
        import pyworld

    rate = clip.sample_rate
    wave = np.ascontiguousarray(remix(clip.sound().detach().cpu(), 1)[0].double().numpy())
    rough, times = pyworld.dio(wave, rate)
    f0 = pyworld.stonemask(wave, rough, times, rate)
    signs = voicing(wave, rate, f0)
    if signs.doubt is not None:
        problem = f"{clip.name}: no speech is heard in it, since {signs.doubt}"
        raise NotPerturbable(f"{problem}; give clips in which someone speaks")
    if pitch is None or formants is None:
        up = signs.pitch < HIGH_VOICE
        pitch, formants = (GENDER_PITCH, GENDER_FORMANTS) if up else (1 / GENDER_PITCH, 1 / GENDER_FORMANTS)
    envelope = pyworld.cheaptrick(wave, f0, times, rate)
    noise = pyworld.d4c(wave, f0, times, rate)
    made = pyworld.synthesize(f0 * pitch, _stretched(envelope, formants), _stretched(noise, formants), rate)
    audio = torch.from_numpy(np.pad(made[: len(wave)], (0, max(0, len(wave) - len(made)))))
    # Both have the loudness of the original: WORLD does not keep it.
    level = float(np.sqrt((wave**2).mean() / max(float((audio.double() ** 2).mean()), 1e-12)))
    audio = (audio * level).to(clip.sound()).expand(clip.channels, -1)
    return clip.with_audio(audio / audio.abs().max().clamp_min(1.0), rate)


def _stretched(spectrum: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return spectra (frames, bins) with each frequency moved to `factor` times itself."""
    bins = np.arange(spectrum.shape[1])
    places = np.minimum(bins / factor, bins[-1])
    low = places.astype(int)
    high, share = np.minimum(low + 1, bins[-1]), places - low
    return np.ascontiguousarray(spectrum[:, low] * (1 - share) + spectrum[:, high] * share)
