"""Backbones for families of multimodal models: differentiable preprocessing, encoders, chat format."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.lmm.backbones.internvl import InternVl as InternVl
    from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni as Qwen2_5Omni
    from avreward.raters.lmm.backbones.qwen2_5_vl import Qwen2_5Vl as Qwen2_5Vl
    from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio as Qwen2Audio
    from avreward.raters.lmm.backbones.qwen2_vl import Qwen2Vl as Qwen2Vl
    from avreward.raters.lmm.backbones.qwen3_omni import Qwen3Omni as Qwen3Omni
    from avreward.raters.lmm.backbones.qwen3_vl import Qwen3Vl as Qwen3Vl
    from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3 as VideoLlama3

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "internvl": ["InternVl"],
        "qwen2_5_omni": ["Qwen2_5Omni"],
        "qwen2_5_vl": ["Qwen2_5Vl"],
        "qwen2_audio": ["Qwen2Audio"],
        "qwen2_vl": ["Qwen2Vl"],
        "qwen3_omni": ["Qwen3Omni"],
        "qwen3_vl": ["Qwen3Vl"],
        "video_llama3": ["VideoLlama3"],
    },
)
