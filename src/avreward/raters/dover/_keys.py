"""The published checkpoints of DOVER: where their file is, and the sizes that its entries show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.dover._network import DoverConfig
from avreward.raters.encoders.swin3d import Size, Swin3dConfig

FILES = "DOVER*.pth"
COUNTED = ("*relative_position_index",)
"""Entries that follow from the sizes."""

Shapes = Mapping[str, tuple[int, ...]]


def published_file(folder: Path, file: str | None = None) -> Path:
    """Return the file with the weights in `folder`.

    Args:
        folder: with files as they are published, ``DOVER.pth`` or ``DOVER_plus_plus.pth``.
        file: which one, where there are several (*optional*).

    Raises:
        ArgumentError: for a file that is not there.
        AvrewardError: where there is none, or several and `file` is not given.
    """
    there = sorted(path.name for path in folder.glob(FILES))
    if file is not None:
        if file not in there:
            raise ArgumentError("file", f"one of {', '.join(there) or FILES}", file)
        return folder / file
    if len(there) != 1:
        found = ", ".join(there) or "none"
        raise AvrewardError(f"{folder}: expected one file {FILES}, got {found}; name one by file='DOVER.pth'")
    return folder / there[0]


def config_from_shapes(shapes: Shapes, source: object) -> DoverConfig:
    """Return the sizes of a network whose entries have these shapes.

    Args:
        shapes: name → shape of the entries of a checkpoint.
        source: named by the error.

    Raises:
        AvrewardError: for a checkpoint of another system, or one that is not complete; it says what it looks like.
    """
    try:
        technical = "technical_backbone."
        width, _, *patch = shapes[f"{technical}patch_embed.proj.weight"]
        stages = _count(shapes, technical + r"layers\.(\d+)\.")
        tables = [f"{technical}layers.{i}.blocks.0.attn.%s_position_bias_table" for i in range(stages)]
        swin = Swin3dConfig(
            patch=(patch[0], patch[1], patch[2]),
            width=width,
            depths=tuple(_count(shapes, rf"{technical}layers\.{i}\.blocks\.(\d+)\.") for i in range(stages)),
            heads=tuple(shapes[table % "relative"][1] for table in tables),
            window=_window(shapes[tables[0] % "relative"][0], shapes.get(f"{technical}{_INDEX}")),
            gated=tuple(table % "fragment" in shapes for table in tables),
        )
        aesthetic = "aesthetic_backbone."
        deep = _count(shapes, aesthetic + r"stages\.(\d+)\.")
        depths = tuple(_count(shapes, rf"{aesthetic}stages\.{i}\.(\d+)\.") for i in range(deep))
        widths = tuple(shapes[f"{aesthetic}stages.{i}.0.norm.weight"][0] for i in range(deep))
        return DoverConfig(swin, depths, widths, shapes["technical_head.fc_hid.weight"][0])
    except (KeyError, ValueError, IndexError) as error:
        looks = looks_like(shapes)
        missing = f", without {error}" if looks == "a checkpoint of DOVER" and isinstance(error, KeyError) else ""
        raise AvrewardError(
            f"{source}: expected a checkpoint of DOVER (technical_backbone.*, aesthetic_backbone.*), got {looks}"
            f"{missing}; give DOVER.pth or DOVER_plus_plus.pth"
        ) from error


_INDEX = "layers.0.blocks.0.attn.relative_position_index"


def _count(shapes: Shapes, pattern: str) -> int:
    """Return how many numbers stand at the group of `pattern` in names: one more than the largest."""
    return 1 + max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=-1)


def _window(rows: int, index: tuple[int, ...] | None) -> Size:
    """Return the window whose table of relative positions has so many rows; its height and width are equal.

    Where entries lack the index, whose side is the window's volume, the window of fewest frames above one is taken, but
    that of the published networks before any other.
    """
    sides = [
        (time, side, side)
        for side in range(1, 33)
        for time in range(1, 33)
        if (2 * time - 1) * (2 * side - 1) ** 2 == rows
    ]
    if index is not None:
        sides = [size for size in sides if size[0] * size[1] * size[2] == index[0]]
    published = Swin3dConfig.window
    if published in sides:
        return published
    if not sides:
        raise ValueError("a window that is not square")
    return min(sides, key=lambda size: (size[0] == 1, size[0]))
