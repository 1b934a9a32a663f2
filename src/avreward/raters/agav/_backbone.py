"""AGAV-Rater's own network: what it sees, hears and reads (arXiv:2501.18314)."""

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
LEAST = 400  # samples: a window of the filter bank; less would be scored as silence
_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"  # what Qwen2's chat template adds by itself


class AgavBackbone(Backbone):
    """SigLIP and BEATs with their connectors, and Qwen2, as VideoLLaMA2.1-AV puts them together.

    The picture: `num_frames` frames (of the checkpoint's configuration), squashed to SigLIP's square by a bicubic
    resize to 8 bits, scaled to [−1, 1]. The sound: 16-bit mono at 16 kHz; eight pieces of 2 s, spread over it, are
    joined and filled up with silence to 30 s (`avreward.media.resampling.joined_clips`), and become Kaldi's filter
    bank in bfloat16. So a clip of any length gives the same number of tokens: at full size 1352 and 1496.

    Args:
        module, tokenizer, rounding: as for `Backbone`.
        reach_end: the pieces of sound reach its end, as with pytorchvideo's main branch; those of its release on PyPI
            don't.
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
        """Hidden states to logits; the published scores don't use it, comparisons do."""
        return self.module.lm_head

    @property
    def settings(self) -> Mapping[str, str]:
        """How frames and sound are chosen and prepared."""
        return {
            "frames": f"{self.frames!r}, bicubic to {self.side}x{self.side}",
            "sound": f"{RATE} Hz mono, 8 pieces of 2 s of 30 s, reach_end={self.reach_end}",
        }

    def load(self, clip: Clip, track: Track) -> Tensor:
        """Pixels (frames, 3, side, side) in [−1, 1], or a normalised filter bank (2998, 128)."""
        if track == "video":
            frames = clip.frames(FramePlan(self.frames))
            return resize(frames, (self.side, self.side), "bicubic", self.rounding) * 2 - 1
        sound = to_int16(clip.sound(RATE, 1)[0], self.rounding)
        if len(sound) < LEAST:
            problem = f"its sound of {len(sound) / RATE:.4f} s is too short for AGAV-Rater"
            raise UnusableTrack(clip.path or "clip", problem, "give at least 25 ms")
        return beats_fbank(joined_clips(sound, RATE, reach_end=self.reach_end), self.rounding)

    def encode(self, track: Track, loaded: Tensor) -> Encoded:
        """The tokens of one track, with nothing around them."""
        encoder: Any = self.module.vision if track == "video" else self.module.audio
        like = next(encoder.parameters())
        values = loaded.to(like.device, like.dtype)
        return [Tokens(self.module.encode_video(values) if track == "video" else self.module.encode_audio(values))]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Qwen2's chat template: its system turn, the user's, the assistant's with a newline after its end."""
        opened = [_SYSTEM + "<|im_start|>user\n", *user, "<|im_end|>\n<|im_start|>assistant\n", *answer]
        return [*opened, "<|im_end|>\n"] if closed else opened
