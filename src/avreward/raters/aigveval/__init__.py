"""AIGVEval: visual quality of generated video from semantics, motion and technical quality (NTIRE 2025)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.aigveval._network import AigvEvalConfig as AigvEvalConfig
    from avreward.raters.aigveval._network import AigvEvalNetwork as AigvEvalNetwork
    from avreward.raters.aigveval._new import new_aigveval as new_aigveval
    from avreward.raters.aigveval._training import aigveval_lora as aigveval_lora
    from avreward.raters.aigveval._training import mos_curve as mos_curve
    from avreward.raters.aigveval._views import AigvEvalViews as AigvEvalViews
    from avreward.raters.aigveval.rater import AigvEvalRater as AigvEvalRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_network": ["AigvEvalConfig", "AigvEvalNetwork"],
        "_new": ["new_aigveval"],
        "_training": ["aigveval_lora", "mos_curve"],
        "_views": ["AigvEvalViews"],
        "rater": ["AigvEvalRater"],
    },
)
