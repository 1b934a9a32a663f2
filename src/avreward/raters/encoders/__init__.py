"""Networks that several raters share and that transformers lacks."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.encoders.beats import Beats as Beats
    from avreward.raters.encoders.beats import BeatsConfig as BeatsConfig
    from avreward.raters.encoders.stc import StcConnector as StcConnector

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "beats": ["Beats", "BeatsConfig"],
        "stc": ["StcConnector"],
    },
)
