"""Qwen2.5-Omni: video, audio and text (Xu et al., 2025, arXiv:2503.20215)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from avreward.media.logmel import LogMel
from avreward.raters.lmm.backbones._qwen_omni import HOP, RATE, QwenOmni

_REACH = 480  # samples of silence after the audio: more than the last window of the spectrogram covers


class Qwen2_5Omni(QwenOmni):
    """The thinker of Qwen2.5-Omni; see `QwenOmni` for the arguments.

    An audio token lasts 40 ms; 20 ms or less give no token and are an `UnusableTrack`. A second takes 25 positions.
    Two frames count as one second at any frame rate: that is the default of ``Qwen2_5OmniProcessor`` (fps 2), which
    the model card and AVBench don't change.

    The system turn is "You are a helpful assistant.", which the published ``chat_template.json`` adds by default;
    `transformers`' own test of the processor quotes it. (The model card passes "You are Qwen, a virtual human …"
    explicitly, for speech.) AVBench passes none.

    Example:
        >>> import torch
        >>> from avreward.clip import Clip
        >>> from tiny.qwen_omni import tiny_qwen2_5_omni
        >>> backbone = tiny_qwen2_5_omni()
        >>> clip = Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000)
        >>> before, tokens, after = backbone.encode("audio", backbone.load(clip, "audio"))
        >>> before, tokens.length, after
        ('<|audio_bos|>', 25, '<|audio_eos|>')
    """

    network: ClassVar[str] = "Qwen2_5OmniThinkerForConditionalGeneration"
    around: ClassVar[tuple[str, str]] = ("<|vision_bos|>", "<|vision_eos|>")
    around_sound: ClassVar[tuple[str, str]] = ("<|audio_bos|>", "<|audio_eos|>")
    least_samples: ClassVar[int] = 2 * HOP + 1
    longest: ClassVar[float] = 300.0
    seconds_per_step: ClassVar[float] = 1.0

    def _spectrogram(self, sound: Tensor) -> Tensor:
        # the original pads to 300 s, but nothing attends to the padding
        filled = min(len(sound) + _REACH, int(self.longest * RATE))
        return LogMel(self.bins, samples=filled)(sound)[:, : -(-len(sound) // HOP)]
