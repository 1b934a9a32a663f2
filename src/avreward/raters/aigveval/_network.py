"""The network of AIGVEval: three encoders, their projections, and a language model that reads their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, unknown_name
from avreward.raters.encoders.slowfast import SlowFast, SlowFastConfig
from avreward.raters.encoders.swin3d import Swin3d, Swin3dConfig

Encoder = Literal["semantic", "motion", "technical"]
Combination = Literal["anchors", "concatenation", "cross_attention"]
HEADS = 8  # of the cross-attention; the paper gives no number


@dataclass(frozen=True)
class AigvEvalConfig:
    """Sizes of an `AigvEvalNetwork`, and which of its parts there are.

    Args:
        vision: arguments of `transformers.BlipVisionConfig`.
        language: arguments of `transformers.LlamaConfig`.
        motion: sizes of SlowFast.
        technical: sizes of Swin3D.
        positions: rows of the table of positions that motion tokens are added to.
        repeats: how often the one technical token is repeated.
        encoders: those that are read, in this order; leaving one out is an ablation of the paper's table 3.
        combination: ``"anchors"``: a text before the tokens of each encoder; ``"concatenation"``: the tokens alone;
            ``"cross_attention"``: the tokens of the first encoder attend to those of the others, and are read alone
            (both of table 3).

    Raises:
        ArgumentError: for an unknown encoder or combination, or for none at all.
    """

    vision: Mapping[str, Any]
    language: Mapping[str, Any]
    motion: SlowFastConfig = field(default_factory=SlowFastConfig)
    technical: Swin3dConfig = field(default_factory=Swin3dConfig)
    positions: int = 2000
    repeats: int = 32
    encoders: tuple[Encoder, ...] = get_args(Encoder)
    combination: Combination = "anchors"

    def __post_init__(self) -> None:
        known = get_args(Encoder)
        for name in self.encoders:
            if name not in known:
                raise unknown_name("encoders", name, known)
        if self.encoders != tuple(name for name in known if name in self.encoders) or not self.encoders:
            raise ArgumentError("encoders", f"some of {', '.join(known)}, in this order", self.encoders)
        if self.combination not in get_args(Combination):
            raise unknown_name("combination", self.combination, get_args(Combination))
        if self.combination == "cross_attention" and len(self.encoders) < 2:
            raise ArgumentError("encoders", "two or more for cross_attention", self.encoders)

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> AigvEvalConfig:
        """Return the configuration that `to_dict` wrote."""
        motion, technical = (
            dict[str, Any]((k, tuple(v) if isinstance(v, list) else v) for k, v in sizes[name].items())
            for name in ("motion", "technical")
        )
        parts = {"motion": SlowFastConfig(**motion), "technical": Swin3dConfig(**technical)}
        return cls(**{**sizes, **parts, "encoders": tuple(sizes["encoders"])})


class AigvEvalNetwork(nn.Module):
    """All that a checkpoint of AIGVEval holds.

    Children: `vision` (BLIP), `motion` (SlowFast, of which the fast pathway is read) with `motion_positions`,
    `technical` (Swin3D), a projection for each of them, `language` (Llama without a head), `lm_head`, and `fusion` for
    the combination by cross-attention.

    Args:
        config: the sizes.
        attn_implementation: of Llama, as `transformers` names it.
    """

    def __init__(self, config: AigvEvalConfig, attn_implementation: str = "sdpa") -> None:
        super().__init__()
        with extra("lmm"):
            from transformers import BlipVisionConfig, BlipVisionModel, LlamaConfig, LlamaModel

        language = LlamaConfig(**{**config.language, "attn_implementation": attn_implementation})
        width = language.hidden_size
        self.config = config
        if "semantic" in config.encoders:
            vision = BlipVisionConfig(**{**config.vision, "attn_implementation": "eager"})  # it has no other
            self.vision = BlipVisionModel(vision)
            self.vision_projector = nn.Linear(vision.hidden_size, width)
        if "motion" in config.encoders:
            self.motion = SlowFast(config.motion)
            fast = self.motion.widths[1]
            self.motion_positions = nn.Embedding(config.positions, fast)
            self.motion_projector = nn.Sequential(nn.Linear(fast, width), nn.GELU(), nn.Linear(width, width))
        if "technical" in config.encoders:
            self.technical = Swin3d(config.technical)
            self.technical_projector = nn.Linear(self.technical.norm.normalized_shape[0], width)
        if config.combination == "cross_attention":
            self.fusion = _CrossAttention(width)
        self.language = LlamaModel(language)
        self.lm_head = nn.Linear(width, language.vocab_size, bias=False)

    def encode_semantic(self, frames: Tensor) -> Tensor:
        """Return one token for each key frame, (frames, width), of normalised frames (frames, 3, side, side)."""
        # the class token after the final norm; the pooler would norm it twice
        return self.vision_projector(self.vision(pixel_values=frames).last_hidden_state[:, 0])

    def encode_motion(self, frames: Tensor) -> Tensor:
        """Return one token for each dense frame, (frames, width), of a normalised video (1, 3, frames, side, side)."""
        return self.project_motion(self.motion.fast(frames).mean((3, 4))[0].T)

    def project_motion(self, pooled: Tensor) -> Tensor:
        """Return motion tokens (frames, width) of SlowFast's pooled fast features (frames, channels)."""
        return self.motion_projector(pooled + self.motion_positions.weight[: len(pooled)])

    def encode_technical(self, fragments: Tensor) -> Tensor:
        """Return the technical token, repeated, (repeats, width), of normalised fragments (1, 3, frames, …)."""
        return self.project_technical(self.technical(fragments).mean((2, 3, 4))[0])

    def project_technical(self, pooled: Tensor) -> Tensor:
        """Return the technical token, repeated, (repeats, width), of Swin3D's pooled features (channels,)."""
        return self.technical_projector(pooled).expand(self.config.repeats, -1)


class _CrossAttention(nn.Module):
    """Tokens of the first encoder, with what they attend to among those of the others added to them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, first: Tensor, others: Tensor) -> Tensor:
        """(n, width) and (m, width) → (n, width)."""
        keys = self.key_norm(others)[None]
        found, _ = self.attention(self.query_norm(first)[None], keys, keys, need_weights=False)
        return first + found[0]
