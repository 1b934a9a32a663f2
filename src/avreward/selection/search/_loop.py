"""The loop of every strategy: generate candidates, rate and record them, and keep the best clips."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError, describe
from avreward.generators._as_sampler import CallableSampler
from avreward.generators.base import Condition, Cost, GeneratorStopped, Noise, Sampler, SamplingRun
from avreward.rewards.base import Reward
from avreward.scoring.evaluator import Evaluator
from avreward.selection._candidate import Candidate, Judged
from avreward.selection.search._alike import Failures
from avreward.selection.search._judging import judge
from avreward.selection.search._run_log import RunLog, file_name, record_key


class SearchLoop:
    """Interface of a search to its strategy, which asks for candidates and gets their rewards.

    Args:
        sampler: generates the candidates.
        evaluator: rates them.
        condition: the input of the generator.
        journal: records of earlier runs and of this one.
        batch_size: number of candidates generated and rated at once; bounds memory.
        keep: number of the best clips that are kept.
        seed: of the first candidate; all other seeds are derived from it.
        step: called with the name of each candidate.
        strategy: identifies candidates that depend on each other, and so have no noise that reproduces them.
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
        self.failures = Failures()

    def seeds(self, count: int) -> list[Noise]:
        """Return the noises of the `count` seeds from ``seed`` on."""
        return [Noise.of(self.seed + i) for i in range(count)]

    def draw(self, *labels: object) -> int:
        """Return a seed that depends only on the loop's seed and on `labels`."""
        digest = hashlib.blake2b(repr((self.seed, *labels)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    def make(self, noises: Sequence[Noise], steps: int | None = None, final: bool = True) -> list[Candidate]:
        """Generate and rate a candidate for each noise, in batches; those known from an earlier run are not repeated.

        A candidate that fails has a reason instead of a reward.

        Args:
            noises: one per candidate.
            steps: number of denoising steps (default: as the condition says).
            final: whether the candidates may be chosen; drafts may not.

        Raises:
            GeneratorStopped: if the generator cannot continue.
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
        """Raise `ArgumentError` if the generator does not support mixed noise."""
        if isinstance(self.sampler, CallableSampler):
            raise self.sampler.no_mixes()

    def check_steering(self) -> None:
        """Raise `ArgumentError` if the generator cannot exchange candidates between steps."""
        check = getattr(self.sampler, "check_steering", None)
        if check is not None:
            check()

    def start(self, noises: Sequence[Noise], rows: int) -> list[SamplingRun]:
        """Start runs for `noises`, with `rows` candidates each, or one where a pipeline has no batches."""
        together = getattr(self.sampler, "rows", None)
        rows = rows if together is None else together(rows)
        return [
            self.sampler.start(self.condition, noises[at : at + rows], self.cost) for at in range(0, len(noises), rows)
        ]

    def previews(self, run: SamplingRun) -> list[Judged]:
        """Rate the previews of all rows of a run."""
        clips: list[Clip] = []
        lost: dict[int, Judged] = {}
        with self.timed():
            for row in range(run.rows):
                try:
                    clips.append(run.preview(row))
                except MediaError as error:
                    lost[row] = Judged(None, f"its preview could not be decoded: {describe(error)}")
        judged = iter(judge(self.evaluator, clips, self.cost, full=False) if clips else [])
        looks = [lost[row] if row in lost else next(judged) for row in range(run.rows)]
        for row, look in enumerate(looks):
            self.failures.rated(look, f"preview {len(self.candidates) + row}")
        return looks

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the seconds that a strategy spends on a run to the cost."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.cost.seconds += time.perf_counter() - began

    def finish(self, run: SamplingRun, noises: Sequence[Noise | None]) -> list[Candidate]:
        """Finish a run and return its candidates, which are final."""
        batch = [self._new(noise, None, True) for noise in noises]
        began = time.perf_counter()
        clips: list[Clip | None] = [None] * len(batch)
        try:
            clips = list(run.finish())
        except GeneratorStopped:
            raise
        except Exception as error:
            self.failures.of_call(batch, error)
        self._add(batch, clips, time.perf_counter() - began)
        return batch

    def lost(self, noises: Sequence[Noise | None], error: Exception) -> None:
        """Record the candidates of a run that failed before its end; raise `error` if it is a `GeneratorStopped`."""
        if isinstance(error, GeneratorStopped):
            raise error
        batch = [self._new(noise, None, True) for noise in noises]
        for candidate in batch:
            self.step(candidate.name)
        self.failures.of_steps(batch, error)

    def given_up(self, noise: Noise | None, why: str) -> None:
        """Record a candidate that was abandoned because others were better."""
        candidate = self._new(noise, None, False)
        candidate.reason = why
        self.step(candidate.name)

    def again(self, candidate: Candidate) -> Clip:
        """Generate the clip of a candidate again.

        Raises:
            AvrewardError: if it depends on other candidates.
        """
        if candidate.noise is None:
            raise AvrewardError(
                f"{candidate.name}: expected a candidate with its own noise, got one that depends on others; search "
                "again with a larger keep"
            )
        return self.sampler.make(self.condition, [candidate.noise], self.cost, candidate.steps)[0]

    def complete(self, ranked: Sequence[Candidate]) -> None:
        """Complete the folder: generate those of the best clips again that an earlier run did not keep."""
        if self.journal.folder is None:
            return
        for candidate in ranked[: self.keep]:
            if candidate.known and candidate.index not in self.kept:
                try:
                    with self.timed():
                        clip = self.again(candidate)
                except Exception as error:  # the results are valid without the file
                    warnings.warn(f"{candidate.name}: could not be generated again ({describe(error)})", stacklevel=3)
                else:
                    self.kept[candidate.index] = clip
                    candidate.file = self.journal.save(clip, self._file_name(candidate))

    def _new(self, noise: Noise | None, steps: int | None, final: bool) -> Candidate:
        candidate = Candidate(len(self.candidates), noise, steps, final)
        self.candidates.append(candidate)
        return candidate

    def _generate(self, batch: Sequence[Candidate]) -> list[Clip | None]:
        """Return clips, or `None` for those that failed; if a batch fails, its candidates are generated one by one."""
        noises = [c.noise for c in batch if c.noise is not None]
        try:
            return list(self.sampler.make(self.condition, noises, self.cost, batch[0].steps))
        except GeneratorStopped:
            raise
        except Exception as error:
            if len(batch) > 1:
                return [clip for candidate in batch for clip in self._generate([candidate])]
            self.failures.of_call(batch, error)
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
                self.failures.made()
                self.failures.rated(candidate.judged, candidate.name)
                self._record(candidate)
                self._keep(candidate, clip)
            self.step(candidate.name)

    def _keep(self, candidate: Candidate, clip: Clip) -> None:
        """Keep the clip if it is among the best, and drop the one that it replaces."""
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
        """Fill in the record of an earlier run and return whether there is one; failed candidates have none."""
        record = self.journal.records.get(self._key(candidate))
        if record is None:
            return False
        try:
            row: dict[str, Any] = record["judged"]
            judged, times = Judged(**row | {"basis": tuple(row["basis"])}), (record["made"], record["rated"])
        except (KeyError, TypeError):  # not a line of a run log
            del self.journal.records[self._key(candidate)]
            return False
        candidate.judged, (candidate.made, candidate.rated), candidate.known = judged, times, True
        self.failures.made()
        self.failures.rated(judged, candidate.name)
        if (clip := self._saved(candidate)) is not None:
            self._keep(candidate, clip)
        self.step(candidate.name)
        return True

    def _saved(self, candidate: Candidate) -> Clip | None:
        prompt = candidate.judged.row.get("prompt") if candidate.judged else None
        found = self.journal.find(self._file_name(candidate), prompt)
        if found is None:
            return None
        clip, candidate.file = found
        return clip

    def _key(self, candidate: Candidate) -> str:
        return record_key(candidate, self.strategy, self.seed)

    def _file_name(self, candidate: Candidate) -> str:
        return file_name(candidate, self._key(candidate))
