"""The backbone for each ``model_type`` of a public checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from avreward.raters.lmm.backbone import Backbone


class Family(NamedTuple):
    """A family of public models.

    Attributes:
        name: default name of its raters.
        backbone: returns the backbone's class, which is imported when called.
    """

    name: str
    backbone: Callable[[], type[Backbone]]


def _qwen2_5_omni() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni

    return Qwen2_5Omni


def _qwen2_vl() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen2_vl import Qwen2Vl

    return Qwen2Vl


def _qwen2_5_vl() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen2_5_vl import Qwen2_5Vl

    return Qwen2_5Vl


def _qwen3_vl() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen3_vl import Qwen3Vl

    return Qwen3Vl


def _qwen3_omni() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen3_omni import Qwen3Omni

    return Qwen3Omni


def _internvl() -> type[Backbone]:
    from avreward.raters.lmm.backbones.internvl import InternVl

    return InternVl


def _qwen2_audio() -> type[Backbone]:
    from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio

    return Qwen2Audio


def _video_llama3() -> type[Backbone]:
    from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3

    return VideoLlama3


FAMILIES: Mapping[str, Family] = MappingProxyType({
    "qwen2_5_omni": Family("qwen2_5_omni", _qwen2_5_omni),
    "qwen2_5_omni_thinker": Family("qwen2_5_omni", _qwen2_5_omni),
    "qwen2_vl": Family("qwen2_vl", _qwen2_vl),
    "qwen2_5_vl": Family("qwen2_5_vl", _qwen2_5_vl),
    "qwen3_vl": Family("qwen3_vl", _qwen3_vl),
    "qwen3_omni_moe": Family("qwen3_omni", _qwen3_omni),
    "qwen3_omni_moe_thinker": Family("qwen3_omni", _qwen3_omni),
    "internvl": Family("internvl", _internvl),
    "qwen2_audio": Family("qwen2_audio", _qwen2_audio),
    "video_llama_3": Family("video_llama3", _video_llama3),
})  # fmt: skip
"""`model_type` of a checkpoint → its family."""
