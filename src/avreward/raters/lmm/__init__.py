"""The engine of language-model raters: backbone, template, decoding, readout, comparison."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.lmm.backbone import Backbone as Backbone
    from avreward.raters.lmm.prompt import Encoded as Encoded
    from avreward.raters.lmm.prompt import Read as Read
    from avreward.raters.lmm.prompt import Slot as Slot
    from avreward.raters.lmm.prompt import Text as Text
    from avreward.raters.lmm.prompt import Tokens as Tokens
    from avreward.raters.lmm.rater import LmmRater as LmmRater
    from avreward.raters.lmm.rater import Question as Question
    from avreward.raters.lmm.readout import BinaryConfidence as BinaryConfidence
    from avreward.raters.lmm.readout import FiveLevels as FiveLevels
    from avreward.raters.lmm.readout import Readout as Readout
    from avreward.raters.lmm.readout import Regression as Regression

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "backbone": ["Backbone"],
        "prompt": ["Encoded", "Read", "Slot", "Text", "Tokens"],
        "rater": ["LmmRater", "Question"],
        "readout": ["BinaryConfidence", "FiveLevels", "Readout", "Regression"],
    },
)
