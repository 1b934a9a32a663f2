"""The backbone of AGAV-Rater: video and audio preprocessing, encoders, chat format (arXiv:2501.18314)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import UnusableTrack
from avreward.media._resize import resize
from avreward.media.fbank import beats_fbank
from avreward.media.resampling import joined_clips
from avreward.media.rounding import Rounding, to_int16
from avreward.media.sampling import FramePlan
from avreward.media.sampling_rules import AgavRaterFrames
from avreward.raters.agav._network import AgavNetwork
from avreward.raters.base import Track
from avreward.raters.encoders._version import VERSION as ENCODERS
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Prompt, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RATE = 16000
LEAST = 400  # samples, one window of the filter bank; less would be scored as silence
_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"  # Qwen2's chat template adds this by default


class AgavBackbone(Backbone):
    """SigLIP and BEATs with their connectors, and Qwen2, combined as in VideoLLaMA2.1-AV.

    Video: `num_frames` frames (from the checkpoint's configuration), resized to SigLIP's square by a bicubic filter in
    8 bits without keeping the aspect ratio, scaled to [−1, 1]. Audio: 16-bit mono at 16 kHz; eight pieces of 2 s,
    evenly spread, are joined and padded with silence to 30 s (`avreward.media.resampling.joined_clips`), and become
    Kaldi's filter bank in bfloat16. So a clip of any length gives the same number of tokens: at full size 1352 for
    video and 1496 for audio.

    Args:
        module: the complete network.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        reach_end: whether the pieces of audio reach its end, as in pytorchvideo's main branch; in its release on PyPI
            they don't.
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video", "audio")
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({"encoders": ENCODERS})
    module: AgavNetwork

    def __init__(
        self,
        module: AgavNetwork,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        reach_end: bool = False,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        self.frames = AgavRaterFrames(module.config.num_frames)
        self.side = int(module.vision.config.image_size)  # type: ignore[arg-type]
        self.reach_end = reach_end

    @property
    def language(self) -> PreTrainedModel:
        """Qwen2 without its head."""
        return self.module.language

    @property
    def head(self) -> nn.Module:
        """The layer from hidden states to logits; comparisons use it, the published scores don't."""
        return self.module.lm_head

    @property
    def settings(self) -> Mapping[str, str]:
        """Video and audio preprocessing: label → value."""
        return {
            "frames": f"{self.frames!r}, fast conversion, bicubic to {self.side}x{self.side}",
            "sound": f"{RATE} Hz mono by FFmpeg's resampler, 8 pieces of 2 s of 30 s, reach_end={self.reach_end}",
        }

    def load(self, clip: Clip, track: Track) -> Tensor:
        """Return pixels (frames, 3, side, side) in [−1, 1], or a normalised filter bank (2998, 128).

        Raises:
            UnusableTrack: if the audio is shorter than 25 ms.
        """
        if track == "video":
            frames = clip.frames(FramePlan(self.frames, conversion="fast"))
            return resize(frames, (self.side, self.side), "bicubic", self.rounding) * 2 - 1
        sound = to_int16(clip.sound(RATE, 1, "ffmpeg")[0], self.rounding)
        if len(sound) < LEAST:
            problem = f"its audio of {len(sound) / RATE:.4f} s is too short for AGAV-Rater"
            raise UnusableTrack(clip.path or "clip", problem, "give at least 25 ms")
        return beats_fbank(joined_clips(sound, RATE, reach_end=self.reach_end), self.rounding)

    def encode(self, track: Track, loaded: Tensor) -> Encoded:
        """Return the tokens of one track, without delimiters."""
        encoder: Any = self.module.vision if track == "video" else self.module.audio
        like = next(encoder.parameters())
        values = loaded.to(like.device, like.dtype)
        return [Tokens(self.module.encode_video(values) if track == "video" else self.module.encode_audio(values))]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return Qwen2's chat template: system turn, user's turn, assistant's turn with a newline after its end."""
        opened = [_SYSTEM + "<|im_start|>user\n", *user, "<|im_end|>\n<|im_start|>assistant\n", *answer]
        return [*opened, "<|im_end|>\n"] if closed else opened
