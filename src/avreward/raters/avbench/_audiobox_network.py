"""The network of Audiobox Aesthetics: WavLM and four heads (Tjandra et al., 2025, arXiv:2502.05139)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._looks import looks_like

with extra("lmm"):
    from transformers import WavLMConfig, WavLMModel

AXES = ("CE", "CU", "PC", "PQ")
_KERNELS, _STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
_TARGETS = {"CE": (5.06865, 1.93029), "CU": (5.73633, 1.75669), "PC": (3.18591, 1.86637), "PQ": (6.57505, 1.51466)}


@dataclass(frozen=True)
class AudioboxConfig:
    """Sizes of the network; the defaults are those of the published checkpoint.

    Args:
        width, layers, heads, ffn: of WavLM's transformer.
        channels: of its convolutions.
        positions, position_groups: taps and groups of the convolution that encodes positions.
        buckets, max_distance: of the relative positions.
        targets: mean and standard deviation of the ratings on each axis.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    ffn: int = 3072
    channels: int = 512
    positions: int = 128
    position_groups: int = 16
    buckets: int = 320
    max_distance: int = 800
    targets: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(_TARGETS))

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], source: object) -> AudioboxConfig:
        """Return the sizes of a published checkpoint.

        Args:
            shapes: name → shape of its entries.
            config: its ``config.json``, with the exact `target_transform`; may be empty.
            source: named by the error.

        Raises:
            AvrewardError: for a checkpoint of another system; it says what it looks like.
        """
        wavlm = "wavlm_model."
        try:
            width, group, positions = shapes[f"{wavlm}encoder.pos_conv.0.weight_v"]
            buckets, heads = shapes[f"{wavlm}encoder.layers.0.self_attn.relative_attention_bias.weight"]
            ffn = shapes[f"{wavlm}encoder.layers.0.fc1.weight"][0]
            channels = shapes[f"{wavlm}feature_extractor.conv_layers.0.0.weight"][0]
            layers = shapes["layer_weights.CE"][0] - 1
        except (KeyError, ValueError, IndexError) as error:
            raise AvrewardError(
                f"{source}: expected a checkpoint of Audiobox Aesthetics (wavlm_model.*, proj_layer.*), got "
                f"{looks_like(shapes)}; give facebook/audiobox-aesthetics"
            ) from error
        given = config.get("target_transform") or {}
        targets = {axis: (given[axis]["mean"], given[axis]["std"]) for axis in AXES} if given else dict(_TARGETS)
        return cls(width, layers, heads, ffn, channels, positions, width // group, buckets, cls.max_distance, targets)

    def wavlm(self) -> WavLMConfig:
        """Return the configuration of the encoder."""
        return WavLMConfig(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.ffn,
            conv_dim=[self.channels] * len(_KERNELS),
            conv_kernel=list(_KERNELS),
            conv_stride=list(_STRIDES),
            conv_bias=False,
            feat_extract_norm="group",
            do_stable_layer_norm=False,
            num_conv_pos_embeddings=self.positions,
            num_conv_pos_embedding_groups=self.position_groups,
            num_buckets=self.buckets,
            max_bucket_distance=self.max_distance,
            layerdrop=0.0,
        )


class AudioboxNetwork(nn.Module):
    """WavLM, whose layers each axis weights for itself, a masked mean over time, and a head for each axis."""

    def __init__(self, config: AudioboxConfig) -> None:
        super().__init__()
        self.config = config
        self.wavlm_model = WavLMModel(config.wavlm())
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.ones(config.layers + 1)) for axis in AXES})
        self.proj_layer = nn.ModuleDict({axis: _head(config.width) for axis in AXES})

    def forward(self, windows: Tensor, lengths: Tensor) -> Tensor:
        """Return (windows, 4), scores of CE, CU, PC and PQ on the scale of the ratings.

        Args:
            windows: audio (windows, samples) at 16 kHz, padded with zeros.
            lengths: samples of each window that are not padding, int (windows,).
        """
        states, mask = self.states(windows, lengths)
        raw = torch.cat([self.proj_layer[axis](self.embedding(axis, states, mask)) for axis in AXES], 1)
        mean, spread = (raw.new_tensor([self.config.targets[axis][i] for axis in AXES]) for i in (0, 1))
        return raw * spread + mean

    def states(self, windows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return all layers' states (layers + 1, windows, frames, width) and the mask of frames (windows, frames)."""
        wavlm = self.wavlm_model
        hidden, _ = wavlm.feature_projection(wavlm.feature_extractor(windows).transpose(1, 2))
        mask = frame_mask(lengths, windows.shape[1], hidden.shape[1])
        # transformers derives another mask, one frame shorter in padded windows, so its layers are called here
        encoder = wavlm.encoder
        hidden = hidden * mask[..., None].to(hidden)
        hidden = encoder.layer_norm(hidden + encoder.pos_conv_embed(hidden))
        states, bias = [hidden], None
        for i, layer in enumerate(encoder.layers):
            hidden, bias = layer(hidden, attention_mask=mask, position_bias=bias, index=i)[:2]
            states.append(hidden)
        return torch.stack(states), mask

    def embedding(self, axis: str, states: Tensor, mask: Tensor) -> Tensor:
        """Return the unit vector (windows, width) that the head of `axis` reads."""
        weighted = torch.einsum("l,lwfc->wfc", self.layer_weights[axis].softmax(0), states)
        there = mask[..., None].to(weighted)
        return F.normalize((weighted * there).sum(1) / there.sum(1), dim=-1)


def frame_mask(lengths: Tensor, samples: int, frames: int) -> Tensor:
    """Return which frames of padded windows hold audio, bool (windows, frames), by the original's rule.

    A window is cut into `frames` runs of equal length; a frame is padding if its whole run is.

    >>> frame_mask(torch.tensor([7]), 10, 3)
    tensor([[True, True, True]])
    """
    starts = torch.arange(frames, device=lengths.device) * (samples // frames)
    return starts < lengths[:, None]


def _head(width: int) -> nn.Sequential:
    """Return four times Linear, LayerNorm, GELU, and a Linear to one score."""
    parts = [part for _ in range(4) for part in (nn.Linear(width, width), nn.LayerNorm(width), nn.GELU())]
    return nn.Sequential(*parts, nn.Linear(width, 1))


_NAMES = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.2\.", r"\1.layer_norm."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)
"""Name in fairseq's WavLM → name in that of `transformers`, in this order; the first that fits."""


def held_name(name: str) -> str:
    """Return the name in `AudioboxNetwork` of an entry of a published checkpoint.

    >>> held_name("wavlm_model.encoder.layers.0.self_attn.q_proj.weight")
    'wavlm_model.encoder.layers.0.attention.q_proj.weight'
    """
    prefix = "wavlm_model."
    if not name.startswith(prefix):
        return name
    own = name.removeprefix(prefix)
    for pattern, new in _NAMES:
        own, changed = re.subn(pattern, new, own)
        if changed:
            break
    return prefix + own
