"""Steering on the way: particles are weighed by their previews, and the good ones take the place of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.generators.base import Noise
from avreward.selection.search._loop import SearchLoop, at_least, whole


class Particles:
    """Candidates that are denoised together, with noise of their own at each step.

    Twins, copies of one particle, must part: so every step is stochastic, with marginals as those of the sampler.

    Args:
        loop: of the search.
        count: how many.
        spread: of the steps' noise; see `stochastic_step`.
    """

    def __init__(self, loop: SearchLoop, count: int, spread: float) -> None:
        self.loop, self.spread, self.labels = loop, spread, list(range(count))
        self.runs = loop.start([Noise.of(loop.seed + i) for i in range(count)], loop.batch_size)
        self.places = [(run, row) for run in self.runs for row in range(run.rows)]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def step(self) -> int:
        """Steps taken."""
        return max((run.step for run in self.runs), default=0)

    @property
    def total(self) -> int:
        """Steps to take."""
        return max((run.total for run in self.runs), default=0)

    def advance(self) -> list[int]:
        """One step of all. Returns the places that are left: those of a run that fails are lost."""
        step, before = self.step, self.places
        for run in list(self.runs):
            rows = [i for i, (own, _) in enumerate(self.places) if own is run]
            seeds = [self.loop.draw("step", step, self.labels[i]) for i in rows]
            try:
                with self.loop.timed():
                    run.advance(seeds, self.spread)
            except Exception as error:
                run.close()
                self.runs.remove(run)
                for _ in rows:
                    self.loop.lost(None, error)
        left = [i for i, (run, _) in enumerate(before) if run in self.runs]
        self.places, self.labels = [before[i] for i in left], [self.labels[i] for i in left]
        return left

    def looks(self) -> list[float | None]:
        """The rewards of their previews."""
        return [judged.reward for run in self.runs for judged in self.loop.previews(run)]

    def become(self, ancestors: Sequence[int]) -> None:
        """Particle i takes the state of particle ``ancestors[i]``."""
        states = {a: self.places[a][0].take(self.places[a][1]) for a in set(ancestors)}
        for i, ancestor in enumerate(ancestors):
            if i != ancestor:
                run, row = self.places[i]
                run.put(row, states[ancestor])

    def finish(self) -> None:
        """Their clips become candidates; none can be made again alone."""
        for run in self.runs:
            self.loop.finish(run, [None] * run.rows)

    def close(self) -> None:
        """Gives up what isn't finished."""
        for run in self.runs:
            run.close()


def _looks(at: Sequence[float], total: int) -> set[int]:
    """Steps after which to look. One step with noise must follow, and the last one has none."""
    return {min(max(1, round(point * total)), total - 2) for point in at} if total > 2 else set()


def _check(at: Sequence[float], spread: float) -> None:
    if any(not 0 < point < 1 for point in at):
        raise ValueError(f"at: {tuple(at)}; give shares of the steps, between 0 and 1")
    if not 0 < spread <= 1:
        raise ValueError(f"spread: {spread} isn't above 0 and at most 1; without noise, copies would stay equal")


@dataclass(frozen=True)
class Steering:
    """Sequential Monte Carlo: particles are resampled on the way towards ``p(x) * exp(strength * reward(x))``.

    At each look the log-weight of a particle grows by `strength` times what its preview's reward has gained since the
    last look, so that the potentials telescope; where the effective sample size falls under `threshold` of the
    particles, they are resampled (systematically) and the weights are equal again. Singhal et al., "A General
    Framework for Inference-time Scaling and Steering of Diffusion Models" (arXiv:2501.06848); Del Moral, Doucet and
    Jasra 2006. Log-weights are never clamped.

    Args:
        particles: how many.
        at: where previews are judged, as shares of the steps.
        strength: of the steering, in one over the standard deviation of the particles' rewards at the first look.
        threshold: of the effective sample size, as a share of the particles; 1 resamples at every look.
        spread: of the steps' noise; 1 is ancestral sampling. See `avreward.generators._stochastic`.
    """

    particles: int = 4
    at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    strength: float = 2.0
    threshold: float = 0.5
    spread: float = 1.0

    def __post_init__(self) -> None:
        whole(2, particles=self.particles)
        at_least(0, strength=self.strength, threshold=self.threshold)
        _check(self.at, self.spread)

    @property
    def total(self) -> int:
        """The particles."""
        return self.particles

    def __call__(self, loop: SearchLoop) -> None:
        """Denoises, weighs, resamples."""
        particles = Particles(loop, self.particles, self.spread)
        try:
            weights = torch.zeros(self.particles, dtype=torch.float64)
            last: list[float | None] = [None] * self.particles
            unit = 0.0
            while particles.step < particles.total:
                left = particles.advance()
                weights, last = weights[left], [last[i] for i in left]
                if particles.step not in _looks(self.at, particles.total):
                    continue
                rewards = particles.looks()
                unit = unit or _deviation(rewards)
                weights = weights + self.strength * _gains(rewards, last) / (unit or 1.0)
                last = [then if now is None else now for now, then in zip(rewards, last, strict=True)]
                if effective_size(weights) < self.threshold * len(weights) + 1e-9:
                    generator = torch.Generator().manual_seed(loop.draw("resample", particles.step))
                    ancestors = systematic(weights, generator)
                    particles.become(ancestors)
                    weights, last = torch.zeros_like(weights), [last[a] for a in ancestors]
            particles.finish()
        finally:
            particles.close()


@dataclass(frozen=True)
class Beam:
    """Beam search: at each look the best `beams` go on, each in `branches` copies that part by the steps' noise.

    Args:
        beams: how many go on.
        branches: copies of each.
        at: where previews are judged, as shares of the steps.
        spread: of the steps' noise, as in `Steering`.
    """

    beams: int = 2
    branches: int = 2
    at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    spread: float = 1.0

    def __post_init__(self) -> None:
        whole(1, beams=self.beams, branches=self.branches)
        _check(self.at, self.spread)

    @property
    def total(self) -> int:
        """Beams and branches."""
        return self.beams * self.branches

    def __call__(self, loop: SearchLoop) -> None:
        """Denoises, chooses, branches."""
        particles = Particles(loop, self.total, self.spread)
        try:
            while particles.step < particles.total:
                particles.advance()
                if particles.step not in _looks(self.at, particles.total):
                    continue
                rewards = particles.looks()
                there = sorted((i for i, r in enumerate(rewards) if r is not None), key=lambda i: -(rewards[i] or 0.0))
                best = there[: self.beams]
                if best:
                    # Those that go on stay where they are; the others' places are filled in turn.
                    others = [i for i in range(len(rewards)) if i not in best]
                    filled = {place: best[n % len(best)] for n, place in enumerate(others)}
                    particles.become([filled.get(i, i) for i in range(len(rewards))])
            particles.finish()
        finally:
            particles.close()


def effective_size(log_weights: Tensor) -> float:
    """The effective sample size ``(sum w)² / sum w²``, from log-weights (n,).

    >>> effective_size(torch.tensor([0.0, 0.0, -1e9]))
    2.0
    """
    return float(torch.exp(2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0))) if len(log_weights) else 0.0


def systematic(log_weights: Tensor, generator: torch.Generator) -> list[int]:
    """Systematic resampling: n ancestors, i of them ``floor(n w_i)`` or one more times, ``n w_i`` in expectation.

    >>> systematic(torch.tensor([0.0, 0.0, -1e9, -1e9]), torch.Generator().manual_seed(0))
    [0, 0, 1, 1]
    """
    count = len(log_weights)
    ends = log_weights.double().softmax(0).cumsum(0)
    start = torch.rand((), generator=generator, dtype=torch.float64)
    places = (start + torch.arange(count, dtype=torch.float64)) / count
    # Rounding may leave the last end a little under 1.
    return torch.searchsorted(ends / ends[-1], places, right=True).clamp(max=count - 1).tolist()


def _deviation(rewards: Sequence[float | None]) -> float:
    """Of those that are there; 0 where fewer than two are, or all are equal."""
    there = torch.tensor([reward for reward in rewards if reward is not None], dtype=torch.float64)
    return float(there.std()) if len(there) > 1 else 0.0


def _gains(now: Sequence[float | None], then: Sequence[float | None]) -> Tensor:
    """What each reward has gained; a missing one gains nothing, and one seen first is compared with the worst."""
    there = [reward for reward in now if reward is not None]
    worst = min(there, default=0.0)
    gains = [
        0.0 if r is None else r - (worst if before is None else before) for r, before in zip(now, then, strict=True)
    ]
    return torch.tensor(gains, dtype=torch.float64)
