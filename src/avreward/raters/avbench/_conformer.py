"""The conformer of DF Arena, with a class token and head tokens (Truong et al., 2024, arXiv:2406.17376)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conformer(nn.Module):
    """Two logits of a sequence of features, read at a class token; published names of the weights.

    Args:
        width: of the features.
        blocks: how many.
        heads: of attention; also how many head tokens each block adds.
        kernel: taps of the depthwise convolutions, an odd number.
        expansion: width of the feed-forward layers, in widths.
        longest: frames that have a position.
    """

    def __init__(self, width: int, blocks: int, heads: int, kernel: int, expansion: int, longest: int) -> None:
        super().__init__()
        self.positional_emb = nn.Parameter(_sinusoids(longest, width)[None])
        self.class_token = nn.Parameter(torch.rand(1, width))
        self.encoder_blocks = nn.ModuleList(_Block(width, heads, kernel, expansion) for _ in range(blocks))
        self.fc5 = nn.Linear(width, 2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (clips, 2) of (clips, frames, width)."""
        hidden = self.tokens(features)
        for block in self.encoder_blocks:
            hidden = block(hidden)
        return self.fc5(hidden[:, 0])

    def tokens(self, features: Tensor) -> Tensor:
        """Return the class token and, with their positions, the features: (clips, 1 + frames, width)."""
        placed = features + self.positional_emb[:, : features.shape[1]]
        return torch.cat([self.class_token.expand(len(features), 1, -1), placed], 1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.ff1, self.ff2 = (_Scaled(_Normed(width, _FeedForward(width, expansion))) for _ in range(2))
        self.attn = _Normed(width, _HeadTokenAttention(width, heads))
        self.conv = _Convolution(width, kernel)
        self.post_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.ff1(hidden)
        hidden = hidden + self.attn(hidden)
        hidden = hidden + self.conv(hidden)
        return self.post_norm(hidden + self.ff2(hidden))


class _Scaled(nn.Module):
    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, hidden: Tensor) -> Tensor:
        return 0.5 * self.fn(hidden)


class _Normed(nn.Module):
    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fn(self.norm(hidden))


class _FeedForward(nn.Module):
    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        # the originals' dropouts keep their numbers in the names of the weights
        wide = width * expansion
        self.net = nn.Sequential(nn.Linear(width, wide), nn.SiLU(), nn.Identity(), nn.Linear(wide, width))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)


class _HeadTokenAttention(nn.Module):
    """Attention to the sequence and to one token a head, made of the mean of that head's slice."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, slice_width = heads, width // heads
        self.pos_embed = nn.Parameter(torch.zeros(1, heads, width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.ht_proj = nn.Linear(slice_width, width)
        self.ht_norm = nn.LayerNorm(slice_width)

    def forward(self, hidden: Tensor) -> Tensor:
        clips, length, width = hidden.shape
        slices = hidden.mean(1).reshape(clips, self.heads, -1)
        own = self.ht_proj(slices).reshape(clips, self.heads, self.heads, -1)
        own = F.gelu(self.ht_norm(own)).flatten(2) + self.pos_embed
        joined = torch.cat([hidden, own], 1)
        parts = self.qkv(joined).reshape(clips, length + self.heads, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(*parts.unbind())
        out = self.proj(heard.transpose(1, 2).reshape(clips, -1, width))
        first, rest, own = out.split([1, length - 1, self.heads], 1)
        first = first + own.mean(1, keepdim=True) + rest.mean(1, keepdim=True)
        return torch.cat([first, rest], 1)


class _Convolution(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        wide = 2 * width
        self.net = nn.Sequential(
            nn.LayerNorm(width), _Transposed(), nn.Conv1d(width, 2 * wide, 1), nn.GLU(1), _Depthwise(wide, kernel),
            nn.BatchNorm1d(wide), nn.SiLU(), nn.Conv1d(wide, width, 1), _Transposed(),
        )  # fmt: skip

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)


class _Depthwise(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(hidden)


class _Transposed(nn.Module):
    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.transpose(1, 2)


def _sinusoids(count: int, width: int) -> Tensor:
    """Return (count, width): sines in even columns, cosines in odd ones."""
    column = torch.arange(width)
    angle = torch.arange(count)[:, None] / 10000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())
