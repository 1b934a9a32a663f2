"""The value of best-of-k, from a table of scored candidates."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.selection.best_of_k._curve import BestOfKCurve as BestOfKCurve
    from avreward.selection.best_of_k._curve import best_of_k_curve as best_of_k_curve
    from avreward.selection.best_of_k._winners_curse import WinnersCurse as WinnersCurse
    from avreward.selection.best_of_k._winners_curse import winners_curse as winners_curse
    from avreward.selection.best_of_k.bootstrap import Bootstrap as Bootstrap
    from avreward.selection.best_of_k.bootstrap import Estimate as Estimate
    from avreward.selection.best_of_k.estimators import chosen_value as chosen_value
    from avreward.selection.best_of_k.estimators import expected_best as expected_best
    from avreward.selection.best_of_k.estimators import kl_bound as kl_bound
    from avreward.selection.best_of_k.estimators import win_rate as win_rate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_curve": ["BestOfKCurve", "best_of_k_curve"],
        "_winners_curse": ["WinnersCurse", "winners_curse"],
        "bootstrap": ["Bootstrap", "Estimate"],
        "estimators": ["chosen_value", "expected_best", "kl_bound", "win_rate"],
    },
)
