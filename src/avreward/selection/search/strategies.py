"""The strategies by name, and what each of them is to a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from avreward.errors import unknown_name
from avreward.selection.search._loop import SearchLoop, whole
from avreward.selection.search.adaptive import AdaptiveN
from avreward.selection.search.noise_search import Evolution, ZeroOrder
from avreward.selection.search.pruning import Drafts, Halving
from avreward.selection.search.steering import Beam, Steering


class Strategy(Protocol):
    """How candidates are found: called with a `SearchLoop`, it asks for candidates until it is done.

    `total` is how many candidates there will be, drafts included; `None` where that depends on their rewards.
    """

    @property
    def total(self) -> int | None:
        """How many candidates there will be."""

    def __call__(self, loop: SearchLoop) -> None:
        """Searches."""


@dataclass(frozen=True)
class Independent:
    """Best-of-N: `n` candidates from the seeds ``seed``, ``seed + 1``, …"""

    n: int = 8

    def __post_init__(self) -> None:
        whole(1, n=self.n)

    @property
    def total(self) -> int:
        """`n`."""
        return self.n

    def __call__(self, loop: SearchLoop) -> None:
        """Makes them all."""
        loop.make(loop.seeds(self.n))


def strategy_of(strategy: Strategy | str) -> Strategy:
    """A strategy, or the one of this name with its default settings."""
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
