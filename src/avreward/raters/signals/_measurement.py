"""List of measurements: definition, dimension, source, and how the form in the scores differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from avreward.raters.signals import _av_sync as together
from avreward.raters.signals import _frames as detail
from avreward.raters.signals import _loudness as level
from avreward.raters.signals import _motion as motion
from avreward.raters.signals import _spectrum as spectrum
from avreward.raters.signals._gates import Gate

View = Literal["frames", "motion", "sound", "together"]
NEEDS: dict[View, frozenset[str]] = {
    "frames": frozenset({"video"}),
    "motion": frozenset({"video"}),
    "sound": frozenset({"audio"}),
    "together": frozenset({"video", "audio"}),
}


@dataclass(frozen=True)
class Measurement:
    """One measured property.

    Args:
        name: as in ``rater["signals.clipping"]``.
        measure: (view, gate) → scalar; with the `soft` gate the score, with `hard` the figure as published.
        view: its input.
        unit: of the value.
        higher_is_better: `None` where neither end is.
        feeds: the dimension that it is fused into; `None` for information only.
        form: how the fusion reads it: the figure itself, or its logarithm (of figure + `offset`).
        offset: see `form`.
        source: where it is defined.
        softened: how the scores' form differs from the source's.
    """

    name: str
    measure: Callable[[Any, Gate], Tensor]
    view: View
    unit: str
    higher_is_better: bool | None
    feeds: str | None
    form: Literal["linear", "log"] = "linear"
    offset: float = 0.0
    source: str = ""
    softened: str = "the same"

    @property
    def description(self) -> str:
        """The first line of the function's docstring, which is a noun phrase."""
        return (self.measure.__doc__ or "").strip().split("\n")[0]


_NOISE = "after R. Martin, Noise power spectral density estimation, IEEE TSAP 9(5), 2001"
_LOW = "the tenth percentile is a smoothly weighted mean of the lowest fifth"
_ENERGY = "after J. Hershey, J. Movellan, Audio vision: using audio-visual synchrony to locate sounds, NIPS 1999"
_ONSETS = "after Z. Barzelay, Y. Y. Schechner, Harmony in motion, CVPR 2007"

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement(
        "clipping", level.clipping, "sound", "%", False, "audio_quality", "log", 1e-2,
        "flat top of the amplitude histogram, after S. Aleinik, Y. Matveev, Detection of clipped fragments, WASET 2014",
        "the threshold is a logistic step, the peak a soft maximum; a flat top that a codec smeared counts too",
    ),
    Measurement(
        "noise_floor", level.noise_floor, "sound", "dBFS", False, None, source=_NOISE, softened=_LOW,
    ),
    Measurement(
        "signal_to_noise", spectrum.signal_to_noise, "sound", "dB", True, None, source=_NOISE, softened=_LOW,
    ),
    Measurement(
        "bandwidth", spectrum.bandwidth, "sound", "kHz", True, "audio_quality", "log", 2.0,
        "−50 dB bandwidth of the long-term spectrum, above white noise under the floor (after Martin 2001)",
        "both thresholds are logistic steps, 3 and 2 dB wide, the least floor a soft minimum",
    ),
    Measurement(
        "spectral_flatness", spectrum.flatness, "sound", "dB", False, "audio_quality",
        source="J. D. Johnston, Transform coding of audio signals, IEEE JSAC 6(2), 1988",
        softened=_LOW,
    ),
    Measurement(
        "silence", level.silence, "sound", "%", False, "audio_quality",
        source="share of frames under −60 dBFS", softened="the threshold is a logistic step 3 dB wide",
    ),
    Measurement(
        "dropouts", level.dropouts, "sound", "%", False, "audio_quality", "log", 0.1,
        "gaps in the short-time energy, as in packet-loss detection (ITU-T P.563, interruptions)",
        "the threshold is a logistic step 2 dB wide",
    ),
    Measurement(
        "loudness", level.loudness, "sound", "LUFS", None, None,
        source="ITU-R BS.1770-4", softened="both gates are logistic steps 1 dB wide",
    ),
    Measurement(
        "attack_decay_asymmetry", level.attack_decay_asymmetry, "sound", "", True, "audio_quality",
        source="skewness of the envelope's slope (temporal asymmetry of R. D. Patterson, JASA 96(3), 1994)",
    ),
    Measurement(
        "hum", spectrum.hum, "sound", "dB", False, "audio_quality",
        source="steady power at multiples of the mains frequency against its surroundings", softened=_LOW,
    ),
    Measurement(
        "sharpness", detail.sharpness, "frames", "dB", True, "static_quality",
        source="gradients at two scales, after P. Marziliano et al., A no-reference perceptual blur metric, ICIP 2002",
    ),
    Measurement(
        "picture_noise", detail.noise, "frames", "of 255", False, "static_quality", "log", 0.1,
        "J. Immerkær, Fast noise variance estimation, CVIU 64(2), 1996", _LOW,
    ),
    Measurement(
        "blockiness", detail.blockiness, "frames", "dB", False, "static_quality",
        source="after Z. Wang, H. R. Sheikh, A. C. Bovik, No-reference quality assessment of JPEG images, ICIP 2002",
    ),
    Measurement(
        "exposure", detail.exposure, "frames", "%", False, "static_quality", "log", 1.0,
        "share of crushed and burnt-out pixels", "both thresholds are logistic steps 0.01 wide",
    ),
    Measurement(
        "colourfulness", detail.colourfulness, "frames", "", None, None,
        source="D. Hasler, S. Süsstrunk, Measuring colorfulness in natural images, SPIE 5007, 2003",
    ),
    Measurement(
        "flicker", motion.flicker, "motion", "of 255", False, "temporal_smoothness", "log", 0.2,
        "after P. van Roosmalen et al., Correction of intensity flicker in old film sequences, IEEE TCSVT 9(7), 1999",
    ),
    Measurement(
        "frozen", motion.frozen, "motion", "%", False, "temporal_smoothness", "log", 1.0,
        "ffmpeg's freezedetect (−60 dB); a hold counts from 0.15 s", "a logistic step by a factor of e",
    ),
    Measurement(
        "dropped_frames", motion.dropped, "motion", "%", False, "temporal_smoothness", "log", 1.0,
        "gaps beyond 1.5 times the usual step of the time stamps", "the threshold is a logistic step",
    ),
    Measurement(
        "jerkiness", motion.jerkiness, "motion", "dB", False, "temporal_smoothness",
        source="second against first temporal difference, after S. Borer, A model of jerkiness, QoMEX 2010",
    ),
    Measurement(
        "disorder", motion.disorder, "motion", "dB", False, "temporal_smoothness",
        source="structure function of the course of each pixel at one step and at 0.33 s (A. N. Kolmogorov, 1941)",
    ),
    Measurement(
        "motion", motion.dynamic_degree, "motion", "%/s", True, "dynamic_degree", "log", 0.1,
        "normal flow: B. K. P. Horn, B. G. Schunck, Determining optical flow, AI 17, 1981",
    ),
    Measurement("loudness_motion", together.loudness_motion, "together", "", True, "av_consistency", source=_ENERGY),
    Measurement("onset_motion", together.onset_motion, "together", "", True, "av_consistency", source=_ONSETS),
    Measurement("onset_contact", together.onset_contact, "together", "", True, "av_consistency", source=_ONSETS),
    Measurement(
        "av_offset", together.offset, "together", "s", False, "av_consistency", source=_ENERGY,
        softened="not the best lag, but the mean distance beyond 60 ms over all lags, weighted by how well they fit",
    ),
)  # fmt: skip


def feeding(dimension: str) -> tuple[Measurement, ...]:
    """Return the measurements that are fused into `dimension`."""
    return tuple(m for m in MEASUREMENTS if m.feeds == dimension)
