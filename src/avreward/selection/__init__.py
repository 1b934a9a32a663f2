"""Choose among candidates: best-of-N, tournaments, search, preference pairs, the value of best-of-k."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.selection._best_of_n import best_of_n as best_of_n
    from avreward.selection._best_of_n import select as select
    from avreward.selection._candidate import Candidate as Candidate
    from avreward.selection._filter import FilteredTable as FilteredTable
    from avreward.selection._filter import filter_table as filter_table
    from avreward.selection._pareto import ParetoFront as ParetoFront
    from avreward.selection._pareto import pareto_front as pareto_front
    from avreward.selection._selection import Selection as Selection
    from avreward.selection._sorting import repeats_needed as repeats_needed
    from avreward.selection._sorting import sorting_error as sorting_error
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
    from avreward.selection.candidates import CandidateTable as CandidateTable
    from avreward.selection.candidates import candidates_of as candidates_of
    from avreward.selection.diverse import diverse_top_k as diverse_top_k
    from avreward.selection.pairs._hub import push_pairs as push_pairs
    from avreward.selection.pairs._rule import PairRule as PairRule
    from avreward.selection.pairs.export import export_pairs as export_pairs
    from avreward.selection.pairs.export import read_pairs as read_pairs
    from avreward.selection.pairs.make import PreferencePairs as PreferencePairs
    from avreward.selection.pairs.make import make_pairs as make_pairs
    from avreward.selection.pairs.matching import Covariate as Covariate
    from avreward.selection.search.adaptive import AdaptiveN as AdaptiveN
    from avreward.selection.search.noise_search import Evolution as Evolution
    from avreward.selection.search.noise_search import ZeroOrder as ZeroOrder
    from avreward.selection.search.pruning import Drafts as Drafts
    from avreward.selection.search.pruning import Halving as Halving
    from avreward.selection.search.search import BestOfN as BestOfN
    from avreward.selection.search.search import Search as Search
    from avreward.selection.search.steering import Beam as Beam
    from avreward.selection.search.steering import Steering as Steering
    from avreward.selection.search.strategies import STRATEGIES as STRATEGIES
    from avreward.selection.search.strategies import Independent as Independent
    from avreward.selection.search.strategies import Strategy as Strategy
    from avreward.selection.tournament import TournamentRanking as TournamentRanking
    from avreward.selection.tournament import by_sorting as by_sorting
    from avreward.selection.tournament import round_robin as round_robin
    from avreward.selection.tournament import swiss as swiss

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "best_of_k.bootstrap": ["Bootstrap", "Estimate"],
        "best_of_k.estimators": ["chosen_value", "expected_best", "kl_bound", "win_rate"],
        "pairs.matching": ["Covariate"],
        "_best_of_n": ["best_of_n", "select"],
        "_candidate": ["Candidate"],
        "_filter": ["FilteredTable", "filter_table"],
        "_pareto": ["ParetoFront", "pareto_front"],
        "_selection": ["Selection"],
        "_sorting": ["repeats_needed", "sorting_error"],
        "best_of_k._curve": ["BestOfKCurve", "best_of_k_curve"],
        "best_of_k._winners_curse": ["WinnersCurse", "winners_curse"],
        "candidates": ["CandidateTable", "candidates_of"],
        "diverse": ["diverse_top_k"],
        "pairs.export": ["export_pairs", "read_pairs"],
        "pairs._hub": ["push_pairs"],
        "pairs._rule": ["PairRule"],
        "pairs.make": ["PreferencePairs", "make_pairs"],
        "search.adaptive": ["AdaptiveN"],
        "search.noise_search": ["Evolution", "ZeroOrder"],
        "search.pruning": ["Drafts", "Halving"],
        "search.search": ["BestOfN", "Search"],
        "search.steering": ["Beam", "Steering"],
        "search.strategies": ["Independent", "STRATEGIES", "Strategy"],
        "tournament": ["TournamentRanking", "by_sorting", "round_robin", "swiss"],
    },
)
