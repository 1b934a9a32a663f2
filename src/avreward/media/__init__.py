"""Files to tensors and back, and the differentiable transforms between them."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.media._resize import resize as resize
    from avreward.media.fbank import Fbank as Fbank
    from avreward.media.fbank import beats_fbank as beats_fbank
    from avreward.media.logmel import LogMel as LogMel
    from avreward.media.resampling import remix as remix
    from avreward.media.resampling import resample as resample
    from avreward.media.rounding import to_bfloat16 as to_bfloat16
    from avreward.media.rounding import to_int16 as to_int16
    from avreward.media.rounding import to_uint8_levels as to_uint8_levels
    from avreward.media.sampling import AllFrames as AllFrames
    from avreward.media.sampling import FramePlan as FramePlan
    from avreward.media.sampling import Spread as Spread
    from avreward.media.sampling import Windows as Windows
    from avreward.media.sampling_rules import AgavRaterFrames as AgavRaterFrames
    from avreward.media.sampling_rules import AigvAssessorFrames as AigvAssessorFrames
    from avreward.media.sampling_rules import CentredClip as CentredClip
    from avreward.media.sampling_rules import DoverFrames as DoverFrames
    from avreward.media.sampling_rules import PerSecond as PerSecond
    from avreward.media.sampling_rules import QwenFrames as QwenFrames
    from avreward.media.sampling_rules import SlowPathway as SlowPathway
    from avreward.media.sampling_rules import UniformFrames as UniformFrames
    from avreward.media.tone_mapping import tone_map as tone_map

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_resize": ["resize"],
        "fbank": ["Fbank", "beats_fbank"],
        "logmel": ["LogMel"],
        "resampling": ["remix", "resample"],
        "rounding": ["to_bfloat16", "to_int16", "to_uint8_levels"],
        "sampling": ["AllFrames", "FramePlan", "Spread", "Windows"],
        "sampling_rules": [
            "AgavRaterFrames",
            "AigvAssessorFrames",
            "CentredClip",
            "DoverFrames",
            "PerSecond",
            "QwenFrames",
            "SlowPathway",
            "UniformFrames",
        ],
        "tone_mapping": ["tone_map"],
    },
)
