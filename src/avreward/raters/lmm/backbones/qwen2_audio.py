"""Qwen2-Audio: audio and text (Chu et al., 2024, arXiv:2407.10759)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import ArgumentError, UnusableTrack
from avreward.media._audio.windowed_sinc import Resampler
from avreward.media.logmel import LogMel
from avreward.media.resampling import check_resampler
from avreward.media.rounding import Rounding, to_int16
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
    """The encoder's input: `values`, float (bins, 3000), of which the first `frames` are audio."""

    values: Tensor
    frames: int


class Qwen2Audio(Backbone):
    """Qwen2-Audio, whose encoder is Whisper's with tokens of 40 ms.

    Audio is the first `max_seconds` at 16 kHz, mono, as a log-mel spectrogram of 128 bins. Shorter audio is padded
    with silence that nothing attends to; 20 ms or less give no token and are an `UnusableTrack`.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: see `Backbone`; there is a rounding step only with `through_wav`.
        max_seconds: audio after this time is ignored; at most 30, the published window.
        resampler: to 16 kHz, of `avreward.media.resample`; the published processor reads with librosa.
        through_wav: round the resampled audio to 16 bits, as a system does that writes it to a WAV file first.

    Raises:
        ArgumentError: if `max_seconds` is out of range or `resampler` is unknown.

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
        resampler: Resampler = "librosa",
        through_wav: bool = False,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        if not LEAST / RATE < max_seconds <= WINDOW:
            raise ArgumentError("max_seconds", f"a number above 0.02 and at most {WINDOW:g}", max_seconds)
        check_resampler(resampler)
        self.max_seconds, self.resampler, self.through_wav = max_seconds, resampler, through_wav

    @property
    def _network(self) -> Any:
        return self.module.model

    @property
    def language(self) -> PreTrainedModel:
        """The Qwen decoder."""
        return self._network.language_model

    @property
    def head(self) -> nn.Module:
        """The layer from hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def _bins(self) -> int:
        return self._network.audio_tower.config.num_mel_bins

    @property
    def settings(self) -> Mapping[str, str]:
        """The part of the audio and its spectrogram: label → value."""
        sound = f"{RATE} Hz mono, resampled as by {self.resampler}, the first {self.max_seconds:g} s"
        sound += ", rounded to 16 bits" * self.through_wav
        return {"sound": f"{sound}, Whisper log-mel of {self._bins} bins"}

    def load(self, clip: Clip, track: Track) -> AudioSpectrogram:
        """Return the spectrogram of the first `max_seconds` of the audio.

        Raises:
            UnusableTrack: if the audio is too short for a token.
        """
        sound = clip.spans([(0.0, self.max_seconds)], RATE, 1, self.resampler)[0][0]
        if len(sound) < LEAST:
            problem = f"its audio of {len(sound) / RATE:.4f} s is too short for Qwen2-Audio"
            raise UnusableTrack(clip.path or "clip", problem, "give more than 20 ms")
        heard = to_int16(sound, self.rounding) if self.through_wav else sound
        return AudioSpectrogram(LogMel(self._bins)(heard), -(-len(sound) // HOP))

    def encode(self, track: Track, loaded: AudioSpectrogram) -> Encoded:
        """Return a token for each 40 ms, between the delimiters of ``Qwen2AudioProcessor``."""
        with extra("lmm"):
            from transformers.masking_utils import create_bidirectional_mask

        network = self._network
        tower = network.audio_tower
        # A convolution and a pooling, each with stride 2, as in the encoder's `_get_feat_extract_output_lengths`.
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
        """Return ChatML with the system turn and the numbered audio tracks of the published template.

        Source: ``chat_template.json`` of Qwen/Qwen2-Audio-7B-Instruct, which is `default_chat_template` of
        ``Qwen2AudioProcessor`` in `transformers`.
        """
        turn: list[Any] = []
        for piece in user:
            if isinstance(piece, Slot):
                number = 1 + sum(isinstance(earlier, Slot) for earlier in turn)
                turn += [f"Audio {number}: ", piece, "\n"]
            else:
                turn.append(piece)
        return chatml("You are a helpful assistant.", turn, answer, closed)
