"""The sizes that reference cases name, as configurations of this package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from avreward.media.sampling_rules import DoverFrames
from avreward.raters.dover import DoverConfig
from avreward.raters.encoders import Swin3dConfig


def swin_sizes(sizes: Mapping[str, Any]) -> Swin3dConfig:
    """Return the sizes of a Swin3D."""
    return Swin3dConfig(
        tuple(sizes["patch_size"]),
        sizes["embed_dim"],
        tuple(sizes["depths"]),
        tuple(sizes["num_heads"]),
        tuple(sizes["window_size"]),
        tuple(map(bool, sizes["frag_biases"])),
    )


def dover_sizes(sizes: Mapping[str, Any]) -> DoverConfig:
    """Return the sizes of a DOVER."""
    aesthetic, hidden = sizes["aesthetic"], sizes["head"]["hidden_channels"]
    return DoverConfig(swin_sizes(sizes["technical"]), tuple(aesthetic["depths"]), tuple(aesthetic["dims"]), hidden)


def dover_frames(about: Mapping[str, Any]) -> dict[str, DoverFrames]:
    """Return the frame rules of both views, which a case states in words such as ``fsize_t=32``."""
    found = {}
    for name in ("technical", "aesthetic"):
        sizes = dict(re.findall(r"(fsize_t|fragments_t|frame_interval)=(\d+)", about[name]))
        found[name] = DoverFrames(*(int(sizes[key]) for key in ("fsize_t", "fragments_t", "frame_interval")))
    return found
