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
"""SyncNet's scores, AVBench's number first."""


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

AESTHETIC_FILE = "aesthetic_predictor_v2_5.pth"
AESTHETIC_SCORES = (
    Dimension("video_aesthetic", 1, 10, frozenset({"video"}), description="aesthetics of the frames, as in AVBench"),
    Dimension(
        "spread", 0, float("inf"), frozenset({"video"}), higher_is_better=None, detail=True,
        description="standard deviation over the frames",
    ),
)  # fmt: skip
"""Mean and spread over the frames."""


def _has_aesthetic(folder: Path, config: Mapping[str, Any]) -> bool:
    return (folder / AESTHETIC_FILE).is_file()


def _aesthetic() -> Callable[..., Rater]:
    from avreward.raters.avbench._aesthetic import load

    return load


AESTHETIC = RaterCard(
    "siglip_aesthetic",
    AESTHETIC_SCORES,
    licence="AGPL-3.0 (repository of the head)",
    checkpoint="aesthetic_predictor_v2_5.pth beside google/siglip-so400m-patch14-384",
    layout=Layout("the aesthetic predictor v2.5 (aesthetic_predictor_v2_5.pth)", _has_aesthetic, _aesthetic),
)

VIDEO_CARDS = (SYNCNET, AESTHETIC)
"""Cards of the networks that rate lips and frames."""
