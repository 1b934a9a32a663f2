"""The published checkpoints of DOVER: where their file is, and the sizes that its entries show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from avreward.errors import AvrewardError
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._sizes import count_numbered
from avreward.raters.checkpoints._weights import chosen_file
from avreward.raters.dover._card import published_files
from avreward.raters.dover._network import DoverConfig
from avreward.raters.encoders.swin3d import swin_config

FILES = "DOVER*.pth"  # of any case
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
    return chosen_file(folder, published_files(folder), FILES, file)


def config_from_shapes(shapes: Shapes, source: object) -> DoverConfig:
    """Return the sizes of a network whose entries have these shapes.

    Args:
        shapes: name → shape of the entries of a checkpoint.
        source: named by the error.

    Raises:
        AvrewardError: for a checkpoint of another system, or one that is not complete; it says what it looks like.
    """
    try:
        swin = swin_config(shapes, "technical_backbone.")
        aesthetic = "aesthetic_backbone."
        deep = count_numbered(shapes, aesthetic + r"stages\.(\d+)\.")
        depths = tuple(count_numbered(shapes, rf"{aesthetic}stages\.{i}\.(\d+)\.") for i in range(deep))
        widths = tuple(shapes[f"{aesthetic}stages.{i}.0.norm.weight"][0] for i in range(deep))
        return DoverConfig(swin, depths, widths, shapes["technical_head.fc_hid.weight"][0])
    except (KeyError, ValueError, IndexError) as error:
        looks = looks_like(shapes)
        missing = f", without {error}" if looks == "a checkpoint of DOVER" and isinstance(error, KeyError) else ""
        raise AvrewardError(
            f"{source}: expected a checkpoint of DOVER (technical_backbone.*, aesthetic_backbone.*), got {looks}"
            f"{missing}; give DOVER.pth or DOVER_plus_plus.pth"
        ) from error
