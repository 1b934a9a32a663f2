"""Early pruning: successive halving on previews, and drafts of few steps of which the best are made in full."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avreward.errors import ArgumentError
from avreward.generators.base import Noise, SamplingRun
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._settings import check_integers


@dataclass(frozen=True)
class Halving:
    """Successive halving: start all candidates, and at some steps drop the half whose previews are worse.

    A preview is decoded from the predicted clean sample. Early previews are blurred, so the result depends on how well
    their rewards correlate with the final ones (docs/guides/search.md measures it on a synthetic case).

    Candidates are paused between the steps, each with its latents; they are denoised one at a time, whatever the batch
    size, since a single row of a batch cannot be dropped.

    Args:
        n: number of candidates at the start.
        at: where previews are rated, as ascending shares of the steps, each between 0 and 1.
        share: of the candidates that continue each time, rounded up.

    Raises:
        ArgumentError: if an argument is out of its range.
    """

    n: int = 8
    at: tuple[float, ...] = (0.3, 0.6)
    share: float = 0.5

    def __post_init__(self) -> None:
        check_integers(1, n=self.n)
        if not 0 < self.share < 1:
            raise ArgumentError("share", "a number between 0 and 1", self.share)
        if any(not 0 < point < 1 for point in self.at) or list(self.at) != sorted(self.at):
            raise ArgumentError("at", "ascending shares of the steps between 0 and 1", self.at)

    @property
    def total(self) -> int:
        """Number of candidates, including those that are dropped."""
        return self.n

    def __call__(self, loop: SearchLoop) -> None:
        """Denoise all candidates, rate their previews and drop the worse ones."""
        alive: list[tuple[Noise, SamplingRun]] = []
        try:
            for noise in loop.seeds(self.n):
                alive.append((noise, loop.start([noise], rows=1)[0]))
            for point in self.at:
                alive = [pair for pair in alive if self._reached(loop, *pair, point)]
                looks = [loop.previews(run)[0] for _, run in alive]
                # A stable sort: of equal rewards the earlier one continues.
                order = sorted(range(len(alive)), key=lambda i: _worth(looks[i].reward), reverse=True)
                best = sorted(order[: math.ceil(self.share * len(alive))])
                if all(look.reward is None for look in looks):  # no reward to choose by
                    continue
                for i in sorted(set(order) - set(best)):
                    (noise, run), seen = alive[i], looks[i].reason or f"{looks[i].reward:.6g}"
                    run.close()
                    loop.given_up(noise, f"dropped at step {run.step} of {run.total}: {seen}")
                alive = [alive[i] for i in best]
            for noise, run in alive:
                loop.finish(run, [noise])
        finally:
            for _, run in alive:
                run.close()

    def _reached(self, loop: SearchLoop, noise: Noise, run: SamplingRun, point: float) -> bool:
        """Denoise a candidate up to the next preview; return whether that worked."""
        try:
            with loop.timed():
                while run.step < max(1, round(point * run.total)):
                    run.advance()
        except Exception as error:
            run.close()
            loop.lost([noise], error)
            return False
        loop.failures.went_on()
        return True


def _worth(reward: float | None) -> float:
    return -math.inf if reward is None else reward


@dataclass(frozen=True)
class Drafts:
    """Draft, then commit: make `n` candidates in few steps, and the best of them from the same noise in all steps.

    Drafts have the shape of the final clip: another size or length would give another sample.

    Args:
        n: number of drafts.
        steps: of a draft, as a share of the full number, between 0 and 1.
        commit: number of the best drafts that are made in full.

    Raises:
        ArgumentError: if an argument is out of its range.
    """

    n: int = 8
    steps: float = 0.4
    commit: int = 2

    def __post_init__(self) -> None:
        check_integers(1, n=self.n, commit=self.commit)
        if not 0 < self.steps < 1:
            raise ArgumentError("steps", "a share of the full number of steps between 0 and 1", self.steps)

    @property
    def total(self) -> int:
        """Number of drafts and final candidates."""
        return self.n + min(self.n, self.commit)

    def __call__(self, loop: SearchLoop) -> None:
        """Make the drafts, then the best of them in full."""
        full = loop.sampler.steps(loop.condition)
        drafts = loop.make(loop.seeds(self.n), max(1, round(self.steps * full)), final=False)
        rated = [draft for draft in drafts if draft.reward is not None]
        best = sorted(rated, key=lambda draft: -(draft.reward or 0.0))[: self.commit]
        loop.make([draft.noise for draft in best if draft.noise is not None])
