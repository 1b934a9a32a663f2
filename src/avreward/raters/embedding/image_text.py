"""CLIP, SigLIP and SigLIP 2: frames compared with the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, FrameRule, Spread
from avreward.raters.base import Track
from avreward.raters.embedding._card import PAIRS, Side
from avreward.raters.embedding._frames import NaflexPictures, Patched, Pictures
from avreward.raters.embedding.base import EmbeddingRater, Score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EIGHT_FRAMES = Spread(8)


class ImageTextRater(EmbeddingRater):
    """How well the frames match the prompt: the mean over frames of the score of an image–text model.

    For CLIP (Radford et al., 2021, arXiv:2103.00020), SigLIP (Zhai et al., 2023, arXiv:2303.15343) and SigLIP 2
    (Tschannen et al., 2025, arXiv:2502.14786), of fixed size and NaFlex. With CLIP this is CLIPScore (Hessel et al.,
    2021, arXiv:2104.08718) before its factor of 2.5, as video benchmarks average it. Motion has no effect.

    The probability of SigLIP is σ(exp(scale)·cosine + bias); CLIP has none.

    Args:
        module: as for `EmbeddingRater`.
        tokenizer: as for `EmbeddingRater`.
        pictures: how frames are resized and normalised.
        rounding: as for `EmbeddingRater`.
        score: as for `EmbeddingRater`.
        frames: which frames; by default eight, spread evenly.

    Example:
        >>> from tiny.embedding import tiny_siglip
        >>> rater = tiny_siglip(score="probability")
        >>> clip = Clip(video=torch.rand(12, 3, 40, 64), fps=8, prompt="a good video")
        >>> rater([clip])["video_text"].shape, rater.dimension("video_text").low
        (torch.Size([1]), 0.0)
    """

    name = "image_text"
    tracks: tuple[Track, ...] = ("video",)
    pairs: ClassVar[Mapping[str, tuple[Side, Side]]] = {"video_text": PAIRS["video_text"]}
    model_types: ClassVar[tuple[str, ...]] = ("clip", "siglip", "siglip2")

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        pictures: Pictures | NaflexPictures,
        rounding: Rounding = "straight_through",
        score: Score = "cosine",
        frames: FrameRule = EIGHT_FRAMES,
    ) -> None:
        self.pictures, self.frames = pictures, frames
        super().__init__(module, tokenizer, rounding, score)

    @classmethod
    def prepared(cls, files: Mapping[str, Any], config: Any) -> dict[str, Any]:
        """Return the settings of the image processor's file; the defaults are those of `transformers`."""
        if config.model_type == "siglip2":
            return {"pictures": NaflexPictures.of(files, NaflexPictures(config.vision_config.patch_size))}
        side = config.vision_config.image_size
        clip = Pictures(side, (side, side), mean=CLIP_MEAN, std=CLIP_STD)
        return {"pictures": Pictures.of(files, clip if config.model_type == "clip" else Pictures((side, side)))}

    @classmethod
    def has_probability(cls, module: nn.Module) -> bool:
        """Return whether it is SigLIP, whose loss is a sigmoid of each pair; that of CLIP is a softmax over a batch."""
        return hasattr(module, "logit_bias")

    @property
    def preparation(self) -> Mapping[str, str]:
        """Settings of the frames."""
        return {"frames": f"{self.frames!r}, fast conversion", "pictures": repr(self.pictures)}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of the chosen frames."""
        return [FramePlan(self.frames, conversion="fast")]

    def load_track(self, clip: Clip, track: Track) -> Tensor | Patched:
        """Return the chosen frames as input of the image encoder."""
        return self.pictures(clip.frames(FramePlan(self.frames, conversion="fast")), self.rounding)

    def embed(self, side: Side, loaded: Any) -> Mapping[str, Tensor]:
        """Return a vector for each frame, or one for the prompt, before normalization."""
        if side == "prompt":
            # SigLIP was trained with texts padded to their full length.
            siglip = self.has_probability(self.network)
            tokens = self.tokens(loaded, **({"padding": "max_length", "padding_side": "right"} if siglip else {}))
            if siglip:
                tokens.pop("attention_mask", None)  # and without a mask, whatever the tokenizer would give
            features = self.network.get_text_features(**tokens)
        else:
            features = self.network.get_image_features(**self._pixels(loaded))
        return {"video_text": features.pooler_output}

    def logits(self, dimension: str, first: Tensor, second: Tensor) -> Tensor:
        """Return the log-odds of SigLIP from the cosine."""
        cosine = nn.functional.normalize(first, dim=-1) @ nn.functional.normalize(second, dim=-1).T
        return cosine * self.network.logit_scale.exp().to(cosine) + self.network.logit_bias.to(cosine)

    def _pixels(self, loaded: Tensor | Patched) -> dict[str, Tensor]:
        device, dtype = self.network.device, self.network.dtype
        if isinstance(loaded, Tensor):
            return {"pixel_values": loaded.to(device, dtype)}
        values = loaded.values.to(device, dtype)
        return {
            "pixel_values": values,
            "pixel_attention_mask": torch.ones(values.shape[:2], dtype=torch.long, device=device),
            "spatial_shapes": torch.tensor([loaded.grid] * len(values), device=device),
        }
