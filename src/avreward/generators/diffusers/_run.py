"""Calls of a diffusers pipeline that pause after each denoising step, so that a search can preview and steer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators._stochastic import row_noise, stochastic_step
from avreward.generators.base import Cost
from avreward.generators.diffusers._settings import ThreadSettings
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep


class _RunStopped(BaseException):
    """Ends an abandoned call."""


class DiffusersRun:
    """A call of a pipeline, in a thread that waits at the end of each denoising step.

    Only one of the two threads, this run's or the caller's, works at a time. A waiting call keeps its latents and the
    encoded prompt in memory.

    Args:
        pipeline: a copy with its own scheduler.
        call: runs the pipeline and returns clips.
        decode: decodes the latents of one candidate, one tensor per track, to a clip; also gets its row.
        generators: one per candidate.
        total: denoising steps to take.
        cost: the work of the run is added here.
    """

    def __init__(
        self,
        pipeline: Any,
        call: Callable[[], list[Clip]],
        decode: Callable[[list[Tensor], int], Clip],
        generators: list[torch.Generator],
        total: int,
        cost: Cost,
    ) -> None:
        self.rows, self.step, self.total = len(generators), 0, total
        self._decode, self._cost, self._call = decode, cost, call
        self._stepper = ObservedScheduler(pipeline.scheduler, self._seen, generators)
        pipeline.scheduler.step = self._stepper
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._settings = ThreadSettings()
        self._stop, self._through = False, False  # end at the next step; run on without waiting
        self._clips: list[Clip] | None = None
        self._error: BaseException | None = None
        self._iteration: list[ObservedStep] = []
        self._now: list[Tensor] = []  # of each track, after the step
        self._put: dict[int, list[Tensor]] = {}  # what the rows that were set since then had before
        self._last: list[Tensor] = []  # the same two, of the step before
        self._held: dict[int, list[Tensor]] = {}
        self._draws: list[torch.Generator] = []
        self._seeds: Sequence[int] | None = None
        self._spread = 0.0

    def advance(self, seeds: Sequence[int] | None = None, spread: float = 0.0) -> None:
        """Take one denoising step; see `SamplingRun.advance`.

        Raises:
            ArgumentError: if `spread` is above 0 and there is not one seed per row.
            AvrewardError: if the pipeline has no step left.
        """
        if spread > 0 and (seeds is None or len(seeds) != self.rows):
            raise ArgumentError("seeds", f"one per row ({self.rows}) for a spread above 0", seeds)
        self._seeds, self._spread = seeds, spread
        before = self.step
        self._resume()
        if self.step == before:
            raise AvrewardError(
                f"pipeline: expected {self.total} denoising steps, got {self.step}; check the scheduler"
            )

    def preview(self, row: int) -> Clip:
        """Decode the predicted clean sample of one row, after the last step taken."""
        if not self._iteration:
            raise AvrewardError("preview: expected at least one step taken, got none; call advance() first")
        self._cost.decodes += 1
        with torch.no_grad():
            return self._decode([seen.clean()[0][self._rows(seen.result, row)] for seen in self._iteration], row)

    def take(self, row: int) -> list[Tensor]:
        """Return the latents of one row, one tensor per track."""
        return [track[self._rows(track, row)].clone() for track in self._now]

    def put(self, row: int, state: list[Tensor]) -> None:
        """Set the latents of one row."""
        self._put.setdefault(row, self.take(row))
        for track, latents in zip(self._now, state, strict=True):
            track[self._rows(track, row)] = latents  # in place: the pipeline gets this very tensor

    def _rows(self, track: Tensor, row: int) -> slice:
        """Return the rows of a candidate: one, or one per frame in a pipeline that denoises frames as a batch."""
        count = max(1, len(track) // self.rows)
        return slice(row * count, (row + 1) * count)

    def finish(self) -> list[Clip]:
        """Take the remaining steps and return the clips."""
        self._through, self._spread = True, 0.0
        self._resume()
        self._cost.decodes += self.rows
        assert self._clips is not None
        return self._clips

    def close(self) -> None:
        """End the call if it is still running."""
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
            raise AvrewardError("run: expected one that is still running, got one that has ended; start another one")
        self._paused.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        try:
            with self._settings:
                self._clips = self._call()
        except _RunStopped:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._paused.release()

    def _seen(self, seen: ObservedStep) -> Tensor:
        """Return the sample that the pipeline gets; called by its thread for each track of each step."""
        if self._stop:
            raise _RunStopped
        if seen.track == 0:
            self.total = self.step + seen.left  # a pipeline that starts from a video skips the first ones
            self._last, self._iteration, self._held = self._now, [], self._put
            self._now, self._put = [], {}
        self._check_exchanged(seen)
        result = self._with_noise(seen)
        self._iteration.append(seen)
        self._now.append(result)
        if len(self._now) == len(self._stepper.tracks):  # the copies of the scheduler were made before the first step
            self.step += 1
            self._cost.steps += self.rows
            if not self._through:
                self._paused.release()
                self._go.acquire()
                if self._stop:
                    raise _RunStopped
        return result

    def _check_exchanged(self, seen: ObservedStep) -> None:
        """Raise if the pipeline goes on with the latents that a row had before it was set.

        Its sample need not equal the latents that were set: the pipeline may round them, and its callbacks may edit
        them. But it is nearer to them than to the earlier ones.
        """
        for row, before in self._held.items():
            rows = self._rows(seen.sample, row)
            after, sample = (track[rows].float() for track in (self._last[seen.track], seen.sample))
            if float((sample - after).norm()) > float((sample - before[seen.track].float()).norm()):
                raise AvrewardError(
                    "pipeline: expected latents that its scheduler's steps return, got a pipeline that keeps its own, "
                    "so candidates cannot be exchanged between steps; use best_of_n, evolution or halving"
                )

    def _with_noise(self, seen: ObservedStep) -> Tensor:
        if seen.track == 0 and self._spread > 0:
            assert self._seeds is not None
            self._draws = [torch.Generator().manual_seed(seed) for seed in self._seeds]
        if self._spread == 0:
            return seen.result
        clean, now, after = seen.clean()
        noise = row_noise(clean, self._draws)
        stepped = stochastic_step(seen.sample.to(clean.dtype), clean, now, after, noise, self._spread)
        return stepped.to(seen.result.dtype)
