"""Rate clips one after the other: decoding overlaps with rating, and a bad file costs one row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters._loop import ENOUGH_FAILURES, alike, load, noted, rate_batch
from avreward.raters.base import Rater, Sample
from avreward.raters.scores import Scores
from avreward.raters.shared import LOADED_AT_ONCE, SharedWork
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring.store._keeper import StoreHit, StoreKeeper

HELD = 64  # rows that may wait while a rater has only failed


@dataclass(frozen=True)
class Scored:
    """The result for one file.

    Attributes:
        path: of the file; `None` for a clip made of tensors.
        clip: the clip, which is decoded again on access; `None` where the file can't be opened.
        scores: name of each rater → its scores, one row; all missing where there is an `error`.
        rewards: one row; `None` where raters alone were passed.
        error: why the file can't be used; `None` where it can. Where a rater failed, the reasons of its scores say why.
        known: whether all scores came from a store.
    """

    path: Path | None
    clip: Clip | None
    scores: dict[str, Scores]
    rewards: Rewards | None
    error: str | None
    known: bool = False


class StreamedRow(NamedTuple):
    """A row, and the exception that each rater raised on the clip, if any."""

    scored: Scored
    errors: tuple[Exception | None, ...]


@dataclass(frozen=True)
class _Decoded:
    path: Path | None
    clip: Clip | None
    error: str | None
    found: StoreHit  # scores in the store, for each rater
    samples: tuple[Sample | Exception | None, ...] = ()  # one a rater, where its scores aren't known
    failures: tuple[str | None, ...] = ()  # for each rater, why it can't use the clip


class StreamRun:
    """Decode and rate the clips of one stream, which share cached work; threads call `decode` and `rate`.

    Args:
        raters: with different names.
        reward: computed from their scores (*optional*).
        decoders: how many threads decode.
        keeper: reads and writes the store.
    """

    def __init__(self, raters: Sequence[Rater], reward: Reward | None, decoders: int, keeper: StoreKeeper) -> None:
        self.raters, self.reward, self.keeper = tuple(raters), reward, keeper
        # Clips decoded side by side must not push each other's shared track out: two tracks for each thread.
        work = SharedWork(max(LOADED_AT_ONCE, 2 * decoders))
        self.work = [work.of(rater) for rater in raters]
        self.alike = alike(raters)

    def decode(self, file: str | PathLike[str] | Clip) -> _Decoded:
        """Open a file, look it up, and decode it for the raters whose scores aren't known."""
        if not isinstance(file, str | PathLike | Clip):
            raise ArgumentError("files", "paths or clips", file)
        path = file.path if isinstance(file, Clip) else Path(file)
        try:
            clip = file if isinstance(file, Clip) else self.keeper.open(file)
        except MediaError as error:
            return _Decoded(path, None, str(error), StoreHit((), ()))
        found = self.keeper.find(clip)
        if failed := [known.error for known in found.known if known and known.error]:
            return _Decoded(path, clip, _joined(failed), found)
        decoded: dict[int, Sample | Exception] = {}
        with torch.no_grad():
            for i, (first, known) in enumerate(zip(self.alike, found.known, strict=True)):
                if known is None and first not in decoded:
                    decoded[first] = load(self.raters[i], clip, self.work[i])
        each = zip(self.alike, found.known, strict=True)
        samples = tuple(decoded[first] if known is None else None for first, known in each)
        failures = tuple(sample.failure if isinstance(sample, Sample) else None for sample in samples)
        return _Decoded(path, clip, _joined(failures), found, samples, failures)

    def rate(self, batch: Sequence[_Decoded]) -> list[StreamedRow]:
        """Rate a batch that `decode` returned."""
        good = [decoded for decoded in batch if decoded.error is None]
        with torch.no_grad():
            rated = [self._rows(i, good) for i in range(len(self.raters))]
        each = [list(row) for row in zip(*rated, strict=True)]
        rows = iter(each)
        return [self._row(d, next(rows)) if d.error is None else self._bad(d, d.error) for d in batch]

    def _rows(self, i: int, good: Sequence[_Decoded]) -> list[tuple[Scores, Exception | None]]:
        """Return one row a clip by one rater: from the store where it has one; the others are rated together."""
        new = [decoded for decoded in good if decoded.found.known[i] is None]
        fresh: list[tuple[Scores, Exception | None]] = []
        if new:
            samples = [sample for decoded in new if (sample := decoded.samples[i]) is not None]
            rated = rate_batch(self.raters[i], samples, self.work[i])
            scores = rated.scores if self.keeper.store is None else on_cpu(rated.scores)  # like stored ones
            for n, (decoded, row) in enumerate(zip(new, scores.split(), strict=True)):
                fresh.append((row, rated.errors.get(n)))
                if n not in rated.errors and decoded.clip is not None:
                    self.keeper.keep(i, decoded.clip, decoded.found.keys[i], row)
        rest = iter(fresh)
        return [(known.scores, None) if (known := decoded.found.known[i]) else next(rest) for decoded in good]

    def _row(self, decoded: _Decoded, rows: Sequence[tuple[Scores, Exception | None]]) -> StreamedRow:
        scored = self._scored(decoded, [scores for scores, _ in rows])
        return StreamedRow(scored, tuple(error for _, error in rows))

    def _scored(self, decoded: _Decoded, rows: Sequence[Scores], error: str | None = None) -> Scored:
        scores = {rater.name: row for rater, row in zip(self.raters, rows, strict=True)}
        prompts = [decoded.clip.prompt if decoded.clip else None]
        rewards = self.reward.combine(scores, prompts) if self.reward is not None else None
        known = any(decoded.found.known) and not any(decoded.samples)
        return Scored(decoded.path, decoded.clip, scores, rewards, error, known)

    def _bad(self, decoded: _Decoded, error: str) -> StreamedRow:
        nothing = [Scores.collect([({}, {d.name: error for d in r.dimensions}, {})], r.dimensions) for r in self.raters]
        for i, why in enumerate(decoded.failures):
            if why is not None and decoded.clip is not None:  # only for the rater that failed: others may succeed
                self.keeper.keep(i, decoded.clip, decoded.found.keys[i], nothing[i], why)
        scored = self._scored(decoded, nothing, error)
        if scored.rewards:
            scored.rewards.reasons[0] = error  # once for the file, not once for each term
        return StreamedRow(scored, (None,) * len(self.raters))


def checked(rows: Iterable[StreamedRow], raters: Sequence[Rater]) -> Iterator[Scored]:
    """Yield the rows; where a rater fails and has scored nothing, raise its first error.

    Where a rater fails on the first clips, up to `HELD` rows wait until it has scored one. It counts as broken after
    `ENOUGH_FAILURES`, or at the end.
    """
    held: list[Scored] = []
    sound = [False] * len(raters)
    failed: list[list[Exception]] = [[] for _ in raters]

    def doubted(least: int) -> list[Exception]:
        return [own[0] for own, fine in zip(failed, sound, strict=True) if not fine and len(own) >= least]

    for scored, errors in rows:
        for i, (rater, error) in enumerate(zip(raters, errors, strict=True)):
            if not sound[i] and error is not None:
                failed[i].append(noted(error, rater))
            elif not sound[i]:
                sound[i] = bool(scored.scores[rater.name].present.any())
        held.append(scored)
        if broken := doubted(ENOUGH_FAILURES):
            raise broken[0]
        if len(held) > HELD or not doubted(1):
            yield from held
            held.clear()
    if broken := doubted(1):
        raise broken[0]
    yield from held


def on_cpu(scores: Scores) -> Scores:
    """Return `scores` on the CPU, where a store returns them."""
    sigma = None if scores.sigma is None else scores.sigma.cpu()
    return replace(scores, values=scores.values.cpu(), present=scores.present.cpu(), sigma=sigma)


def _joined(reasons: Iterable[str | None]) -> str | None:
    return "; ".join(sorted({why for why in reasons if why is not None})) or None
