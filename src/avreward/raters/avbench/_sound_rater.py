"""Base of AVBench's raters of the audio alone: mono at one rate, decoded once for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media._precision import widened
from avreward.media.rounding import Rounding, to_int16
from avreward.raters.avbench._version import VERSION
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
from avreward.raters.checkpoints.network_rater import NetworkRater, Row

RATE = 16000
"""Sample rate in Hz at which AVBench hands audio to its evaluators."""
QUIETEST = 2.0**-16
"""Peak below which 16-bit audio, which AVBench's evaluators read, is silent throughout."""


class SoundRater(NetworkRater):
    """Rates the audio of a clip, mono; clips with one audio track share the work on it.

    AVBench hands audio to its evaluators as a 16-bit WAV file, so samples are rounded to 16 bits. A subclass gives
    `judged`, and `unusable` where it cannot rate every audio track. Raters of this kind with one `sample_rate` and one
    `rounding` share what they decode.

    Args:
        name: as used in expressions.
        module: the network.
        rounding: how samples are rounded to 16 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.
    """

    tracks: tuple[Track, ...] = ("audio",)
    versions = MappingProxyType({**NetworkRater.versions, "avbench": VERSION})
    sample_rate: int = RATE

    def __init__(
        self,
        name: str,
        module: nn.Module,
        rounding: Rounding = "straight_through",
        *,
        checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__(name, module, checkpointing=checkpointing)
        self.rounding: Rounding = rounding
        self.differentiable = type(self).differentiable and rounding != "exact"  # which rounds gradients to zero

    @property
    def decoding(self) -> Hashable:
        """Raters of this kind with the same sample rate and rounding share what they decoded."""
        return SoundRater, self.sample_rate, self.rounding

    @property
    def settings(self) -> Mapping[str, str]:
        """Sample rate, rounding and precision."""
        dtype = next(self.module.parameters()).dtype
        return {
            "sample rate": f"{self.sample_rate} Hz by FFmpeg's resampler, rounded to 16 bits",
            "rounding": self.rounding,
            "dtype": str(dtype).removeprefix("torch."),
        }

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return the audio, mono, float (samples,) at `sample_rate`, with 16 bits."""
        return to_int16(clip.sound(self.sample_rate, 1, "ffmpeg")[0], self.rounding)

    @abstractmethod
    def judged(self, waves: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
        """Return dimension → score for each of `waves`, float (samples,) at `sample_rate`, computed together."""

    def unusable(self, wave: Tensor) -> str | None:
        """Return why there is no score for `wave`, `None` where there is one."""
        return "the audio is silent throughout" if silent(wave) else None

    def _rows(self, samples: Sequence[Sample], work: Work) -> list[Row]:
        waves: dict[Hashable, Tensor] = {}
        keys: list[Hashable] = []
        why: dict[Hashable, str] = {}
        for number, sample in enumerate(samples):
            key: Hashable = sample.clip.work_key("audio") if "audio" in sample.tracks else number
            keys.append(key)
            if key in waves or key in why:
                continue
            reason = sample.missing.get("audio", "no audio") if "audio" not in sample.tracks else None
            if reason := reason or self.unusable(sample.tracks["audio"]):
                why[key] = reason
            else:
                waves[key] = sample.tracks["audio"]
        found = dict(zip(waves, self.judged([*waves.values()]) if waves else (), strict=True))
        names = [dimension.name for dimension in self.dimensions]
        return [({}, dict.fromkeys(names, why[key]), {}) if key in why else (dict(found[key]), {}, {}) for key in keys]

    def placed(self, wave: Tensor) -> Tensor:
        """Return `wave` on the device of the network, in its own precision or float32, whichever is wider."""
        return widened(wave).to(next(self.module.parameters()).device)


def silent(wave: Tensor) -> bool:
    """Return whether audio is silent throughout once it has 16 bits.

    >>> import torch
    >>> silent(torch.full((8,), 1e-5)), silent(torch.full((8,), 2e-5))
    (True, False)
    """
    return not bool((wave.detach().abs() >= QUIETEST).any())
