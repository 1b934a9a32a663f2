"""AIGV-Assessor: four qualities of a generated video, as scores, words and preferences (arXiv:2411.17221)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.aigv_assessor._network import AssessorConfig as AssessorConfig
    from avreward.raters.aigv_assessor._network import AssessorNetwork as AssessorNetwork
    from avreward.raters.aigv_assessor._new import new_assessor as new_assessor
    from avreward.raters.aigv_assessor.rater import AigvAssessorRater as AigvAssessorRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_network": ["AssessorConfig", "AssessorNetwork"],
        "_new": ["new_assessor"],
        "rater": ["AigvAssessorRater"],
    },
)
