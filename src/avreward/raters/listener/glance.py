"""A glance at a clip: cheap statistics of small frames and of sound in bands, as features for small networks."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.clip import Clip
from avreward.media.sampling import FramePlan, Spread
from avreward.raters.clip_rater import ClipRater
from avreward.raters.listener._version import VERSION
from avreward.raters.scores import Dimension

NAME = "glance"
PLAN = FramePlan(Spread(8), max_side=64)
RATE, WINDOW, HOP, BANDS, LOWEST = 16000, 512, 256, 16, 60.0  # Hz, samples, samples, -, Hz
QUIET, FLAT = 1e-8, 1e-3  # added before logarithms: to powers, and to video values
_VIDEO = ("brightness", "contrast", "colour", "warmth", "edges", "fine_edges", "dark", "bright", "motion", "flicker")
_AUDIO = (
    "level", "peak", "soft_frames", "change",
    *(f"band_{i}" for i in range(BANDS)), *(f"band_{i}_spread" for i in range(BANDS)),
)  # fmt: skip


class GlanceFeatures(ClipRater):
    """Forty-odd statistics of a clip as detail dimensions: of eight frames within 64 × 64, and of mono sound at 16 kHz.

    They cost little beyond decoding, and are differentiable: brightness, contrast, colour, edges, motion between the
    eight frames; level, peaks, and mean and spread over time of the logarithm of the power in 16 bands.

    Example:
        >>> GlanceFeatures()([Clip(audio=torch.zeros(1, 16000), sample_rate=16000)])["peak"]
        tensor([-9.2103])
    """

    name = NAME
    fingerprint = f"{NAME}:{VERSION}"
    versions = MappingProxyType({**ClipRater.versions, "listener": VERSION})
    dimensions = tuple(
        Dimension(name, float("-inf"), float("inf"), frozenset({track}), higher_is_better=None, detail=True)
        for track, names in (("video", _VIDEO), ("audio", _AUDIO))
        for name in names
    )

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of eight frames."""
        return [PLAN]

    def rate_clip(self, clip: Clip) -> dict[str, Tensor]:
        """Return the statistics of the tracks that the clip has."""
        seen = dict(zip(_VIDEO, _of_frames(clip.frames(PLAN)), strict=True)) if clip.has_video else {}
        heard = dict(zip(_AUDIO, _of_sound(clip.sound(RATE, 1)), strict=True)) if clip.has_audio else {}
        return seen | heard


def _of_frames(frames: Tensor) -> list[Tensor]:
    """Return the statistics of frames (n, 3, height, width)."""
    red, green, blue = frames.unbind(1)
    light = 0.299 * red + 0.587 * green + 0.114 * blue  # (n, height, width)
    across, down = F.pad(light.diff(dim=2), (0, 1)), F.pad(light.diff(dim=1), (0, 0, 0, 1))
    bent = F.pad(across.diff(dim=2), (0, 1))
    level = light.mean((1, 2))
    moved = light.diff(dim=0).abs().mean((1, 2)) if len(light) > 1 else light.new_zeros(1)
    turned = (level - level.mean()).abs()
    return [
        level.mean(),
        _log((light - level[:, None, None]).abs().mean()),
        _log((frames - frames.mean(1, keepdim=True)).abs().mean()),
        (red - blue).mean(),
        _log((across.abs() + down.abs()).mean()),
        _log(bent.abs().mean()),
        torch.sigmoid((0.06 - light) / 0.02).mean(),
        torch.sigmoid((light - 0.94) / 0.02).mean(),
        _log(moved.mean()),
        _log(turned.mean()),
    ]


def _of_sound(sound: Tensor) -> list[Tensor]:
    """Return the statistics of audio (1, samples) at 16 kHz."""
    wave = F.pad(sound[0], (0, max(0, WINDOW - sound.shape[1])))
    window = torch.hann_window(WINDOW, dtype=wave.dtype, device=wave.device)
    power = torch.stft(wave, WINDOW, HOP, window=window, center=False, return_complex=True).abs().square()
    bands = torch.log(_bank(power) @ power / WINDOW + QUIET)  # (bands, frames)
    frames = torch.log(power.mean(0) / WINDOW + QUIET)
    change = bands.diff(dim=1).abs().mean() if bands.shape[1] > 1 else bands.new_zeros(())
    spread = (bands - bands.mean(1, keepdim=True)).abs().mean(1)
    return [
        torch.log(wave.square().mean() + QUIET),
        torch.log(wave.abs().amax() + QUIET**0.5),
        frames.quantile(0.1),
        change,
        *bands.mean(1),
        *spread,
    ]


def _bank(power: Tensor) -> Tensor:
    """Return which frequencies (bands, frequencies) a band averages: of equal width in octaves above 60 Hz."""
    edges = LOWEST * (RATE / 2 / LOWEST) ** (torch.arange(BANDS + 1, dtype=torch.float64) / BANDS)
    at = torch.arange(WINDOW // 2 + 1, dtype=torch.float64) * RATE / WINDOW
    middles = (edges[1:] * edges[:-1]).sqrt()
    inside = (at >= edges[:-1, None]) & (at < edges[1:, None])
    nearest = F.one_hot((at - middles[:, None]).abs().argmin(1), len(at)).bool()  # a band may fall between two
    chosen = (inside | nearest).double()
    return (chosen / chosen.sum(1, keepdim=True)).to(power)


def _log(value: Tensor) -> Tensor:
    return torch.log(value + FLAT)
