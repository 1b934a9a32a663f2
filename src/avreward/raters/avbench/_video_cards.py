"""Cards of AVBench's networks that rate lips and frames, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_BOTH = frozenset({"video", "audio"})
_SHIFT = {"low": -0.6, "high": 0.6, "needs": _BOTH, "unit": "s", "higher_is_better": None}
SYNCNET_FILE = "syncnet_v2.model"
SYNCNET_SCORES = (
    Dimension("lip_sync", 0, 100, _BOTH, description="whether lips and speech agree, as in AVBench"),
    Dimension("soft_lip_sync", 0, 100, _BOTH, description="the same with the soft offset, whose gradient moves it"),
    Dimension("confidence", 0, float("inf"), _BOTH, description="how much better the best shift is than the median"),
    Dimension("distance", 0, float("inf"), _BOTH, higher_is_better=False, description="at the best shift"),
    Dimension("offset", **_SHIFT, description="by how much the audio leads"),  # type: ignore[arg-type]
    Dimension("soft_offset", **_SHIFT, description="the same by a soft minimum"),  # type: ignore[arg-type]
)
"""What SyncNet gives: AVBench's number first."""


def _has_syncnet(folder: Path, config: Mapping[str, Any]) -> bool:
    return not config and (folder / SYNCNET_FILE).is_file()


def _syncnet() -> Callable[..., Rater]:
    from avreward.raters.avbench._syncnet import load

    return load


SYNCNET = RaterCard(
    "syncnet",
    SYNCNET_SCORES,
    licence=UNKNOWN,
    checkpoint="a folder with syncnet_v2.model",
    layout=Layout("SyncNet (syncnet_v2.model)", _has_syncnet, _syncnet),
)

VIDEO_CARDS = (SYNCNET,)
"""Cards of the networks that rate lips and frames."""
