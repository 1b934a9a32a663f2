"""Scoring many files: decoding overlaps with judging, one bad file costs one row."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._threads import settle
from avreward.raters.base import LOADED_AT_ONCE, Rater, Sample, Work
from avreward.raters.scores import Scores
from avreward.raters.shared import Shared
from avreward.rewards.base import Reward, Rewards
from avreward.scoring._threads import Stages
from avreward.scoring.store._keeper import StoreHit, StoreKeeper
from avreward.scoring.store.store import Store

BATCH = 8  # clips that a rater judges together, unless it judges clip by clip


@dataclass(frozen=True)
class Scored:
    """What became of one file.

    Attributes:
        path: of the file; `None` for a clip made of tensors.
        clip: the clip, which decodes again when asked; `None` where the file can't be opened.
        scores: name of each rater → its scores, one row; all missing where there is an `error`.
        rewards: one row; `None` where a bare rater was passed.
        error: why the file can't be used; `None` where it can.
        known: whether all of it came from a store.
    """

    path: Path | None
    clip: Clip | None
    scores: dict[str, Scores]
    rewards: Rewards | None
    error: str | None
    known: bool = False


@dataclass(frozen=True)
class _Decoded:
    path: Path | None
    clip: Clip | None
    error: str | None
    found: StoreHit  # what a store has, for each rater
    samples: tuple[Sample | None, ...] = ()  # one a rater, where its scores aren't known
    failures: tuple[str | None, ...] = ()  # for each rater, why it can't see the clip


def score_files(
    files: Iterable[str | PathLike[str] | Clip],
    target: Reward | Rater,
    *,
    also: Sequence[Rater] = (),
    decode_threads: int | None = None,
    compute_threads: int | None = None,
    prefetch: int | None = None,
    batch_size: int | None = None,
    store: Store | None = None,
    retry_missing: bool = False,
) -> Generator[Scored, None, None]:
    """Scores `files` one after the other, in their order, while the next ones are decoded.

    A file that can't be opened or decoded becomes a `Scored` with an `error`, and the run goes on; any other exception
    means that a rater is broken, and is raised in that file's turn. Clips that share a track share the work on it.
    No gradients: call the reward itself for those.

    Args:
        files: paths, or clips that are opened already; drawn as they are needed.
        target: a reward, or a rater where the scores alone are wanted.
        also: more raters whose scores are wanted, beside those that `target` reads.
        decode_threads: how many files are decoded side by side (*optional*, all cores).
        compute_threads: how many clips are judged side by side, each on one core (*optional*, all cores). Raters that
            judge in batches have one thread, which uses torch's own threads.
        prefetch: how many decoded clips may wait (*optional*, the threads' number and a batch); bounds memory.
        batch_size: for raters that judge in batches (*optional*, 8).
        store: where scores are kept (*optional*). Clips whose scores are there are not decoded, and new ones are
            written a batch at a time, within about a second; scores are on the CPU.
        retry_missing: judge again what the store says is missing, unless the clip itself lacks what it takes.

    Closing the iterator, or an interrupt, drops what waits and ends the threads after the file each is busy with.

    >>> for scored in score_files(["dub2.mp4", "lost.mp4"], load_rater("signals")["audio_quality"]):
    ...     print(scored.path, scored.error or round(scored.rewards.values.item()))
    dub2.mp4 93
    lost.mp4 lost.mp4: there is no such file; check the path
    """
    if isinstance(files, str | PathLike | Clip):
        raise TypeError(f"files: a single {type(files).__name__}; pass a list, such as [{files!r}]")
    raters = _raters([*(target.raters if isinstance(target, Reward) else (target,)), *also])
    alone = all(rater.per_clip for rater in raters)
    decoders = _count("decode_threads", decode_threads, _cores())
    judges = _count("compute_threads", compute_threads, _cores()) if alone else 1
    batch = 1 if alone else _count("batch_size", batch_size, BATCH)
    keeper = StoreKeeper(store, raters, retry_missing)
    run = _ScoringRun(target, raters, decoders, keeper)
    stages = Stages(
        run.decode,
        run.judge,
        load_threads=decoders,
        work_threads=judges,
        waiting=_count("prefetch", prefetch, decoders + max(judges, batch)),
        batch=batch,
        enter=lambda judges: settle(alone=alone or not judges),
    )
    return _flushed(stages.run(files), keeper)


def _flushed(results: Iterator[Scored], keeper: StoreKeeper) -> Generator[Scored, None, None]:
    try:
        yield from results
    finally:
        keeper.flush()


class _ScoringRun:
    """Decodes and judges for one run, with the memory that its clips share."""

    def __init__(self, target: Reward | Rater, raters: tuple[Rater, ...], decoders: int, keeper: StoreKeeper) -> None:
        self.target, self.raters, self.keeper = target, raters, keeper
        # Clips decoded side by side must not push each other's shared track out: two tracks for each thread.
        self.work = [Work(loaded=Shared(max(LOADED_AT_ONCE, 2 * decoders))) for _ in raters]

    def decode(self, file: str | PathLike[str] | Clip) -> _Decoded:
        path = file.path if isinstance(file, Clip) else Path(file)
        try:
            clip = file if isinstance(file, Clip) else self.keeper.open(file)
        except MediaError as error:
            return _Decoded(path, None, str(error), StoreHit((), ()))
        found = self.keeper.find(clip)
        if failed := [known.error for known in found.known if known and known.error]:
            return _Decoded(path, clip, _joined(failed), found)
        with torch.no_grad():
            samples = tuple(
                rater.load(clip, work) if known is None else None
                for rater, work, known in zip(self.raters, self.work, found.known, strict=True)
            )
        failures = tuple(None if sample is None else sample.failure for sample in samples)
        return _Decoded(path, clip, _joined(failures), found, samples, failures)

    def judge(self, batch: Sequence[_Decoded]) -> list[Scored]:
        good = [decoded for decoded in batch if decoded.error is None]
        with torch.no_grad():
            judged = [self.rows(i, good) for i in range(len(self.raters))]
        rows = zip(*judged, strict=True)
        return [self.scored(d, next(rows)) if d.error is None else self.bad(d, d.error) for d in batch]

    def rows(self, i: int, good: Sequence[_Decoded]) -> list[Scores]:
        """One row a clip by one rater: those that the store has, and the others judged together."""
        new = [(decoded, sample) for decoded in good if (sample := decoded.samples[i]) is not None]
        rated: list[Scores] = []
        if new:
            scores = self.raters[i].rate([sample for _, sample in new], self.work[i])
            rated = (scores if self.keeper.store is None else _on_cpu(scores)).split()  # as those that the store has
        for (decoded, sample), row in zip(new, rated, strict=True):
            self.keeper.keep(i, sample.clip, decoded.found.keys[i], row)
        fresh = iter(rated)
        return [known.scores if (known := decoded.found.known[i]) else next(fresh) for decoded in good]

    def scored(self, decoded: _Decoded, rows: Sequence[Scores], error: str | None = None) -> Scored:
        scores = {rater.name: row for rater, row in zip(self.raters, rows, strict=True)}
        prompts = [decoded.clip.prompt if decoded.clip else None]
        rewards = self.target.combine(scores, prompts) if isinstance(self.target, Reward) else None
        known = any(decoded.found.known) and not any(decoded.samples)
        return Scored(decoded.path, decoded.clip, scores, rewards, error, known)

    def bad(self, decoded: _Decoded, error: str) -> Scored:
        nothing = [Scores.collect([({}, {d.name: error for d in r.dimensions}, {})], r.dimensions) for r in self.raters]
        for i, why in enumerate(decoded.failures):
            if why is not None and decoded.clip is not None:  # for the rater that failed alone: others may not care
                self.keeper.keep(i, decoded.clip, decoded.found.keys[i], nothing[i], why)
        scored = self.scored(decoded, nothing, error)
        if scored.rewards:
            scored.rewards.reasons[0] = error  # once for the file, not once for each term
        return scored


def _raters(raters: Sequence[Rater]) -> tuple[Rater, ...]:
    """Each once; two of one name are an error."""
    found: dict[str, Rater] = {}
    for rater in raters:
        if found.setdefault(rater.name, rater).fingerprint != rater.fingerprint:
            raise ValueError(f"two different raters are called {rater.name!r}; set another .name on one of them")
    return tuple(found.values())


def _joined(reasons: Iterable[str | None]) -> str | None:
    return "; ".join(sorted({why for why in reasons if why is not None})) or None


def _on_cpu(scores: Scores) -> Scores:
    sigma = None if scores.sigma is None else scores.sigma.cpu()
    return replace(scores, values=scores.values.cpu(), present=scores.present.cpu(), sigma=sigma)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(name: str, given: int | None, default: int) -> int:
    if given is not None and given < 1:
        raise ValueError(f"{name}: {given} is not a positive number; leave it out for {default}")
    return given or default
