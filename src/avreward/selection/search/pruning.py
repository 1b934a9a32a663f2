"""Giving up early: successive halving on previews, and drafts of few steps before the best are made in full."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avreward.generators.base import Noise, SamplingRun
from avreward.selection.search._loop import SearchLoop, whole


@dataclass(frozen=True)
class Halving:
    """Successive halving: all set out, and at some steps the worse half, by preview, is given up.

    A preview is what the predicted clean sample decodes to. Early ones are blurred: what is lost by it depends on how
    well their rewards go with the final ones (docs/guides/search.md measures it on a synthetic case).

    Candidates wait between the steps, each with its latents; they are denoised one at a time, whatever the batch size,
    since a row of a batch can't be given up.

    Args:
        n: how many set out.
        at: where previews are judged, as shares of the steps.
        share: how many go on each time, rounded up.
    """

    n: int = 8
    at: tuple[float, ...] = (0.3, 0.6)
    share: float = 0.5

    def __post_init__(self) -> None:
        whole(1, n=self.n)
        if not 0 < self.share < 1 or any(not 0 < point < 1 for point in self.at) or list(self.at) != sorted(self.at):
            raise ValueError(f"at={self.at}, share={self.share}: give ascending shares between 0 and 1")

    @property
    def total(self) -> int:
        """Given-up ones, too."""
        return self.n

    def __call__(self, loop: SearchLoop) -> None:
        """Denoises, judges, gives up."""
        alive: list[tuple[Noise, SamplingRun]] = []
        try:
            for noise in loop.seeds(self.n):
                alive.append((noise, loop.start([noise], rows=1)[0]))
            for point in self.at:
                alive = [pair for pair in alive if self._reached(loop, *pair, point)]
                looks = [loop.previews(run)[0] for _, run in alive]
                # A stable sort: of equal rewards the earlier one goes on.
                order = sorted(range(len(alive)), key=lambda i: _worth(looks[i].reward), reverse=True)
                best = sorted(order[: math.ceil(self.share * len(alive))])
                if all(look.reward is None for look in looks):  # nothing is known: nothing is given up
                    continue
                for i in sorted(set(order) - set(best)):
                    (noise, run), seen = alive[i], looks[i].reason or f"{looks[i].reward:.6g}"
                    run.close()
                    loop.given_up(noise, f"given up at step {run.step} of {run.total}: {seen}")
                alive = [alive[i] for i in best]
            for noise, run in alive:
                loop.finish(run, [noise])
        finally:
            for _, run in alive:
                run.close()

    def _reached(self, loop: SearchLoop, noise: Noise, run: SamplingRun, point: float) -> bool:
        """Takes a candidate to the next look; one that fails is lost."""
        try:
            with loop.timed():
                while run.step < max(1, round(point * run.total)):
                    run.advance()
        except Exception as error:
            run.close()
            loop.lost(noise, error)
            return False
        return True


def _worth(reward: float | None) -> float:
    return -math.inf if reward is None else reward


@dataclass(frozen=True)
class Drafts:
    """Draft, then commit: `n` candidates in few steps, and the best of them again in all, from the same noise.

    Drafts have the shape of the final: another size or length would be another sample.

    Args:
        n: how many drafts.
        steps: of a draft, as a share of the full number.
        commit: how many of the best drafts are made in full.
    """

    n: int = 8
    steps: float = 0.4
    commit: int = 2

    def __post_init__(self) -> None:
        whole(1, n=self.n, commit=self.commit)
        if not 0 < self.steps < 1:
            raise ValueError(f"steps: {self.steps} isn't between 0 and 1; give the share that a draft takes")

    @property
    def total(self) -> int:
        """Drafts and finals."""
        return self.n + min(self.n, self.commit)

    def __call__(self, loop: SearchLoop) -> None:
        """Drafts, and commits."""
        full = loop.sampler.steps(loop.condition)
        drafts = loop.make(loop.seeds(self.n), max(1, round(self.steps * full)), final=False)
        rated = [draft for draft in drafts if draft.reward is not None]
        best = sorted(rated, key=lambda draft: -(draft.reward or 0.0))[: self.commit]
        loop.make([draft.noise for draft in best if draft.noise is not None])
