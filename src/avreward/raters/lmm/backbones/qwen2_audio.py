"""Qwen2-Audio: sound and text (Chu et al., 2024, arXiv:2407.10759)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import AvrewardError, UnusableTrack
from avreward.media.logmel import LogMel
from avreward.media.rounding import Rounding
from avreward.raters.base import Track
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.backbones._qwen import chatml
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RATE, HOP = 16000, 160  # Hz, and samples between two frames of the spectrogram
WINDOW = 30.0  # seconds that the encoder takes
LEAST = 2 * HOP + 1  # samples that make three frames, the fewest that give a token


@dataclass(frozen=True, eq=False)
class AudioSpectrogram:
    """What the encoder takes in: `values`, float (bins, 3000), of which the first `frames` are sound."""

    values: Tensor
    frames: int


class Qwen2Audio(Backbone):
    """Qwen2-Audio, whose encoder is Whisper's with tokens of 40 ms.

    It hears the first `max_seconds` at 16 kHz, mono, as a log-mel spectrogram of 128 bins. Shorter sound is filled up
    with silence that nothing attends to; sound of 20 ms or less gives no token and is a `UnusableTrack`. Nothing is
    rounded.

    Args:
        module, tokenizer, rounding: as for `Backbone`.
        max_seconds: what comes later isn't heard; at most 30, the published window.

    Example:
        >>> from tiny.qwen2_audio import tiny_qwen2_audio
        >>> backbone = tiny_qwen2_audio()
        >>> clip = Clip(audio=torch.rand(8000) - 0.5, sample_rate=16000)
        >>> before, tokens, after = backbone.encode("audio", backbone.load(clip, "audio"))
        >>> before, tokens.length, after
        ('<|audio_bos|>', 12, '<|audio_eos|>')
    """

    tracks: ClassVar[tuple[Track, ...]] = ("audio",)
    network: ClassVar[str] = "Qwen2AudioForConditionalGeneration"

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        max_seconds: float = WINDOW,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        if not LEAST / RATE < max_seconds <= WINDOW:
            raise AvrewardError(f"max_seconds: {max_seconds} is out of range; give more than 0.02 and at most 30")
        self.max_seconds = max_seconds

    @property
    def _network(self) -> Any:
        return self.module.model

    @property
    def language(self) -> PreTrainedModel:
        """The Qwen decoder."""
        return self._network.language_model

    @property
    def head(self) -> nn.Module:
        """From hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def _bins(self) -> int:
        return self._network.audio_tower.config.num_mel_bins

    @property
    def settings(self) -> Mapping[str, str]:
        """What is heard, and how."""
        return {"sound": f"{RATE} Hz mono, the first {self.max_seconds:g} s, Whisper log-mel of {self._bins} bins"}

    def load(self, clip: Clip, track: Track) -> AudioSpectrogram:
        """The spectrogram of the beginning of the sound."""
        sound = clip.spans([(0.0, self.max_seconds)], RATE, 1)[0][0]
        if len(sound) < LEAST:
            problem = f"its sound of {len(sound) / RATE:.4f} s is too short for Qwen2-Audio"
            raise UnusableTrack(clip.path or "clip", problem, "give more than 20 ms")
        return AudioSpectrogram(LogMel(self._bins)(sound), -(-len(sound) // HOP))

    def encode(self, track: Track, loaded: AudioSpectrogram) -> Encoded:
        """A token for each 40 ms, between the delimiters that ``Qwen2AudioProcessor`` writes."""
        with extra("lmm"):
            from transformers.masking_utils import create_bidirectional_mask

        network = self._network
        tower = network.audio_tower
        # A convolution and a pooling, each of stride 2, as in the encoder's `_get_feat_extract_output_lengths`.
        heard = (loaded.frames - 1) // 2 + 1
        count = (heard - 2) // 2 + 1
        values = loaded.values[None].to(tower.device, tower.dtype)
        positions = torch.arange(values.shape[-1] // 2, device=values.device)[None]
        like = values.new_zeros(1, positions.shape[1], 1)
        mask = create_bidirectional_mask(
            config=tower.config, inputs_embeds=like, attention_mask=(positions < heard).long()
        )
        hidden = tower(values, attention_mask=mask).last_hidden_state
        return ["<|audio_bos|>", Tokens(network.multi_modal_projector(hidden)[0, :count]), "<|audio_eos|>"]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """ChatML with the system turn and the numbered sounds of the published template.

        Source: ``chat_template.json`` of Qwen/Qwen2-Audio-7B-Instruct, which is `default_chat_template` of
        ``Qwen2AudioProcessor`` in `transformers`.
        """
        told: list[Any] = []
        for piece in user:
            if isinstance(piece, Slot):
                number = 1 + sum(isinstance(earlier, Slot) for earlier in told)
                told += [f"Audio {number}: ", piece, "\n"]
            else:
                told.append(piece)
        return chatml("You are a helpful assistant.", told, answer, closed)
