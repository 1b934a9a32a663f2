"""AGAV-Rater: audio quality, audio-visual consistency and overall quality of dubbed video (arXiv:2501.18314)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.agav._network import AgavConfig as AgavConfig
    from avreward.raters.agav._network import AgavNetwork as AgavNetwork
    from avreward.raters.agav.rater import AgavRater as AgavRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_network": ["AgavConfig", "AgavNetwork"],
        "rater": ["AgavRater"],
    },
)
