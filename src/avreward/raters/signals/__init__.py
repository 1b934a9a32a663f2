"""The embedded default rater: measured properties of video and audio, no weights."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.signals._measurement import MEASUREMENTS as MEASUREMENTS
    from avreward.raters.signals._measurement import Measurement as Measurement
    from avreward.raters.signals.rater import SignalsRater as SignalsRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_measurement": ["MEASUREMENTS", "Measurement"],
        "rater": ["SignalsRater"],
    },
)
