"""Search: generate candidates and choose among them by a reward; one file per strategy."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
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

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "adaptive": ["AdaptiveN"],
        "noise_search": ["Evolution", "ZeroOrder"],
        "pruning": ["Drafts", "Halving"],
        "search": ["BestOfN", "Search"],
        "steering": ["Beam", "Steering"],
        "strategies": ["Independent", "STRATEGIES", "Strategy"],
    },
)
