"""The search strategies by name, and their protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from avreward.errors import unknown_name
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._settings import check_integers
from avreward.selection.search.adaptive import AdaptiveN
from avreward.selection.search.noise_search import Evolution, ZeroOrder
from avreward.selection.search.pruning import Drafts, Halving
from avreward.selection.search.steering import Beam, Steering


class Strategy(Protocol):
    """A search strategy: called with a `SearchLoop`, it asks for candidates until it is done.

    Attributes:
        total: number of candidates, including drafts; `None` if it depends on the rewards.
    """

    @property
    def total(self) -> int | None:
        """Number of candidates, including drafts."""

    def __call__(self, loop: SearchLoop) -> None:
        """Run the search."""


@dataclass(frozen=True)
class Independent:
    """Best-of-N: make `n` independent candidates from consecutive seeds.

    Args:
        n: number of candidates.
    """

    n: int = 8

    def __post_init__(self) -> None:
        check_integers(1, n=self.n)

    @property
    def total(self) -> int:
        """Number of candidates, `n`."""
        return self.n

    def __call__(self, loop: SearchLoop) -> None:
        """Make all candidates."""
        loop.make(loop.seeds(self.n))


def strategy_of(strategy: Strategy | str) -> Strategy:
    """Return the strategy itself, or the one of this name with its default settings."""
    if not isinstance(strategy, str):
        return strategy
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    return STRATEGIES[strategy]()


STRATEGIES: Mapping[str, Callable[[], Strategy]] = {
    "best_of_n": Independent,
    "adaptive_n": AdaptiveN,
    "zero_order": ZeroOrder,
    "evolution": Evolution,
    "halving": Halving,
    "drafts": Drafts,
    "steering": Steering,
    "beam": Beam,
}
