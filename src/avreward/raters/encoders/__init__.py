"""Networks that several raters share and that transformers lacks."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.encoders.beats import Beats as Beats
    from avreward.raters.encoders.beats import BeatsConfig as BeatsConfig
    from avreward.raters.encoders.convnext3d import ConvNext3d as ConvNext3d
    from avreward.raters.encoders.fragments import Fragments as Fragments
    from avreward.raters.encoders.slowfast import SlowFast as SlowFast
    from avreward.raters.encoders.slowfast import SlowFastConfig as SlowFastConfig
    from avreward.raters.encoders.stc import StcConnector as StcConnector
    from avreward.raters.encoders.swin3d import Swin3d as Swin3d
    from avreward.raters.encoders.swin3d import Swin3dConfig as Swin3dConfig

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "beats": ["Beats", "BeatsConfig"],
        "convnext3d": ["ConvNext3d"],
        "fragments": ["Fragments"],
        "slowfast": ["SlowFast", "SlowFastConfig"],
        "stc": ["StcConnector"],
        "swin3d": ["Swin3d", "Swin3dConfig"],
    },
)
