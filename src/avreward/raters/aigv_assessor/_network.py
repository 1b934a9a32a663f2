"""The network of AIGV-Assessor: InternVL, SlowFast, a projector of motion and a score head (arXiv:2411.17221)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, unknown_name
from avreward.raters.encoders.slowfast import ALPHA, SlowFast, SlowFastConfig, pooled_vector, slow_frames
from avreward.raters.lmm.readout import applied

Template = Literal["internlm2-chat", "internvl2_5", "chatml"]
Part = Literal["spatial", "temporal"]
_WIDTHS = (1024, 256, 64, 16, 1)  # of the score head's layers


@dataclass(frozen=True)
class AssessorConfig:
    """Sizes of an `AssessorNetwork` and the text format that it was trained with.

    Args:
        base: `transformers.InternVLConfig` as a dictionary.
        motion: sizes of SlowFast.
        frames: how many frames of a clip the network sees; a multiple of 4, so that SlowFast's slow pathway fits.
        template: ``"internlm2-chat"`` (InternVL2-8B, as published), ``"internvl2_5"``, or ``"chatml"`` (ChatML without
            a system turn, as `transformers` writes it for InternVL2.5 and 3).
        last_relu: whether a ReLU follows the last layer of the score head, as in the original.
        encoders: what the language model sees: ``"spatial"`` (the frames), ``"temporal"`` (the motion token), or both;
            leaving one out is an ablation of the paper's table 7.

    Raises:
        ArgumentError: for another number of frames, an unknown template, or no encoder.
    """

    base: Mapping[str, Any]
    motion: SlowFastConfig
    frames: int = 8
    template: Template = "internlm2-chat"
    last_relu: bool = False
    encoders: tuple[Part, ...] = get_args(Part)

    def __post_init__(self) -> None:
        if self.frames < ALPHA or self.frames % ALPHA:
            raise ArgumentError("frames", f"a multiple of {ALPHA}", self.frames)
        if self.template not in get_args(Template):
            raise unknown_name("template", self.template, get_args(Template))
        known = get_args(Part)
        if self.encoders not in (known, *((one,) for one in known)):
            raise ArgumentError("encoders", f"{' and '.join(known)}, or one of them", self.encoders)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AssessorConfig:
        """Return the configuration that `to_dict` wrote."""
        motion = {**data["motion"], "depths": tuple(data["motion"]["depths"])}
        encoders = tuple(data.get("encoders", get_args(Part)))
        return cls(**{**data, "motion": SlowFastConfig(**motion), "encoders": encoders})


class AssessorNetwork(nn.Module):
    """All that a checkpoint of AIGV-Assessor holds.

    Children: `base` (InternVL of `transformers`), `motion` (SlowFast without its classifier), `motion_mlp` (its vector
    → one token) and `score` (hidden state → score). Entries of published checkpoints are renamed by
    `avreward.raters.aigv_assessor._keys`.

    Args:
        config: the sizes.
        attention: how InternVL computes attention, as `transformers` names it.
    """

    def __init__(self, config: AssessorConfig, attention: str = "sdpa") -> None:
        super().__init__()
        with extra("lmm"):
            from transformers import InternVLConfig, InternVLForConditionalGeneration

        sizes = InternVLConfig.from_dict({**config.base, "attn_implementation": attention})
        sizes._attn_implementation = attention  # for the encoder and the language model, too
        width = sizes.text_config.hidden_size  # type: ignore[union-attr]
        self.config = config
        self.base = InternVLForConditionalGeneration(sizes)
        self.motion = SlowFast(replace(config.motion, classes=None))
        self.motion_mlp = motion_projector(sum(self.motion.widths), width)
        self.score = ScoreHead(width, config.last_relu)

    def encode_motion(self, pixels: Tensor) -> Tensor:
        """Return the motion token (1, width of the language model) of one clip.

        Args:
            pixels: normalised frames (frames, 3, height, width).
        """
        fast = pixels.movedim(0, 1)[None]
        return self.motion_mlp(pooled_vector(*self.motion(slow_frames(fast), fast)))


class ScoreHead(nn.Module):
    """Five linear layers with a ReLU between, from a hidden state to a score; names as in the original.

    The original has a ReLU after the last layer, too: scores can't be negative, and a head whose last layer gives
    negative numbers everywhere has no gradient any more. New heads have none.

    Args:
        width: of the hidden state.
        last_relu: whether a ReLU follows the last layer.
    """

    def __init__(self, width: int, last_relu: bool = False) -> None:
        super().__init__()
        self.last_relu = last_relu
        for number, (before, after) in enumerate(zip((width, *_WIDTHS), _WIDTHS, strict=False), start=1):
            self.add_module(f"fc{number}", nn.Linear(before, after))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the scores (…) of hidden states (…, width), in float32 or wider."""
        for number in range(1, len(_WIDTHS) + 1):
            hidden = applied(self.get_submodule(f"fc{number}"), hidden)
            if number < len(_WIDTHS) or self.last_relu:
                hidden = hidden.relu()
        return hidden.squeeze(-1)


def motion_projector(features: int, width: int) -> nn.Sequential:
    """Return the projector of SlowFast's vector to a token: LayerNorm, Linear, GELU, Linear."""
    return nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width), nn.GELU(), nn.Linear(width, width))
