"""CLAP: audio compared with the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.media.rounding import Rounding
from avreward.raters.base import Track
from avreward.raters.embedding._card import PAIRS, Side
from avreward.raters.embedding._clap_mel import ClapMel, Truncation
from avreward.raters.embedding.base import EmbeddingRater, Score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ClapRater(EmbeddingRater):
    """How well the audio matches the prompt: cosine of CLAP's embeddings (Wu et al., 2023, arXiv:2211.06687).

    The input is ten seconds, mono. Of longer audio a model without fusion reads the middle, one with fusion a summary
    of all of it and three windows; shorter audio is repeated. See `ClapMel`. CLAP has no probability.

    ``ClapFeatureExtractor`` marks one random clip of a batch of short ones as long, so that the score of
    a short clip depends on the batch. Here every clip is scored as the library scores a single clip.

    Args:
        module: as for `EmbeddingRater`.
        tokenizer: as for `EmbeddingRater`.
        mel: the spectrogram.
        rounding: without effect, since nothing is rounded.
        score: as for `EmbeddingRater`.

    Raises:
        ArgumentError: for a `mel` whose truncation does not fit the model.

    Example:
        >>> from tiny.embedding import tiny_clap
        >>> rater = tiny_clap()
        >>> clip = Clip(audio=torch.rand(1, 24000) - 0.5, sample_rate=48000, prompt="a good sound")
        >>> rater([clip])["audio_text"].shape
        torch.Size([1])
    """

    name = "clap"
    tracks: tuple[Track, ...] = ("audio",)
    pairs: ClassVar[Mapping[str, tuple[Side, Side]]] = {"audio_text": PAIRS["audio_text"]}
    model_types: ClassVar[tuple[str, ...]] = ("clap",)

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        mel: ClapMel,
        rounding: Rounding = "straight_through",
        score: Score = "cosine",
    ) -> None:
        super().__init__(module, tokenizer, rounding, score)
        fused = self.network.config.audio_config.enable_fusion
        if fused != (mel.truncation == "fusion"):
            having = "with" if fused else "without"
            expected = f"{'fusion' if fused else 'rand_trunc'!r} for a model {having} fusion"
            raise ArgumentError("truncation", expected, mel.truncation)
        self.mel = mel

    @classmethod
    def prepared(cls, files: Mapping[str, Any], config: Any) -> dict[str, Any]:
        """Return the settings of the feature extractor's file; the defaults are those of `transformers`."""
        truncation: Truncation = "fusion" if config.audio_config.enable_fusion else "rand_trunc"
        return {"mel": ClapMel.of(files, ClapMel(truncation, bins=config.audio_config.num_mel_bins))}

    @property
    def preparation(self) -> Mapping[str, str]:
        """Settings of the audio input."""
        return {"sound": f"{self.mel!r}, resampled as by librosa"}

    @property
    def text_limit(self) -> int:
        """How many tokens of a prompt are read; the first entries of the position table are for padding."""
        sizes = self.network.config.text_config
        return int(min(self.tokenizer.model_max_length, sizes.max_position_embeddings - sizes.pad_token_id - 1))

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return the spectrogram, float (1 or 4, frames, bins)."""
        rate, window = self.mel.rate, self.mel.window
        samples = floor(clip.ends["audio"] * rate + 1e-6)
        if self.mel.truncation == "fusion" or samples <= window:
            return self.mel(clip.sound(rate, 1, "librosa")[0])
        start = (samples - window) // 2  # decode only the window
        return self.mel(clip.spans([(start / rate, (start + window) / rate)], rate, 1, "librosa")[0][0])

    def embed(self, side: Side, loaded: Any) -> Mapping[str, Tensor]:
        """Return one vector, of length one."""
        if side == "prompt":
            features = self.network.get_text_features(**self.tokens(loaded))
        else:
            mel = loaded[None].to(self.network.device, self.network.dtype)
            alone = torch.ones(1, 1, dtype=torch.bool, device=mel.device)
            features = self.network.get_audio_features(input_features=mel, is_longer=alone)
        return {"audio_text": features.pooler_output}
