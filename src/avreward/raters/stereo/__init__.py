"""`signals.stereo`: measured agreement of stereo sound with motion, no weights."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.stereo.rater import StereoRater as StereoRater

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"rater": ["StereoRater"]})
