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
from avreward.errors import ArgumentError
from avreward.media._precision import widened
from avreward.raters.encoders._gated_attention import gated_attention

with extra("lmm"):
    from transformers.modeling_layers import GradientCheckpointingLayer

_PATCH, _BINS = 16, 128


@dataclass(frozen=True)
class BeatsConfig:
    """Sizes of a BEATs encoder; the defaults are the published ones (BEATs_iter3+, fine-tuned on AudioSet).

    Args:
        embed: width of a patch before the projection to `width`.
        layers: number of transformer layers; deep norm weights a residual by ``(2·layers)^¼``.
        width: of the hidden states.
        ffn: width of the feed-forward layers.
        heads: number of attention heads.
        conv_pos: taps of the convolution that encodes positions.
        conv_pos_groups: groups of that convolution.
        buckets: of the relative positions, both directions together.
        max_distance: distance in tokens above which all distances share a bucket.
        classes: of the classifier that fine-tuned checkpoints contain.
        gradient_ratio: factor of the gradient at every layer, in evaluation too. 1.0 gives true gradients; the
            original code uses 0.6, which scales the gradient at the input by 0.6^layers.
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
    """BEATs encoder: one vector for each 16 × 16 patch of a normalised filter bank.

    Post-norm layers with deep norm and gated relative positions (WavLM, arXiv:2110.13900, section III-B). Parameters
    have the names of the official checkpoints, except that only the first layer holds the table of relative positions
    that all layers share: rename the entries of a checkpoint with `held_name`. The attribute `gradient_ratio` (see
    `BeatsConfig`) may be changed at any time.

    Args:
        config: the sizes.

    Example:
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
        """Return the features (b, (windows // 16)·8, width); time varies slowest.

        Args:
            fbank: float (b, windows, 128), normalised by `avreward.media.fbank.beats_fbank`. Windows after the last
                whole patch are ignored.

        Raises:
            ArgumentError: if `fbank` has another shape or fewer than 16 windows.
        """
        if fbank.ndim != 3 or fbank.shape[1] < _PATCH or fbank.shape[2] != _BINS:
            raise ArgumentError("fbank", f"a tensor (b, windows, {_BINS}) with {_PATCH} windows or more", fbank)
        patches = self.patch_embedding(fbank[:, None])  # (b, embed, windows // 16, 8)
        tokens = self.post_extract_proj(self.layer_norm(patches.flatten(2).transpose(1, 2)))
        return self.encoder(tokens, self.gradient_ratio)


def held_name(name: str) -> str:
    """Return the name in `Beats` for the entry `name` of a checkpoint, with any prefix.

    Checkpoints repeat the shared table of relative positions under all layers, or under some of them.

    Example:
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
        by_distance = cast(_BeatsLayer, self.layers[0]).self_attn.by_distance(x.shape[1])
        for layer in self.layers:
            x = layer(_ScaledGradient.apply(x, gradient_ratio), by_distance)
        return x


class _PositionalConv(nn.Module):
    """A grouped convolution along the tokens; each tap of its weight is normalised."""

    def __init__(self, width: int, taps: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, taps) * math.sqrt(4 / (taps * width)))
        self.weight_g = nn.Parameter(self.weight_v.detach().square().sum((0, 1), keepdim=True).sqrt())
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = widened(self.weight_v)  # a sum of thousands of squares
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

    def forward(self, x: Tensor, by_distance: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(self.alpha * x + self.self_attn(x, by_distance))
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

    def forward(self, x: Tensor, by_distance: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (b, heads, tokens, width // heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        gates = self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1).sigmoid()  # (b, heads, tokens, 2)
        first, second = gates[..., :1], gates[..., 1:]
        gate = first * (second * self.grep_a - 1) + 2
        out = gated_attention(query, key, value, gate, by_distance)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def by_distance(self, tokens: int) -> Tensor:
        """Return the bias before gating, (heads, 2·tokens − 1), for keys 1 − tokens, …, tokens − 1 after the query."""
        table = self.relative_attention_bias
        distances = torch.arange(1 - tokens, tokens, device=table.weight.device)
        return table(_bucket(distances, table.num_embeddings, self.max_distance)).T.contiguous()


def _bucket(distances: Tensor, buckets: int, most: int) -> Tensor:
    """Return bucket numbers, int64: half of `buckets` a direction, exact when short, then on a log scale to `most`.

    As in T5 (arXiv:1910.10683, section 2.1), in float32: other precisions round differently at the borders.
    """
    side = buckets // 2
    exact = side // 2
    size = distances.abs()
    scale = torch.log(size.clamp(min=1).float() / exact) / math.log(most / exact) * (side - exact)
    far = (exact + scale).long().clamp(max=side - 1)
    return torch.where(size < exact, size, far) + side * (distances > 0)


class _ScaledGradient(torch.autograd.Function):
    """The identity; its gradient is multiplied by `ratio`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ratio: float) -> Tensor:
        ctx.ratio = ratio
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.ratio, None
