"""Asking people: questions, pages, their server, and what the answers say."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.studies._agreement import Agreement as Agreement
    from avreward.studies._agreement import agreement as agreement
    from avreward.studies._agreement import by_category as by_category
    from avreward.studies._agreement import clustered as clustered
    from avreward.studies._prepare import of_video as of_video
    from avreward.studies._prepare import prepare as prepare
    from avreward.studies.agav_paper import ReportedExperiment as ReportedExperiment
    from avreward.studies.choices import Choices as Choices
    from avreward.studies.server import ChoiceServer as ChoiceServer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_agreement": ["Agreement", "agreement", "by_category", "clustered"],
        "_prepare": ["of_video", "prepare"],
        "agav_paper": ["ReportedExperiment"],
        "choices": ["Choices"],
        "server": ["ChoiceServer"],
    },
)
