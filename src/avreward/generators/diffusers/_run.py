"""Calls of a diffusers pipeline that stop after each denoising step, so that a search can look and lead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.generators._stochastic import row_noise, stochastic_step
from avreward.generators.base import Cost
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep


class _RunStopped(BaseException):
    """Ends a call that is given up."""


class DiffusersRun:
    """A call of a pipeline, in a thread that waits at the end of each denoising step.

    Only one of the two threads, this run's or the caller's, is ever at work. A waiting call holds its latents and the
    encoded prompt.

    Args:
        pipeline: a copy with a scheduler of its own.
        call: runs the pipeline and returns clips.
        decode: latents of each track, of one candidate → the clip that they show.
        generators: the candidates', one a row.
        total: denoising steps to take.
        cost: what is spent is added here.
    """

    def __init__(
        self,
        pipeline: Any,
        call: Callable[[], list[Clip]],
        decode: Callable[[list[Tensor]], Clip],
        generators: list[torch.Generator],
        total: int,
        cost: Cost,
    ) -> None:
        self.rows, self.step, self.total = len(generators), 0, total
        self._decode, self._cost, self._call = decode, cost, call
        self._stepper = ObservedScheduler(pipeline.scheduler, self._seen, generators)
        pipeline.scheduler.step = self._stepper
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._stop, self._through = False, False  # give up at the next step; don't wait any more
        self._clips: list[Clip] | None = None
        self._error: BaseException | None = None
        self._iteration: list[ObservedStep] = []
        self._now: list[Tensor] = []  # of each track, after the step
        self._put: set[int] = set()  # rows that were set since
        self._last: list[Tensor] = []  # the same of the step before
        self._held: set[int] = set()
        self._draws: list[torch.Generator] = []
        self._seeds: Sequence[int] | None = None
        self._spread = 0.0

    def advance(self, seeds: Sequence[int] | None = None, spread: float = 0.0) -> None:
        """One denoising step; see `avreward.generators.base.Run`."""
        if spread > 0 and (seeds is None or len(seeds) != self.rows):
            raise ValueError(f"seeds: {seeds} for {self.rows} rows; give one a row where spread is more than 0")
        self._seeds, self._spread = seeds, spread
        before = self.step
        self._resume()
        if self.step == before:
            raise AvrewardError(f"the pipeline took {self.step} denoising steps instead of {self.total}")

    def preview(self, row: int) -> Clip:
        """The clip that the predicted clean sample of one row decodes to, after the last step."""
        if not self._iteration:
            raise AvrewardError("preview: there is nothing to see before the first step; advance first")
        self._cost.decodes += 1
        with torch.no_grad():
            return self._decode([seen.clean()[0][row : row + 1] for seen in self._iteration])

    def take(self, row: int) -> list[Tensor]:
        """The latents of one row, a tensor a track."""
        return [track[row].clone() for track in self._now]

    def put(self, row: int, state: list[Tensor]) -> None:
        """Sets the latents of one row."""
        for track, latents in zip(self._now, state, strict=True):
            track[row] = latents  # in place: the pipeline holds this very tensor
        self._put.add(row)

    def finish(self) -> list[Clip]:
        """The clips."""
        self._through, self._spread = True, 0.0
        self._resume()
        self._cost.decodes += self.rows
        assert self._clips is not None
        return self._clips

    def close(self) -> None:
        """Ends the call, if it hasn't ended."""
        self._stop = True
        if self._thread.ident is not None and self._thread.is_alive():
            self._go.release()
            self._thread.join()

    def _resume(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        elif self._thread.is_alive():
            self._go.release()
        else:
            raise AvrewardError("this run has ended; start another one")
        self._stands.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        try:
            self._clips = self._call()
        except _RunStopped:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._stands.release()

    def _seen(self, seen: ObservedStep) -> Tensor:
        """Called by the pipeline's thread for each track of each step."""
        if self._stop:
            raise _RunStopped
        if seen.track == 0:
            self._last, self._iteration, self._held = self._now, [], self._put
            self._now, self._put = [], set()
        if self._last and any(not torch.equal(self._last[seen.track][row], seen.sample[row]) for row in self._held):
            raise AvrewardError(
                "this pipeline keeps its latents elsewhere than its scheduler's steps show, so that candidates can't "
                "be exchanged on the way; use a strategy that doesn't: best_of_n, evolution, halving"
            )
        result = self._spreaded(seen)
        self._iteration.append(seen)
        self._now.append(result)
        if len(self._now) == len(self._stepper.tracks):  # the copies of the scheduler were made before the first step
            self.step += 1
            self._cost.steps += self.rows
            if not self._through:
                self._stands.release()
                self._go.acquire()
                if self._stop:
                    raise _RunStopped
        return result

    def _spreaded(self, seen: ObservedStep) -> Tensor:
        if seen.track == 0 and self._spread > 0:
            assert self._seeds is not None
            self._draws = [torch.Generator().manual_seed(seed) for seed in self._seeds]
        if self._spread == 0:
            return seen.result
        clean, now, after = seen.clean()
        noise = row_noise(clean, self._draws)
        stepped = stochastic_step(seen.sample.to(clean.dtype), clean, now, after, noise, self._spread)
        return stepped.to(seen.result.dtype)
