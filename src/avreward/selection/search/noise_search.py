"""Search over the initial noise: neighbours of the best candidate, and evolution."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from avreward.generators.base import Noise
from avreward.selection._candidate import Candidate
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._settings import check_at_least, check_integers


@dataclass(frozen=True)
class ZeroOrder:
    """Zero-order search: take the best of a few seeds, then in each round the best of its neighbours.

    Ma et al., "Inference-Time Scaling for Diffusion Models beyond Scaling Denoising Steps" (arXiv:2501.09732), section
    3.2. The centre moves only if a neighbour is better.

    Args:
        start: number of seeds at the start.
        rounds: number of rounds.
        neighbours: number of neighbours per round.
        distance: of a neighbour, 0 to 1: its noise is ``sqrt(1 - distance²)`` of the centre's, the rest is fresh.
    """

    start: int = 2
    rounds: int = 3
    neighbours: int = 2
    distance: float = 0.5

    def __post_init__(self) -> None:
        check_integers(1, start=self.start, neighbours=self.neighbours)
        check_integers(0, rounds=self.rounds)
        check_at_least(0, distance=self.distance)

    @property
    def total(self) -> int:
        """Number of candidates of all rounds."""
        return self.start + self.rounds * self.neighbours

    def __call__(self, loop: SearchLoop) -> None:
        """Run the search; while no candidate has a reward, try further seeds."""
        loop.check_mixes()
        best = _best(loop.make(loop.seeds(self.start)))
        for turn in range(self.rounds):
            seeds = [loop.draw("neighbour", turn, i) for i in range(self.neighbours)]
            if best is None:
                around = [Noise.of(seed) for seed in seeds]
            else:
                around = [_noise(best).near(seed, self.distance) for seed in seeds]
            best = _best([*([best] if best else []), *loop.make(around)])


@dataclass(frozen=True)
class Evolution:
    """Evolutionary search: mix the noise of good candidates and mutate it.

    Each parent is the better of two candidates drawn from the best `population` so far. A child's noise has half of
    its variance from each parent, and is then mutated; like every mix, it is standard normal.

    Args:
        population: number of seeds at the start, and of candidates that may become parents.
        generations: number of generations.
        children: number of children per generation.
        mutation: distance of the mutation, 0 to 1, as in `ZeroOrder`.
    """

    population: int = 4
    generations: int = 2
    children: int = 2
    mutation: float = 0.3

    def __post_init__(self) -> None:
        check_integers(1, population=self.population, children=self.children)
        check_integers(0, generations=self.generations)
        check_at_least(0, mutation=self.mutation)

    @property
    def total(self) -> int:
        """Number of candidates of all generations."""
        return self.population + self.generations * self.children

    def __call__(self, loop: SearchLoop) -> None:
        """Run the search; while fewer than two candidates have a reward, try further seeds."""
        loop.check_mixes()
        everyone = loop.make(loop.seeds(self.population))
        for generation in range(self.generations):
            parents = sorted(_rated(everyone), key=lambda c: -(c.reward or 0.0))[: self.population]
            children = []
            for i in range(self.children):
                seed = loop.draw("child", generation, i)
                children.append(self._child(parents, seed) if len(parents) > 1 else Noise.of(seed))
            everyone += loop.make(children)

    def _child(self, parents: list[Candidate], seed: int) -> Noise:
        draws = Random(seed)  # noqa: S311  # not for security
        mother = min(draws.sample(range(len(parents)), 2))  # sorted: the smaller index is the better one
        father = min(draws.sample([i for i in range(len(parents)) if i != mother], min(2, len(parents) - 1)))
        child = _noise(parents[mother]).cross(_noise(parents[father]), share=0.5)
        return child.near(seed, self.mutation)


def _rated(candidates: list[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.reward is not None]


def _best(candidates: list[Candidate]) -> Candidate | None:
    """Return the best candidate, the first of equal ones; `None` if none has a reward."""
    return max(_rated(candidates), key=lambda c: c.reward or 0.0, default=None)


def _noise(candidate: Candidate) -> Noise:
    assert candidate.noise is not None
    return candidate.noise
