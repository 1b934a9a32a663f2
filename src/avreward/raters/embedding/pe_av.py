"""PE-AV: video, audio and prompt compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, FrameRule, Spread, check_positive, check_times
from avreward.raters.base import Track
from avreward.raters.embedding._card import PAIRS, Side
from avreward.raters.embedding._frames import Pictures
from avreward.raters.embedding.base import EmbeddingRater, Score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RATE, HOP = 48000, 1920  # Hz, and samples of one step of the codec
SIDE = 336  # pixels
MOST_FRAMES = Spread(64)


@dataclass(frozen=True)
class PeFrames:
    """`count` frames from the first to the last, as ``PeVideoVideoProcessor`` chooses them; short clips repeat some.

    >>> PeFrames(4)(torch.arange(9, dtype=torch.float64))
    tensor([0, 2, 5, 8])
    """

    count: int

    def __post_init__(self) -> None:
        check_positive(count=self.count)

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices; raise `MediaError` if there are no frames."""
        last = len(check_times(times)) - 1
        return torch.arange(self.count, device=times.device) * last // max(1, self.count - 1)


class PeAvRater(EmbeddingRater):
    """How well video, audio and prompt match, pair by pair, by PE-AV (Vyas et al., 2025, arXiv:2512.19687).

    The audio codec of PE-AV runs without gradients in `transformers`, so no gradient reaches the waveform; because half
    a gradient would mislead, none reaches the video either: `differentiable` is False.

    All of the audio is read, whatever its length.

    The probability is σ(scale·⟨a, b⟩ + bias) with scale and bias of the pair's own, as in the library's forward pass.
    The published video encoder needs the package `timm`.

    Args:
        module: as for `EmbeddingRater`.
        tokenizer: as for `EmbeddingRater`.
        pictures: how frames are resized and normalised.
        rounding: as for `EmbeddingRater`.
        score: as for `EmbeddingRater`.
        frames: which frames. The checkpoints called ``…-16-frame`` read sixteen; the others read every frame, of which
            at most 64 are taken here, spread evenly.

    Example:
        >>> rater = PeAvRater.from_pretrained("facebook/pe-av-small-16-frame")  # doctest: +SKIP
        >>> rater([Clip.open("dub.mp4", prompt="a dog barks")])["audio_video"].shape  # doctest: +SKIP
        torch.Size([1])
    """

    name = "pe_av"
    differentiable = False
    tracks: tuple[Track, ...] = ("video", "audio")
    pairs: ClassVar[Mapping[str, tuple[Side, Side]]] = PAIRS
    model_types: ClassVar[tuple[str, ...]] = ("pe_audio_video",)

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        pictures: Pictures,
        rounding: Rounding = "straight_through",
        score: Score = "cosine",
        frames: FrameRule = MOST_FRAMES,
    ) -> None:
        self.pictures, self.frames = pictures, frames
        super().__init__(module, tokenizer, rounding, score)

    @classmethod
    def prepared(cls, files: Mapping[str, Any], config: Any) -> dict[str, Any]:
        """Return the settings of the video processor's file; the defaults are those of published checkpoints."""
        frames = PeFrames(files["num_frames"]) if files.get("num_frames") else MOST_FRAMES
        return {"pictures": Pictures.of(files, Pictures((SIDE, SIDE), mode="bilinear")), "frames": frames}

    @classmethod
    def has_probability(cls, module: nn.Module) -> bool:
        """Return True: each pair of sides has a scale and a bias."""
        return True

    @property
    def preparation(self) -> Mapping[str, str]:
        """Settings of frames and audio."""
        sound = f"{RATE} Hz mono by FFmpeg's resampler, mirrored to a multiple of {HOP} samples"
        return {"frames": f"{self.frames!r}, fast conversion", "pictures": repr(self.pictures), "sound": sound}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of the chosen frames."""
        return [FramePlan(self.frames, conversion="fast")]

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return the frames (n, 3, height, width), or the audio (samples,)."""
        if track == "video":
            return self.pictures(clip.frames(FramePlan(self.frames, conversion="fast")), self.rounding)
        return _mirrored(widened(clip.sound(RATE, 1, "ffmpeg")[0]))

    def embed(self, side: Side, loaded: Any) -> Mapping[str, Tensor]:
        """Return a vector for each of the two dimensions; a track has the same vector for both."""
        network = self.network
        if side == "prompt":
            hidden = network.text_model(**self.tokens(loaded), output_hidden_states=True).hidden_states[-1][:, 0]
            heads = {
                "audio_text": network.audio_model.text_audio_head,
                "video_text": network.video_model.text_video_head,
            }
            return {dimension: head(hidden) for dimension, head in heads.items()}
        inputs = loaded.to(network.device, network.dtype)
        if side == "audio":
            vector = network.audio_model.audio_head(network.audio_model.audio_encoder(inputs[None, None]).pooler_output)
        else:
            vector = network.video_model.video_head(network.video_model.video_encoder(inputs[None]).pooler_output)
        return {dimension: vector for dimension, sides in self.pairs.items() if side in sides}

    def logits(self, dimension: str, first: Tensor, second: Tensor) -> Tensor:
        """Return the log-odds as in the forward pass of `transformers`, from unnormalised vectors."""
        network = self.network
        scale, bias = {
            "audio_video": (network.audio_video_logit_scale, network.audio_video_logit_bias),
            "audio_text": (network.audio_model.text_audio_logit_scale, network.audio_model.text_audio_logit_bias),
            "video_text": (network.video_model.text_video_logit_scale, network.video_model.text_video_logit_bias),
        }[dimension]
        return first @ second.T * scale.to(first) + bias.to(first)


def _mirrored(sound: Tensor) -> Tensor:
    """Extend (samples,) by reflection to a multiple of the codec's step."""
    samples = len(sound)
    if samples == 0:
        raise MediaError("audio", "it has no samples", "give a clip with audio")
    turn = max(1, 2 * (samples - 1))
    place = torch.arange(-(-samples // HOP) * HOP, device=sound.device) % turn
    return sound[torch.minimum(place, turn - place)]
