"""The network of DF Arena: XLS-R, a gate for each of its layers, and a conformer (arXiv:2603.06164)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.avbench._conformer import Conformer
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._sizes import count_numbered

with extra("lmm"):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

_STRIDES = (5, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class DfArenaConfig:
    """Sizes of the network; the defaults are those of the published 1B checkpoint.

    Args:
        width, layers, heads, ffn: of XLS-R's transformer.
        channels, kernels: of its convolutions.
        positions, position_groups: taps and groups of the convolution that encodes positions.
        blocks: of the conformer.
        conformer_heads: attention heads of the conformer, and head tokens.
        kernel: taps of its convolutions.
        expansion: width of its feed-forward layers, in widths.
        longest: entries of its table of positions.
        final_norm: whether the last of the layers that are summed is read after the final layer norm, as with
            transformers 4, which the weights were trained with; transformers 5 gives it without.
    """

    width: int = 1280
    layers: int = 48
    heads: int = 16
    ffn: int = 5120
    channels: tuple[int, ...] = (512,) * 7
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    positions: int = 128
    position_groups: int = 16
    blocks: int = 4
    conformer_heads: int = 4
    kernel: int = 31
    expansion: int = 4
    longest: int = 10000
    final_norm: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> DfArenaConfig:
        """Return the configuration that `to_dict` wrote."""
        own: dict[str, Any] = {name: tuple(size) if isinstance(size, list) else size for name, size in sizes.items()}
        return cls(**own)

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], heads: int, source: object) -> DfArenaConfig:
        """Return the sizes of a published checkpoint.

        Args:
            shapes: name → shape of its entries.
            heads: attention heads of XLS-R, which its entries do not show.
            source: named by the error.

        Raises:
            AvrewardError: for a checkpoint of another system; it says what it looks like.
        """
        shapes = {held_name(name): shape for name, shape in shapes.items()}
        ssl, conformer = "backbone.ssl_model.", "backbone.conformer."
        try:
            convolutions = [shapes[f"{ssl}feature_extractor.conv_layers.{i}.conv.weight"] for i in range(len(_STRIDES))]
            width, group, positions = shapes[f"{ssl}{_POSITIONS}.original1"]
            block = f"{conformer}encoder_blocks.0."
            return cls(
                width,
                count_numbered(shapes, rf"{re.escape(ssl)}encoder\.layers\.(\d+)\."),
                heads,
                shapes[f"{ssl}encoder.layers.0.feed_forward.intermediate_dense.weight"][0],
                tuple(shape[0] for shape in convolutions),
                tuple(shape[2] for shape in convolutions),
                positions,
                width // group,
                count_numbered(shapes, rf"{re.escape(conformer)}encoder_blocks\.(\d+)\."),
                shapes[f"{block}attn.fn.pos_embed"][1],
                shapes[f"{block}conv.net.4.conv.weight"][2],
                shapes[f"{block}ff1.fn.fn.net.0.weight"][0] // width,
                shapes[f"{conformer}positional_emb"][1],
            )
        except (KeyError, ValueError, IndexError) as error:
            raise AvrewardError(
                f"{source}: expected a checkpoint of DF Arena (backbone.ssl_model.*, backbone.conformer.*), got "
                f"{looks_like(shapes)}; give Speech-Arena-2025/DF_Arena_1B_V_1"
            ) from error

    def xls_r(self) -> Wav2Vec2Config:
        """Return the configuration of the encoder."""
        return Wav2Vec2Config(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.ffn,
            conv_dim=list(self.channels),
            conv_kernel=list(self.kernels),
            conv_stride=list(_STRIDES),
            conv_bias=True,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            num_conv_pos_embeddings=self.positions,
            num_conv_pos_embedding_groups=self.position_groups,
            layerdrop=0.0,
        )


class DfArenaNetwork(nn.Module):
    """Logits of spoof and bona fide; names of the weights are those of the published checkpoint."""

    def __init__(self, config: DfArenaConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config)

    def forward(self, waves: Tensor) -> Tensor:
        """Return (clips, 2), logits of spoof and bona fide, of (clips, samples) at 16 kHz."""
        return self.backbone.conformer(self.backbone.fused(self.backbone.states(waves)))


class _Backbone(nn.Module):
    def __init__(self, config: DfArenaConfig) -> None:
        super().__init__()
        self.final_norm = config.final_norm
        self.ssl_model = Wav2Vec2Model(config.xls_r())
        self.attn_scores = nn.Linear(config.width, 1, bias=False)
        self.fc0 = nn.Linear(config.width, 1)
        self.first_bn = nn.BatchNorm2d(1)
        self.conformer = Conformer(
            config.width, config.blocks, config.conformer_heads, config.kernel, config.expansion, config.longest
        )

    def states(self, waves: Tensor) -> Tensor:
        """Return the input of each layer and the output of the last, (layers + 1, clips, frames, width)."""
        ssl = self.ssl_model
        hidden, _ = ssl.feature_projection(ssl.feature_extractor(waves).transpose(1, 2))
        hidden = hidden + ssl.encoder.pos_conv_embed(hidden)
        states = []
        for layer in ssl.encoder.layers:  # called here, since releases of transformers record them in different ways
            states.append(hidden)
            out = layer(hidden, attention_mask=None)
            hidden = out if isinstance(out, Tensor) else out[0]
        return torch.stack([*states, ssl.encoder.layer_norm(hidden) if self.final_norm else hidden])

    def gates(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted mean of each layer over time (layers, clips, width) and its gate (layers, clips, 1)."""
        weights = self.attn_scores(states).softmax(2)
        pooled = (weights * states).sum(2)
        return pooled, self.fc0(pooled).sigmoid()

    def fused(self, states: Tensor) -> Tensor:
        """Return the gated sum of the layers, normalised: (clips, frames, width)."""
        _, gates = self.gates(states)
        summed = (gates[:, :, None] * states).sum(0)
        return F.selu(self.first_bn(summed[:, None]))[:, 0]


_POSITIONS = "encoder.pos_conv_embed.conv.parametrizations.weight"


def held_name(name: str) -> str:
    """Return the name in `DfArenaNetwork` of an entry of a checkpoint by an older or a newer release.

    >>> held_name("backbone.ssl_model.encoder.pos_conv_embed.conv.weight_g")
    'backbone.ssl_model.encoder.pos_conv_embed.conv.parametrizations.weight.original0'
    """
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        if name.endswith(f"pos_conv_embed.conv.{old}"):
            return name.removesuffix(old) + f"parametrizations.weight.{new}"
    return name
