"""HTML pages: rankings, comparisons of systems, preference pairs, reward cards, leaderboards, curves, tuning runs."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.report._why import Why as Why
    from avreward.report._why import why_it_won as why_it_won
    from avreward.report.build import Details as Details
    from avreward.report.build import write_report as write_report
    from avreward.report.card import reward_card as reward_card
    from avreward.report.card import write_card as write_card
    from avreward.report.card_data import RewardCard as RewardCard
    from avreward.report.compare_page import write_comparison as write_comparison
    from avreward.report.curve_page import write_curve as write_curve
    from avreward.report.data import FailedFile as FailedFile
    from avreward.report.data import Page as Page
    from avreward.report.leaderboard_page import write_leaderboard as write_leaderboard
    from avreward.report.page import write_page as write_page
    from avreward.report.pairs_page import write_pairs_page as write_pairs_page
    from avreward.report.tuning_page import TuningPage as TuningPage
    from avreward.report.tuning_page import TuningSample as TuningSample
    from avreward.report.tuning_page import write_tuning_page as write_tuning_page

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_why": ["Why", "why_it_won"],
        "build": ["Details", "write_report"],
        "card": ["reward_card", "write_card"],
        "card_data": ["RewardCard"],
        "compare_page": ["write_comparison"],
        "curve_page": ["write_curve"],
        "data": ["FailedFile", "Page"],
        "leaderboard_page": ["write_leaderboard"],
        "page": ["write_page"],
        "pairs_page": ["write_pairs_page"],
        "tuning_page": ["TuningPage", "TuningSample", "write_tuning_page"],
    },
)
