"""Swin3D-T, a transformer over shifted windows in space and time (Liu et al., CVPR 2022, arXiv:2106.13230).

With gates it is the technical branch of FAST-VQA and DOVER: between different mini-patches a second position bias
replaces the relative one (Wu et al., ECCV 2022, arXiv:2207.02595, section 3.3). The weights have the names of the
published checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor, nn

from avreward.raters.checkpoints._sizes import count_numbered
from avreward.raters.encoders._inputs import check_videos

Size = tuple[int, int, int]
DERIVED = ("*relative_position_index",)
"""Entries of a checkpoint that follow from the sizes."""


@dataclass(frozen=True)
class Swin3dConfig:
    """Sizes of a Swin3D network; the defaults are those of Swin3D-T.

    Args:
        patch: frames, rows and columns of a patch.
        width: channels of the first stage; they double with each stage.
        depths, heads: blocks and attention heads of each stage.
        window: frames, rows and columns (of patches) that attend to each other.
        gated: stages whose position bias is gated; ``(True, True, True, False)`` in DOVER.
    """

    patch: Size = (2, 4, 4)
    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: Size = (8, 7, 7)
    gated: tuple[bool, ...] = (False, False, False, False)


class Swin3d(nn.Module):
    """Swin3D without a head.

    Example:
        >>> network = Swin3d(Swin3dConfig(width=8, depths=(2, 2), heads=(1, 2), gated=(True, False)))
        >>> network(torch.zeros(1, 3, 8, 32, 40)).shape
        torch.Size([1, 16, 4, 4, 5])
    """

    def __init__(self, config: Swin3dConfig = Swin3dConfig()) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = _PatchEmbed(config)
        last = len(config.depths) - 1
        self.layers = nn.ModuleList(
            _SwinStage(config, config.width * 2**i, depth, config.heads[i], config.gated[i], i < last)
            for i, depth in enumerate(config.depths)
        )
        self.norm = nn.LayerNorm(config.width * 2**last)

    def forward(self, video: Tensor) -> Tensor:
        """Return the features (batch, channels, frames/2, height/32, width/32) of a normalised video.

        Args:
            video: (batch, 3, frames, height, width) of any size; borders are padded with zeros.

        Raises:
            ArgumentError: for another tensor.
        """
        check_videos(video)
        x = self.patch_embed(video)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).movedim(-1, 1)


class _PatchEmbed(nn.Module):
    def __init__(self, config: Swin3dConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = nn.Conv3d(3, config.width, config.patch, config.patch)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) → (B, D, H', W', C)."""
        padding = [end for size, side in zip(reversed(video.shape[2:]), reversed(self.patch), strict=True)
                   for end in (0, -size % side)]  # fmt: skip
        return self.norm(self.proj(nn.functional.pad(video, padding)).movedim(1, -1))


class _SwinStage(nn.Module):
    """Blocks at one resolution, every second one with shifted windows; then fewer, wider patches."""

    def __init__(self, config: Swin3dConfig, width: int, depth: int, heads: int, gated: bool, merges: bool) -> None:
        super().__init__()
        self.window = config.window
        self.blocks = nn.ModuleList(_SwinBlock(config.window, width, heads, gated) for _ in range(depth))
        if merges:
            self.downsample = _PatchMerging(width)
        self.merges, self.gated = merges, gated

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C), the output with half the rows and columns and twice the channels."""
        size: Size = tuple(x.shape[1:4])  # type: ignore[assignment]
        window: Size = tuple(min(a, b) for a, b in zip(self.window, size, strict=True))  # type: ignore[assignment]
        # A window that covers an axis completely is not shifted along it.
        shift = tuple(0 if w == s else full // 2 for w, s, full in zip(window, size, self.window, strict=True))
        padded: Size = tuple(s + -s % w for s, w in zip(size, window, strict=True))  # type: ignore[assignment]
        for number, block in enumerate(self.blocks):
            moved: Size = shift if number % 2 else (0, 0, 0)  # type: ignore[assignment]
            mask = _mask(padded, window, moved).to(x) if any(moved) else None
            gate = _gate(padded, window, moved).to(x) if self.gated else None
            x = block(x, window, moved, mask, gate)
        return self.downsample(x) if self.merges else x


class _SwinBlock(nn.Module):
    worth_checkpointing = True

    def __init__(self, window: Size, width: int, heads: int, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(window, width, heads, gated)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _SwinMlp(width)

    def forward(self, x: Tensor, window: Size, shift: Size, mask: Tensor | None, gate: Tensor | None) -> Tensor:
        x = x + self._attended(self.norm1(x), window, shift, mask, gate)
        return x + self.mlp(self.norm2(x))

    def _attended(self, x: Tensor, window: Size, shift: Size, mask: Tensor | None, gate: Tensor | None) -> Tensor:
        size = x.shape[1:4]
        x = nn.functional.pad(x, [0, 0, *(end for s, w in zip(reversed(size), reversed(window), strict=True)
                                          for end in (0, -s % w))])  # fmt: skip
        padded = x.shape[1:4]
        x = x.roll([-s for s in shift], (1, 2, 3))
        x = _joined(self.attn(_windows(x, window), mask, gate), window, (x.shape[0], *padded))
        return x.roll(shift, (1, 2, 3))[:, : size[0], : size[1], : size[2]]


class _WindowAttention(nn.Module):
    def __init__(self, window: Size, width: int, heads: int, gated: bool) -> None:
        super().__init__()
        self.heads = heads
        rows = prod(2 * side - 1 for side in window)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        if gated:
            self.fragment_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.register_buffer("relative_position_index", _relative_index(window))
        self.relative_position_index: Tensor
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, gate: Tensor | None) -> Tensor:
        """(batch · windows, N, C); `mask` and `gate` are (windows, N, N)."""
        count, length, width = x.shape
        q, k, v = self.qkv(x).reshape(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self._bias(length, gate)  # (windows or 1, heads, N, N)
        if mask is not None:
            bias = bias + mask[:, None]
        bias = bias.repeat(count // len(bias), 1, 1, 1)
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(out.transpose(1, 2).reshape(count, length, width))

    def _bias(self, length: int, gate: Tensor | None) -> Tensor:
        """Return the bias; a smaller window uses the beginning of the full window's index, as in the published code."""
        index = self.relative_position_index[:length, :length]
        own = self.relative_position_bias_table[index].movedim(-1, 0)[None]
        if gate is None:
            return own
        other = self.fragment_position_bias_table[index].movedim(-1, 0)[None]
        return own * gate[:, None] + other * (1 - gate[:, None])


class _SwinMlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class _PatchMerging(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        parts = [x[:, :, row::2, column::2] for column, row in product((0, 1), (0, 1))]
        return self.reduction(self.norm(torch.cat(parts, -1)))


def _windows(x: Tensor, window: Size) -> Tensor:
    """(B, D, H, W, C) → (B · windows, N, C)."""
    b, d, h, w, c = x.shape
    x = x.reshape(b, d // window[0], window[0], h // window[1], window[1], w // window[2], window[2], c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, prod(window), c)


def _joined(x: Tensor, window: Size, size: tuple[int, ...]) -> Tensor:
    """Invert `_windows`: → (B, D, H, W, C)."""
    b, d, h, w = size
    x = x.reshape(b, d // window[0], h // window[1], w // window[2], *window, -1)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, d, h, w, -1)


def _relative_index(window: Size) -> Tensor:
    """Return the row of the bias table for each pair of positions in a window, int64 (N, N)."""
    places = torch.stack(torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")).flatten(1)
    offsets = places[:, :, None] - places[:, None] + torch.tensor(window)[:, None, None] - 1
    return (offsets[0] * (2 * window[1] - 1) + offsets[1]) * (2 * window[2] - 1) + offsets[2]


def _mask(padded: Size, window: Size, shift: Size) -> Tensor:
    """Return (windows, N, N): −100 between positions that are neighbours only because of the shift, else 0."""
    labels = torch.zeros(1, *padded, 1)
    for axis, (size, side, moved) in enumerate(zip(padded, window, shift, strict=True)):
        places = torch.arange(size)
        region = ((places >= size - side).long() + (places >= size - moved).long()) * bool(moved)
        labels += 3**axis * region.reshape([-1 if i == axis + 1 else 1 for i in range(5)])
    label = _windows(labels, window)[..., 0]
    return (label[:, :, None] != label[:, None]) * -100.0


def _gate(padded: Size, window: Size, shift: Size) -> Tensor:
    """Return (windows, N, N): the L1 distance between the grid cells of two positions.

    The grid has a window's rows and columns of cells, and one cell in time.
    """
    total = torch.zeros(())
    for axis in (1, 2):
        cell = torch.arange(padded[axis]) * window[axis] // padded[axis]
        cell = cell.to(torch.float32).reshape([-1 if i == axis + 1 else 1 for i in range(5)]).expand(1, *padded, 1)
        place = _windows(cell.roll([-s for s in shift], (1, 2, 3)), window)[..., 0]
        total = total + (place[:, :, None] - place[:, None]).abs()
    return total


def swin_config(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> Swin3dConfig:
    """Return the sizes of the Swin3D whose entries begin with `prefix`, from their shapes by name.

    Raises:
        KeyError: for the name of an entry that is not there.
        ValueError: for a window whose height and width differ.
    """
    width, _, *patch = shapes[f"{prefix}patch_embed.proj.weight"]
    stages = count_numbered(shapes, rf"{re.escape(prefix)}layers\.(\d+)\.")
    tables = [f"{prefix}layers.{i}.blocks.0.attn.%s_position_bias_table" for i in range(stages)]
    index = shapes.get(f"{prefix}layers.0.blocks.0.attn.relative_position_index")
    return Swin3dConfig(
        patch=(patch[0], patch[1], patch[2]),
        width=width,
        depths=tuple(
            count_numbered(shapes, rf"{re.escape(prefix)}layers\.{i}\.blocks\.(\d+)\.") for i in range(stages)
        ),
        heads=tuple(shapes[table % "relative"][1] for table in tables),
        window=_window(shapes[f"{prefix}layers.0.blocks.0.attn.relative_position_bias_table"][0], index),
        gated=tuple(table % "fragment" in shapes for table in tables),
    )


def _window(rows: int, index: tuple[int, ...] | None) -> Size:
    """Return the window whose table of relative positions has so many rows; its height and width are equal.

    Where entries lack the index, whose side is the window's volume, that of the published networks is taken before any
    other, then the one of fewest frames above one.
    """
    sides = [
        (time, side, side)
        for side in range(1, 33)
        for time in range(1, 33)
        if (2 * time - 1) * (2 * side - 1) ** 2 == rows
    ]
    if index is not None:
        sides = [size for size in sides if prod(size) == index[0]]
    published = Swin3dConfig.window
    if published in sides:
        return published
    if not sides:
        raise ValueError("a window that is not square")
    return min(sides, key=lambda size: (size[0] == 1, size[0]))
