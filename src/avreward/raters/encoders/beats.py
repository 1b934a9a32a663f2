"""BEATs, a transformer over patches of a filter bank (Chen et al., ICML 2023, arXiv:2212.09058)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward._extras import extra
from avreward.errors import MediaError
from avreward.media._precision import widened

with extra("lmm"):
    from transformers.modeling_layers import GradientCheckpointingLayer

_PATCH, _BINS = 16, 128


@dataclass(frozen=True)
class BeatsConfig:
    """Sizes of a BEATs encoder; the defaults are the published ones (BEATs_iter3+, fine-tuned on AudioSet).

    Args:
        embed: width of a patch before the projection to `width`.
        layers: how many transformer layers; deep norm weighs a residual with ``(2·layers)^¼``.
        width: of the hidden states.
        ffn: width of the feed-forward layers.
        heads: of the attention.
        conv_pos: taps of the convolution that encodes positions.
        conv_pos_groups: its groups.
        buckets: of the relative positions, both directions together.
        max_distance: tokens from which on all distances share a bucket.
        classes: of the classifier that fine-tuned checkpoints contain.
        gradient_ratio: what the gradient is multiplied with at every layer, in evaluation too. 1.0 gives true
            gradients; the original code has 0.6, which makes those at the input too small by 0.6^layers.
    """

    embed: int = 512
    layers: int = 12
    width: int = 768
    ffn: int = 3072
    heads: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    buckets: int = 320
    max_distance: int = 800
    classes: int = 527
    gradient_ratio: float = 1.0


class Beats(nn.Module):
    """From a normalised filter bank (`avreward.media.fbank.beats_fbank`) to one vector for each patch of 16 × 16.

    Post-norm layers with deep norm and gated relative positions (WavLM, arXiv:2110.13900, section III-B). Parameters
    have the names of the official checkpoints, except that the table of relative positions, one for all layers, is held
    by the first layer only: rename the entries of a checkpoint with `held_name`. The attribute `gradient_ratio` of
    `BeatsConfig` may be set anew at any time.

    >>> tiny = BeatsConfig(embed=8, layers=2, width=16, ffn=24, heads=2, conv_pos=4, conv_pos_groups=2, classes=3)
    >>> Beats(tiny)(torch.zeros(1, 40, 128)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.gradient_ratio = config.gradient_ratio
        self.patch_embedding = nn.Conv2d(1, config.embed, _PATCH, _PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(config.embed)
        self.post_extract_proj = nn.Linear(config.embed, config.width)
        self.encoder = _BeatsEncoder(config)
        self.predictor = nn.Linear(config.width, config.classes)  # in the checkpoint; no rater uses it

    def forward(self, fbank: Tensor) -> Tensor:
        """Return (b, (windows // 16)·8, width) for `fbank`, float (b, windows, 128); time varies slowest.

        Windows after the last whole patch are left out. `MediaError` if there is none, or another number of bins.
        """
        if fbank.ndim != 3 or fbank.shape[1] < _PATCH or fbank.shape[2] != _BINS:
            need = f"give (b, windows, {_BINS}) with {_PATCH} windows or more"
            raise MediaError("fbank", f"shape {tuple(fbank.shape)} holds no patch", need)
        patches = self.patch_embedding(fbank[:, None])  # (b, embed, windows // 16, 8)
        tokens = self.post_extract_proj(self.layer_norm(patches.flatten(2).transpose(1, 2)))
        return self.encoder(tokens, self.gradient_ratio)


def held_name(name: str) -> str:
    """Return under which name `Beats` holds the entry `name` of a checkpoint, whatever prefix both have.

    Checkpoints repeat the shared table of relative positions under all layers, or under some of them.

    >>> held_name("audio.encoder.layers.11.self_attn.relative_attention_bias.weight")
    'audio.encoder.layers.0.self_attn.relative_attention_bias.weight'
    >>> held_name("encoder.layers.11.fc1.bias")
    'encoder.layers.11.fc1.bias'
    """
    return re.sub(r"(encoder\.layers)\.\d+(\.self_attn\.relative_attention_bias\.weight)$", r"\1.0\2", name)


class _BeatsEncoder(nn.Module):
    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(_PositionalConv(config.width, config.conv_pos, config.conv_pos_groups), nn.GELU())
        self.layer_norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(_BeatsLayer(config, holds_table=i == 0) for i in range(config.layers))

    def forward(self, x: Tensor, gradient_ratio: float) -> Tensor:
        x = self.layer_norm(x + self.pos_conv(x))
        bias = cast(_BeatsLayer, self.layers[0]).self_attn.position_bias(x.shape[1])
        for layer in self.layers:
            x = layer(_ScaledGradient.apply(x, gradient_ratio), bias)
        return x


class _PositionalConv(nn.Module):
    """A grouped convolution along the tokens whose weight is normalised tap by tap."""

    def __init__(self, width: int, taps: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, taps) * math.sqrt(4 / (taps * width)))
        self.weight_g = nn.Parameter(self.weight_v.detach().square().sum((0, 1), keepdim=True).sqrt())
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = widened(self.weight_v)  # thousands of squares are added up
        # torch's weight_norm has no 1e-6
        unit = wide * torch.rsqrt(wide.square().sum((0, 1), keepdim=True) + 1e-6)
        weight = (unit * self.weight_g).to(self.weight_v.dtype)
        out = F.conv1d(x.transpose(1, 2), weight, self.bias, padding=weight.shape[2] // 2, groups=self.groups)
        return out[..., : x.shape[1]].transpose(1, 2)  # an even number of taps gives one token too many


class _BeatsLayer(GradientCheckpointingLayer):
    def __init__(self, config: BeatsConfig, holds_table: bool) -> None:
        super().__init__()
        self.alpha = (2 * config.layers) ** 0.25
        self.self_attn = _BeatsAttention(config, holds_table)
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.ffn)
        self.fc2 = nn.Linear(config.ffn, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(self.alpha * x + self.self_attn(x, bias))
        return self.final_layer_norm(self.alpha * x + self.fc2(F.gelu(self.fc1(x))))


class _BeatsAttention(nn.Module):
    """Attention whose bias by relative position is gated by each query, (b, tokens, width) to the same shape."""

    def __init__(self, config: BeatsConfig, holds_table: bool) -> None:
        super().__init__()
        self.heads, self.max_distance = config.heads, config.max_distance
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)
        self.grep_linear = nn.Linear(config.width // config.heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, config.heads, 1, 1))
        if holds_table:
            self.relative_attention_bias = nn.Embedding(config.buckets, config.heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (b, heads, tokens, width // heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        gates = self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1).sigmoid()  # (b, heads, tokens, 2)
        first, second = gates[..., :1], gates[..., 1:]
        gated = (first * (second * self.grep_a - 1) + 2) * bias  # (b, heads, tokens, tokens)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=gated)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def position_bias(self, tokens: int) -> Tensor:
        """The bias before gating, (heads, tokens of the query, tokens of the key)."""
        table = self.relative_attention_bias
        distances = torch.arange(1 - tokens, tokens, device=table.weight.device)  # of the key from the query
        by_distance = table(_bucket(distances, table.num_embeddings, self.max_distance)).T  # (heads, 2·tokens − 1)
        return by_distance.unfold(-1, tokens, 1).flip(-2)  # the first query sees distances from 0 on


def _bucket(distances: Tensor, buckets: int, most: int) -> Tensor:
    """Number `distances`, int64: half of `buckets` a direction, short ones exact, longer ones on a log scale to `most`.

    As T5 does (arXiv:1910.10683, section 2.1), in float32: other precisions round differently at the borders.
    """
    side = buckets // 2
    exact = side // 2
    size = distances.abs()
    scale = torch.log(size.clamp(min=1).float() / exact) / math.log(most / exact) * (side - exact)
    far = (exact + scale).long().clamp(max=side - 1)
    return torch.where(size < exact, size, far) + side * (distances > 0)


class _ScaledGradient(torch.autograd.Function):
    """The identity, with a gradient multiplied by `ratio`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ratio: float) -> Tensor:
        ctx.ratio = ratio
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.ratio, None
