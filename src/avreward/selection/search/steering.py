"""Steering between denoising steps: resample particles, or branch the best, by the rewards of their previews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Noise
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._settings import check_at_least, check_integers


class Particles:
    """Candidates that are denoised together, with fresh noise at each step.

    Every step is stochastic, so that copies of one particle diverge; the marginals are those of the sampler.

    Args:
        loop: of the search.
        count: number of particles.
        spread: of the steps' noise; see `stochastic_step`.
    """

    def __init__(self, loop: SearchLoop, count: int, spread: float) -> None:
        loop.check_steering()
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
        """Take one step of all particles; return the indices of those that did not fail."""
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
                self.loop.lost([None] * len(rows), error)
            else:
                self.loop.failures.went_on()
        left = [i for i, (run, _) in enumerate(before) if run in self.runs]
        self.places, self.labels = [before[i] for i in left], [self.labels[i] for i in left]
        return left

    def looks(self) -> list[float | None]:
        """Return the rewards of the previews."""
        return [judged.reward for run in self.runs for judged in self.loop.previews(run)]

    def become(self, ancestors: Sequence[int]) -> None:
        """Set the state of each particle i to that of particle ``ancestors[i]``."""
        states = {a: self.places[a][0].take(self.places[a][1]) for a in set(ancestors)}
        for i, ancestor in enumerate(ancestors):
            if i != ancestor:
                run, row = self.places[i]
                run.put(row, states[ancestor])

    def finish(self) -> None:
        """Finish all particles; their clips become candidates, which depend on each other."""
        for run in self.runs:
            self.loop.finish(run, [None] * run.rows)

    def close(self) -> None:
        """Stop all runs."""
        for run in self.runs:
            run.close()


def _looks(at: Sequence[float], total: int) -> set[int]:
    """Return the steps after which to preview. A step with noise must follow, and the last one has none."""
    return {min(max(1, round(point * total)), total - 2) for point in at} if total > 2 else set()


def _check(at: Sequence[float], spread: float) -> None:
    if any(not 0 < point < 1 for point in at):
        raise ArgumentError("at", "shares of the steps between 0 and 1", tuple(at))
    if not 0 < spread <= 1:
        raise ArgumentError("spread", "a number above 0 and at most 1", spread, "copies stay equal without noise")


@dataclass(frozen=True)
class Steering:
    """Sequential Monte Carlo: resample particles between steps towards ``p(x) * exp(strength * reward(x))``.

    At each preview the log-weight of a particle grows by `strength` times the gain of its reward since the preview
    before, so that the potentials telescope; if the effective sample size falls below `threshold` of the particles,
    they are resampled (systematically) and the weights are equal again. Singhal et al., "A General
    Framework for Inference-time Scaling and Steering of Diffusion Models" (arXiv:2501.06848); Del Moral, Doucet and
    Jasra 2006. Log-weights are never clamped.

    Args:
        particles: number of particles, at least 2.
        at: where previews are rated, as shares of the steps between 0 and 1.
        strength: of the steering, divided by the standard deviation of the particles' rewards at the first preview.
        threshold: of the effective sample size, as a share of the particles; 1 resamples at every preview.
        spread: of the steps' noise, above 0; 1 is ancestral sampling.

    Raises:
        ArgumentError: if an argument is out of its range.
    """

    particles: int = 4
    at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    strength: float = 2.0
    threshold: float = 0.5
    spread: float = 1.0

    def __post_init__(self) -> None:
        check_integers(2, particles=self.particles)
        check_at_least(0, strength=self.strength, threshold=self.threshold)
        _check(self.at, self.spread)

    @property
    def total(self) -> int:
        """Number of particles."""
        return self.particles

    def __call__(self, loop: SearchLoop) -> None:
        """Denoise, weight and resample the particles."""
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
    """Beam search: at each preview continue with the best `beams`, in `branches` copies each that diverge by noise.

    Args:
        beams: number of candidates that continue.
        branches: copies of each.
        at: where previews are rated, as shares of the steps between 0 and 1.
        spread: of the steps' noise, as in `Steering`.

    Raises:
        ArgumentError: if an argument is out of its range.
    """

    beams: int = 2
    branches: int = 2
    at: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    spread: float = 1.0

    def __post_init__(self) -> None:
        check_integers(1, beams=self.beams, branches=self.branches)
        _check(self.at, self.spread)

    @property
    def total(self) -> int:
        """Number of beams times branches."""
        return self.beams * self.branches

    def __call__(self, loop: SearchLoop) -> None:
        """Denoise, choose and branch the candidates."""
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
                    # Those that continue keep their places; the other places are filled in turn.
                    others = [i for i in range(len(rewards)) if i not in best]
                    filled = {place: best[n % len(best)] for n, place in enumerate(others)}
                    particles.become([filled.get(i, i) for i in range(len(rewards))])
            particles.finish()
        finally:
            particles.close()


def effective_size(log_weights: Tensor) -> float:
    """Return the effective sample size ``(sum w)² / sum w²``, from log-weights (n,).

    Example:
        >>> effective_size(torch.tensor([0.0, 0.0, -1e9]))
        2.0
    """
    return float(torch.exp(2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0))) if len(log_weights) else 0.0


def systematic(log_weights: Tensor, generator: torch.Generator) -> list[int]:
    """Draw n ancestors by systematic resampling: each i ``floor(n w_i)`` times or once more, ``n w_i`` in expectation.

    Example:
        >>> systematic(torch.tensor([0.0, 0.0, -1e9, -1e9]), torch.Generator().manual_seed(0))
        [0, 0, 1, 1]
    """
    count = len(log_weights)
    ends = log_weights.double().softmax(0).cumsum(0)
    start = torch.rand((), generator=generator, dtype=torch.float64)
    places = (start + torch.arange(count, dtype=torch.float64)) / count
    # Rounding may leave the last end slightly below 1.
    return torch.searchsorted(ends / ends[-1], places, right=True).clamp(max=count - 1).tolist()


def _deviation(rewards: Sequence[float | None]) -> float:
    """Return the standard deviation of the present rewards; 0 for fewer than two, or equal ones."""
    there = torch.tensor([reward for reward in rewards if reward is not None], dtype=torch.float64)
    return float(there.std()) if len(there) > 1 else 0.0


def _gains(now: Sequence[float | None], then: Sequence[float | None]) -> Tensor:
    """Return the gain of each reward: 0 for a missing one; a new one is compared with the worst."""
    there = [reward for reward in now if reward is not None]
    worst = min(there, default=0.0)
    gains = [
        0.0 if r is None else r - (worst if before is None else before) for r, before in zip(now, then, strict=True)
    ]
    return torch.tensor(gains, dtype=torch.float64)
