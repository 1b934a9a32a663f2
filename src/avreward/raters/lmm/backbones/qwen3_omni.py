"""Qwen3-Omni: video, audio and text (Xu et al., 2025, arXiv:2509.17765)."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from torch import Tensor

from avreward.media.logmel import LogMel
from avreward.raters.lmm.backbones._qwen_omni import QwenOmni
from avreward.raters.lmm.backbones.qwen3_vl import HALF


class Qwen3Omni(QwenOmni):
    """The thinker of Qwen3-Omni, a mixture of experts; see `QwenOmni` for the arguments.

    Audio gives about 13 tokens per second; fewer than 201 samples are an `UnusableTrack`. The original takes all of
    the audio, this class the first five minutes unless `max_audio_seconds` is set. A second takes 13 positions. Two
    frames count as two seconds at any frame rate: that is the default of ``Qwen3OmniMoeProcessor`` (fps 1), which the
    model card doesn't change. Features of three intermediate layers of the vision tower are added in the first three
    layers of the decoder (`Tokens.deep`).

    Frames are resized once, as in qwen-omni-utils 0.0.9 with ``image_patch_size=16`` and ``do_resize=False``. (Earlier
    releases resized them for patches of 14 pixels, and the processor again for patches of 16.) No system turn is
    added, as in the published ``chat_template.json``.

    Example:
        >>> import torch
        >>> from avreward.clip import Clip
        >>> from tiny.qwen_omni import tiny_qwen3_omni
        >>> backbone = tiny_qwen3_omni()
        >>> clip = Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000)
        >>> before, tokens, after = backbone.encode("audio", backbone.load(clip, "audio"))
        >>> before, tokens.length, after
        ('<|audio_start|>', 13, '<|audio_end|>')
    """

    network: ClassVar[str] = "Qwen3OmniMoeThinkerForConditionalGeneration"
    system: ClassVar[str | None] = None
    mean: ClassVar[tuple[float, float, float]] = HALF
    std: ClassVar[tuple[float, float, float]] = HALF
    around_sound: ClassVar[tuple[str, str]] = ("<|audio_start|>", "<|audio_end|>")
    least_samples: ClassVar[int] = 201
    longest: ClassVar[float] = inf
    seconds_per_step: ClassVar[float] = 2.0

    def _spectrogram(self, sound: Tensor) -> Tensor:
        return LogMel(self.bins, samples=None)(sound)
