"""Asking people: questions, pages, their server, and what the answers say."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.studies._agreement import Agreement as Agreement
    from avreward.studies._agreement import Answer as Answer
    from avreward.studies._agreement import agreement as agreement
    from avreward.studies._agreement import by_category as by_category
    from avreward.studies._agreement import clustered as clustered
    from avreward.studies._answers import answers_table as answers_table
    from avreward.studies._answers import export_answers as export_answers
    from avreward.studies._answers import summarize as summarize
    from avreward.studies._pair_rows import PairRow as PairRow
    from avreward.studies._pair_rows import read_pair_rows as read_pair_rows
    from avreward.studies._prepare import of_video as of_video
    from avreward.studies._prepare import prepare as prepare
    from avreward.studies._prepare_pairs import prepare_pairs as prepare_pairs
    from avreward.studies._questions import ShownClip as ShownClip
    from avreward.studies._questions import StudyQuestion as StudyQuestion
    from avreward.studies._questions import StudyVideo as StudyVideo
    from avreward.studies.agav_paper import ReportedExperiment as ReportedExperiment
    from avreward.studies.choice_server import ChoiceServer as ChoiceServer
    from avreward.studies.choices import Choices as Choices
    from avreward.studies.dubbing import Dubbed as Dubbed
    from avreward.studies.dubbing import SilentVideo as SilentVideo
    from avreward.studies.dubbing import dub_videos as dub_videos
    from avreward.studies.dubbing import plan_of as plan_of
    from avreward.studies.rating._export import comparisons_table as comparisons_table
    from avreward.studies.rating._export import export_opinions as export_opinions
    from avreward.studies.rating._export import export_study as export_study
    from avreward.studies.rating._export import opinions_table as opinions_table
    from avreward.studies.rating._export import ratings_table as ratings_table
    from avreward.studies.rating._prepare import prepare_study as prepare_study
    from avreward.studies.rating._summary import summarize_study as summarize_study
    from avreward.studies.rating._tasks import RatedClip as RatedClip
    from avreward.studies.rating._tasks import RatingAnswer as RatingAnswer
    from avreward.studies.rating._tasks import RatingProgress as RatingProgress
    from avreward.studies.rating._tasks import RatingTask as RatingTask
    from avreward.studies.rating.adaptive import KnownOrder as KnownOrder
    from avreward.studies.rating.adaptive import known_order as known_order
    from avreward.studies.rating.dimensions import RatedDimension as RatedDimension
    from avreward.studies.rating.dimensions import rated_dimensions as rated_dimensions
    from avreward.studies.rating.server import RatingServer as RatingServer
    from avreward.studies.rating.study import RatingStudy as RatingStudy
    from avreward.studies.server import StudyServer as StudyServer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_agreement": ["Agreement", "Answer", "agreement", "by_category", "clustered"],
        "_answers": ["answers_table", "export_answers", "summarize"],
        "_pair_rows": ["PairRow", "read_pair_rows"],
        "_prepare": ["of_video", "prepare"],
        "_prepare_pairs": ["prepare_pairs"],
        "_questions": ["ShownClip", "StudyQuestion", "StudyVideo"],
        "agav_paper": ["ReportedExperiment"],
        "choice_server": ["ChoiceServer"],
        "choices": ["Choices"],
        "dubbing": ["Dubbed", "SilentVideo", "dub_videos", "plan_of"],
        "rating._export": ["comparisons_table", "export_opinions", "export_study", "opinions_table", "ratings_table"],
        "rating._prepare": ["prepare_study"],
        "rating._summary": ["summarize_study"],
        "rating._tasks": ["RatedClip", "RatingAnswer", "RatingProgress", "RatingTask"],
        "rating.adaptive": ["KnownOrder", "known_order"],
        "rating.dimensions": ["RatedDimension", "rated_dimensions"],
        "rating.server": ["RatingServer"],
        "rating.study": ["RatingStudy"],
        "server": ["StudyServer"],
    },
)
