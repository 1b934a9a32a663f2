"""Qwen3-Omni: pictures, sound and text (Xu et al., 2025, arXiv:2509.17765)."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from torch import Tensor

from avreward.media.logmel import LogMel
from avreward.raters.lmm.backbones._qwen_omni import QwenOmni
from avreward.raters.lmm.backbones.qwen3_vl import HALF


class Qwen3Omni(QwenOmni):
    """The thinker of Qwen3-Omni, a mixture of experts; see `QwenOmni` for the arguments.

    It hears about 13 tokens a second; less than 201 samples are a `MediaError`. As published it hears all of the sound,
    here five minutes unless `max_audio_seconds` says otherwise. A second takes 13 positions. Two frames count as two
    seconds, whatever the rate at which frames are chosen: that is the default of ``Qwen3OmniMoeProcessor`` (fps 1),
    which the model card leaves as it is. Features of three more layers of the tower go to the first three layers of the
    decoder (`Tokens.deep`).

    Frames are sized once, as by qwen-omni-utils 0.0.9 with ``image_patch_size=16`` and ``do_resize=False``. (Earlier
    releases sized them for patches of 14 pixels, and the processor once more for patches of 16.) No system turn is
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
