"""Common parts of the Qwen-Omni families: audio preprocessing and encoding of their thinkers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, UnusableTrack
from avreward.media._audio.windowed_sinc import Resampler
from avreward.media.resampling import check_resampler
from avreward.media.rounding import Rounding, to_int16
from avreward.media.sampling import FrameRule
from avreward.raters.base import Track
from avreward.raters.lmm.backbones._qwen import TWO_A_SECOND, Qwen, QwenVideo
from avreward.raters.lmm.prompt import Encoded, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RATE, HOP = 16000, 160  # Hz, and samples between two frames of the spectrogram


class QwenOmni(Qwen):
    """The thinker of a Qwen-Omni model; video and audio are separate items, not interleaved.

    Audio is the first `max_audio_seconds` at 16 kHz, mono, as a log-mel spectrogram that is normalised by the loudest
    point of this part.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        frames: rule that chooses frames; see `Qwen`.
        min_pixels: of a frame; see `Qwen`.
        max_pixels: of a frame; see `Qwen`.
        max_audio_seconds: audio after this time is ignored.
        resampler: to 16 kHz, of `avreward.media.resample`; the published processor reads with librosa.
        through_wav: round the resampled audio to 16 bits, as a system does that writes it to a WAV file first.

    Raises:
        ArgumentError: if `max_audio_seconds` is not positive or exceeds the model's limit, or `resampler` is unknown.
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video", "audio")
    around_sound: ClassVar[tuple[str, str]]
    least_samples: ClassVar[int]  # the fewest that give a token
    longest: ClassVar[float]  # seconds of audio that the model takes
    seconds_per_step: ClassVar[float]  # between two steps of a video, as positions count them

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        frames: FrameRule = TWO_A_SECOND,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        max_audio_seconds: float = 300.0,
        resampler: Resampler = "librosa",
        through_wav: bool = False,
    ) -> None:
        super().__init__(module, tokenizer, rounding, frames, min_pixels, max_pixels)
        if not 0 < max_audio_seconds <= self.longest:
            wanted = "a number above 0" + (f" and at most {self.longest:g}" if isfinite(self.longest) else "")
            raise ArgumentError("max_audio_seconds", wanted, max_audio_seconds)
        check_resampler(resampler)
        self.max_audio_seconds, self.resampler, self.through_wav = max_audio_seconds, resampler, through_wav

    @property
    def per_second(self) -> float:
        """Positions per second on the time axis."""
        return self._config.position_id_per_seconds

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size and positions, and the audio: label → value."""
        sound = f"{RATE} Hz mono, resampled as by {self.resampler}, the first {self.max_audio_seconds:g} s"
        sound += ", rounded to 16 bits" * self.through_wav + f", Whisper log-mel of {self.bins} bins"
        return {**super().settings, "seconds a step": f"{self.seconds_per_step:g}", "sound": sound}

    @property
    def bins(self) -> int:
        """Bins of the spectrogram."""
        return self._config.audio_config.num_mel_bins

    def load(self, clip: Clip, track: Track) -> Any:
        """Return the chosen frames as patches, or the spectrogram of the audio, float (bins, frames).

        Raises:
            UnusableTrack: if the audio is too short for a token.
        """
        return super().load(clip, track) if track == "video" else self._listen(clip)

    def encode(self, track: Track, loaded: Any) -> Encoded:
        """Return tokens between the delimiters of the published processor."""
        return super().encode(track, loaded) if track == "video" else self._hear(loaded)

    def _listen(self, clip: Clip) -> Tensor:
        sound = clip.spans([(0.0, self.max_audio_seconds)], RATE, 1, self.resampler)[0][0]
        if len(sound) < self.least_samples:
            problem = f"its audio of {len(sound) / RATE:.4f} s is too short for {type(self).__name__}"
            raise UnusableTrack(clip.path or "clip", problem, f"give {self.least_samples / RATE:.4f} s or more")
        return self._spectrogram(to_int16(sound, self.rounding) if self.through_wav else sound)

    @abstractmethod
    def _spectrogram(self, sound: Tensor) -> Tensor:
        """Return the spectrogram, float (bins, frames), of `sound`, float (samples,)."""

    def _hear(self, spectrogram: Tensor) -> Encoded:
        owner: Any = self.module
        tower = owner.audio_tower if hasattr(owner, "audio_tower") else owner.model.audio_tower
        features = spectrogram[None].to(tower.device, tower.dtype)
        there = torch.ones(1, features.shape[-1], dtype=torch.long, device=features.device)
        found = owner.get_audio_features(features, feature_attention_mask=there).last_hidden_state
        return [self.around_sound[0], Tokens(found), self.around_sound[1]]

    def _seconds(self, video: QwenVideo) -> float:
        return self.seconds_per_step
