"""Public multimodal models as raters, without training: one question for each dimension."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.zero_shot._phrasings import phrasings as phrasings
    from avreward.raters.zero_shot.questions import ZeroShotQuestion as ZeroShotQuestion
    from avreward.raters.zero_shot.rater import PublicRater as PublicRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_phrasings": ["phrasings"],
        "questions": ["ZeroShotQuestion"],
        "rater": ["PublicRater"],
    },
)
