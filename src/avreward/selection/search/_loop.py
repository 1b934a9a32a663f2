"""The loop that every strategy runs in: candidates are made, judged, written down, and forgotten but for the best."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError, describe
from avreward.generators.base import CallableSampler, Condition, Cost, GeneratorStopped, Noise, Sampler, SamplingRun
from avreward.rewards.base import Reward
from avreward.scoring.evaluator import Evaluator
from avreward.selection._candidate import Candidate, Judged
from avreward.selection.search._chosen import FAILED
from avreward.selection.search._judging import judge
from avreward.selection.search._run_log import RunLog


class SearchLoop:
    """What a strategy works with: it asks for candidates and sees their rewards.

    Args:
        sampler: makes the candidates.
        evaluator: rates them.
        condition: what they are asked for.
        journal: what is known already.
        batch_size: how many are made and judged at once; bounds memory.
        keep: how many of the best clips are kept.
        seed: of the first candidate; all other seeds follow from it.
        step: told of each candidate.
        strategy: names candidates that came about together, and so have no noise of their own.
    """

    def __init__(
        self,
        sampler: Sampler,
        evaluator: Evaluator[Reward],
        condition: Condition,
        journal: RunLog,
        batch_size: int = 1,
        keep: int = 1,
        seed: int = 0,
        step: Callable[[str], None] = lambda doing: None,
        strategy: str = "",
    ) -> None:
        self.sampler, self.evaluator, self.condition, self.journal = sampler, evaluator, condition, journal
        self.batch_size, self.keep, self.seed, self.step, self.strategy = batch_size, keep, seed, step, strategy
        self.candidates: list[Candidate] = []
        self.kept: dict[int, Clip] = {}
        self.cost = Cost()

    def seeds(self, count: int) -> list[Noise]:
        """The noises of the seeds ``seed``, ``seed + 1``, …"""
        return [Noise.of(self.seed + i) for i in range(count)]

    def draw(self, *labels: object) -> int:
        """A seed that depends on the loop's own and on `labels` alone."""
        digest = hashlib.blake2b(repr((self.seed, *labels)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    def make(self, noises: Sequence[Noise], steps: int | None = None, final: bool = True) -> list[Candidate]:
        """Makes and judges a candidate for each noise, a batch at a time, but for those known from an earlier run.

        What fails becomes a candidate with a reason; but a generator that gives up ends it all, with
        `GeneratorStopped`.
        """
        made: list[Candidate] = []
        waiting: list[Candidate] = []
        for noise in noises:
            candidate = self._new(noise, steps, final)
            made.append(candidate)
            if not self._recall(candidate):
                waiting.append(candidate)
        for at in range(0, len(waiting), self.batch_size):
            batch = waiting[at : at + self.batch_size]
            began = time.perf_counter()
            try:
                clips = self._generate(batch)
            except GeneratorStopped as error:
                done = batch[: len(error.clips)]
                self._add(done, error.clips, time.perf_counter() - began)
                raise
            self._add(batch, clips, time.perf_counter() - began)
        return made

    def check_mixes(self) -> None:
        """Raises `TypeError` where the generator takes seeds, but no mixes of them."""
        if isinstance(self.sampler, CallableSampler):
            raise self.sampler.no_mixes()

    def start(self, noises: Sequence[Noise], rows: int) -> list[SamplingRun]:
        """Sets out for `noises`, `rows` of them to a run."""
        return [
            self.sampler.start(self.condition, noises[at : at + rows], self.cost) for at in range(0, len(noises), rows)
        ]

    def previews(self, run: SamplingRun) -> list[Judged]:
        """What the reward says of what each row of a run would become if it ended now."""
        clips: list[Clip] = []
        lost: dict[int, Judged] = {}
        with self.timed():
            for row in range(run.rows):
                try:
                    clips.append(run.preview(row))
                except MediaError as error:
                    lost[row] = Judged(None, f"its preview can't be shown: {describe(error)}")
        judged = iter(judge(self.evaluator, clips, self.cost, full=False) if clips else [])
        return [lost[row] if row in lost else next(judged) for row in range(run.rows)]

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts the seconds of a strategy's own work with a run."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.cost.seconds += time.perf_counter() - began

    def finish(self, run: SamplingRun, noises: Sequence[Noise | None]) -> list[Candidate]:
        """Ends a run; its candidates are final."""
        batch = [self._new(noise, None, True) for noise in noises]
        began = time.perf_counter()
        clips: list[Clip | None] = [None] * len(batch)
        try:
            clips = list(run.finish())
        except GeneratorStopped:
            raise
        except Exception as error:
            for candidate in batch:
                candidate.reason = failed(error)
        self._add(batch, clips, time.perf_counter() - began)
        return batch

    def lost(self, noise: Noise | None, error: Exception) -> None:
        """A candidate that failed on the way; raises where its generator has given up."""
        if isinstance(error, GeneratorStopped):
            raise error
        candidate = self._new(noise, None, True)
        candidate.reason = failed(error)
        self.step(candidate.name)

    def given_up(self, noise: Noise | None, why: str) -> None:
        """A candidate that wasn't made, since others were better."""
        candidate = self._new(noise, None, False)
        candidate.reason = why
        self.step(candidate.name)

    def again(self, candidate: Candidate) -> Clip:
        """Makes a candidate anew."""
        if candidate.noise is None:
            raise AvrewardError(
                f"{candidate.name}: it came about together with others; search again, with a larger keep"
            )
        return self.sampler.make(self.condition, [candidate.noise], self.cost, candidate.steps)[0]

    def complete(self, ranked: Sequence[Candidate]) -> None:
        """Fills the folder up: makes those of the best again whose clips an earlier run didn't keep."""
        if self.journal.folder is None:
            return
        for candidate in ranked[: self.keep]:
            if candidate.known and candidate.index not in self.kept:
                try:
                    with self.timed():
                        clip = self.again(candidate)
                except Exception as error:  # what was found counts all the same
                    warnings.warn(f"{candidate.name}: can't be made again ({describe(error)})", stacklevel=3)
                else:
                    self.kept[candidate.index] = clip
                    candidate.file = self.journal.save(clip, self._file_name(candidate))

    def _new(self, noise: Noise | None, steps: int | None, final: bool) -> Candidate:
        candidate = Candidate(len(self.candidates), noise, steps, final)
        self.candidates.append(candidate)
        return candidate

    def _generate(self, batch: Sequence[Candidate]) -> list[Clip | None]:
        """Clips, or `None` and a reason; where a batch fails, each is made alone, to see whose fault it was."""
        noises = [c.noise for c in batch if c.noise is not None]
        try:
            return list(self.sampler.make(self.condition, noises, self.cost, batch[0].steps))
        except GeneratorStopped:
            raise
        except Exception as error:
            if len(batch) > 1:
                return [clip for candidate in batch for clip in self._generate([candidate])]
            batch[0].reason = failed(error)
            return [None]

    def _add(self, batch: Sequence[Candidate], clips: Sequence[Clip | None], seconds: float) -> None:
        self.cost.seconds += seconds
        began = time.perf_counter()
        there = [clip for clip in clips if clip is not None]
        rated = iter(judge(self.evaluator, there, self.cost) if there else [])
        spent = time.perf_counter() - began
        for candidate, clip in zip(batch, clips, strict=True):
            candidate.made = seconds / len(batch)
            if clip is not None:
                candidate.judged = next(rated)
                candidate.reason = candidate.judged.reason
                candidate.rated = spent / len(there)
                self._record(candidate)
                self._keep(candidate, clip)
            self.step(candidate.name)

    def _keep(self, candidate: Candidate, clip: Clip) -> None:
        """Keeps the clip if it is among the best, and forgets the one that it pushes out."""
        if not candidate.final or candidate.reward is None:
            return
        rank = {i: (-(self.candidates[i].reward or 0.0), i) for i in self.kept}
        if len(rank) >= self.keep and (-candidate.reward, candidate.index) >= max(rank.values()):
            return
        self.kept[candidate.index] = clip
        if candidate.file is None:
            candidate.file = self.journal.save(clip, self._file_name(candidate))
        if len(self.kept) > self.keep:
            out = max(rank, key=lambda i: rank[i])
            del self.kept[out]
            file, self.candidates[out].file = self.candidates[out].file, None
            if file is not None:
                file.unlink(missing_ok=True)

    def _record(self, candidate: Candidate) -> None:
        if candidate.judged is not None and candidate.reward is not None:
            times = {"made": candidate.made, "rated": candidate.rated}
            self.journal.add(self._key(candidate), {"judged": asdict(candidate.judged), **times})

    def _recall(self, candidate: Candidate) -> bool:
        """Fills in what an earlier run found; what was missing then is tried again."""
        record = self.journal.records.get(self._key(candidate))
        if record is None:
            return False
        try:
            row: dict[str, Any] = record["judged"]
            judged, times = Judged(**row | {"basis": tuple(row["basis"])}), (record["made"], record["rated"])
        except (KeyError, TypeError):  # a line that something else wrote
            del self.journal.records[self._key(candidate)]
            return False
        candidate.judged, (candidate.made, candidate.rated), candidate.known = judged, times, True
        if (clip := self._saved(candidate)) is not None:
            self._keep(candidate, clip)
        self.step(candidate.name)
        return True

    def _saved(self, candidate: Candidate) -> Clip | None:
        if self.journal.folder is None:
            return None
        for ending in (".mkv", ".wav"):
            path = self.journal.folder / f"{self._file_name(candidate)}{ending}"
            if path.exists():
                prompt = candidate.judged.row.get("prompt") if candidate.judged else None
                try:
                    clip = Clip.open(path, prompt=prompt)
                except MediaError:  # made again when it is asked for
                    return None
                candidate.file = Path(path)
                return clip
        return None

    def _key(self, candidate: Candidate) -> str:
        if candidate.noise is None:
            return json.dumps(["together", self.strategy, self.seed, candidate.index])
        return json.dumps([candidate.noise.parts, candidate.steps])

    def _file_name(self, candidate: Candidate) -> str:
        hashed = hashlib.blake2b(self._key(candidate).encode(), digest_size=6).hexdigest()
        if candidate.noise is None:
            return f"together-{candidate.index}-{hashed}"
        name = f"mix-{hashed}" if candidate.seed is None else f"seed-{candidate.seed}"
        return name if candidate.steps is None else f"{name}-steps-{candidate.steps}"


def at_least(least: float, /, **settings: float) -> None:
    """Raises `ValueError` that names a setting under `least`."""
    for name, value in settings.items():
        if not value >= least:
            raise ValueError(f"{name}: {value} is less than {least}; give at least {least}")


def whole(least: int, /, **settings: Any) -> None:
    """Raises `ValueError` that names a setting that is no whole number, or under `least`."""
    for name, value in settings.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ValueError(f"{name}: {value!r} is no whole number; give one of at least {least}")
        at_least(least, **{name: value})


def failed(error: Exception) -> str:
    """Why there is no clip."""
    return f"{FAILED}{describe(error)}"
