"""DOVER: technical, aesthetic and overall quality of video (arXiv:2211.04894)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.dover._network import DoverConfig as DoverConfig
    from avreward.raters.dover._network import DoverNetwork as DoverNetwork
    from avreward.raters.dover._views import DoverViews as DoverViews
    from avreward.raters.dover.rater import DoverRater as DoverRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_network": ["DoverConfig", "DoverNetwork"],
        "_views": ["DoverViews"],
        "rater": ["DoverRater"],
    },
)
