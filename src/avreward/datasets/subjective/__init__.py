"""Human scores: mean opinion scores from ratings, agreement, win rates, and splits that do not leak."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.subjective._win_rates import WinRate as WinRate
    from avreward.datasets.subjective._win_rates import win_rates as win_rates
    from avreward.datasets.subjective.agreement import SplitHalf as SplitHalf
    from avreward.datasets.subjective.agreement import krippendorff_alpha as krippendorff_alpha
    from avreward.datasets.subjective.agreement import split_half_srcc as split_half_srcc
    from avreward.datasets.subjective.folds import split_folds as split_folds
    from avreward.datasets.subjective.folds import warn_of_leaks as warn_of_leaks
    from avreward.datasets.subjective.opinion_scores import OpinionScores as OpinionScores
    from avreward.datasets.subjective.opinion_scores import mean_opinion_scores as mean_opinion_scores
    from avreward.datasets.subjective.p910 import P910Fit as P910Fit
    from avreward.datasets.subjective.p910 import fit_p910 as fit_p910
    from avreward.datasets.subjective.ratings import Ratings as Ratings
    from avreward.datasets.subjective.ratings import read_ratings as read_ratings
    from avreward.datasets.subjective.rejection import Rejection as Rejection
    from avreward.datasets.subjective.rejection import reject_bt500 as reject_bt500
    from avreward.datasets.subjective.rejection import reject_by_correlation as reject_by_correlation

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_win_rates": ["WinRate", "win_rates"],
        "agreement": ["SplitHalf", "krippendorff_alpha", "split_half_srcc"],
        "folds": ["split_folds", "warn_of_leaks"],
        "opinion_scores": ["OpinionScores", "mean_opinion_scores"],
        "p910": ["P910Fit", "fit_p910"],
        "ratings": ["Ratings", "read_ratings"],
        "rejection": ["Rejection", "reject_bt500", "reject_by_correlation"],
    },
)
