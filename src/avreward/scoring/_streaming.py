"""Rate clips one after the other: decoding overlaps with rating, and a bad file costs one row."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import GEN_CLOSED, GEN_RUNNING, getgeneratorstate
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.raters._loop import ENOUGH_FAILURES, Rated, alike, load, noted, rate_batch
from avreward.raters.base import Rater, Sample
from avreward.raters.scores import Scores
from avreward.raters.shared import LOADED_AT_ONCE, SharedWork
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring._apart import RatersApart
from avreward.scoring.store._keeper import StoreHit, StoreKeeper

HELD = 64  # rows that may wait while a rater has only failed


@dataclass(frozen=True)
class Scored:
    """The result for one file.

    Attributes:
        path: of the file; `None` for a clip made of tensors.
        clip: the clip, which is decoded again on access; `None` where the file can't be opened.
        scores: name of each rater → its scores, one row; all missing where there is an `error`. A rater whose tracks
            can be decoded gives its scores, also where another's can't.
        rewards: one row; `None` where raters alone were passed.
        error: why no rater can use the file; `None` where one can. The reasons of a rater's scores say why it can't.
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


class _RaterRow(NamedTuple):
    """One clip's scores by one rater, why the rater can't use the clip, and the exception that it raised."""

    scores: Scores
    failure: str | None
    error: Exception | None = None


_Loaded = Sample | Exception | Rated
"""What `StreamRun.decode` returns for a rater: rated where another process decodes it."""


@dataclass(frozen=True)
class _Decoded:
    path: Path | None
    clip: Clip | None
    error: str | None  # why the file can't be opened
    found: StoreHit  # scores in the store, for each rater
    samples: tuple[_Loaded | None, ...] = ()  # one a rater, where its scores aren't known


class StreamRun:
    """Decode and rate the clips of one stream, which share cached work; threads call `decode` and `rate`.

    Where other processes decode and the raters can travel there (`RatersApart`), `decode` rates, too.

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
        self.apart = RatersApart(raters)

    def decode(self, file: str | PathLike[str] | Clip) -> _Decoded:
        """Open a file, look it up, and decode it for the raters whose scores aren't known."""
        if not isinstance(file, str | PathLike | Clip):
            raise ArgumentError("files", "paths or clips", file)
        path = file.path if isinstance(file, Clip) else Path(file)
        try:
            clip = file if isinstance(file, Clip) else self.keeper.open(file)
        except MediaError as error:
            self.keeper.note_deaths()
            return _Decoded(path, None, str(error), StoreHit((), ()))
        found = self.keeper.find(clip)
        new = [i for i, known in enumerate(found.known) if known is None]
        loaded = self._loaded(clip, new)
        self.keeper.note_deaths()
        return _Decoded(path, clip, None, found, tuple(loaded.get(i) for i in range(len(self.raters))))

    def _loaded(self, clip: Clip, new: Sequence[int]) -> dict[int, _Loaded]:
        """Return for the raters `new` what `rate` needs: scores from another process, or the decoded clip."""
        try:
            rated = self.apart.rate(clip, new) if new else []
        except MediaError as error:
            why = str(error)
            return {i: Sample(clip, {}, dict.fromkeys(self.raters[i].tracks, why), why) for i in new}
        except AvrewardError as error:
            return dict.fromkeys(new, error)
        if rated is not None:
            return dict(zip(new, rated, strict=True))
        decoded: dict[int, Sample | Exception] = {}
        with torch.no_grad():
            for i in new:
                if self.alike[i] not in decoded:
                    decoded[self.alike[i]] = load(self.raters[i], clip, self.work[i])
        return {i: decoded[self.alike[i]] for i in new}

    def rate(self, batch: Sequence[_Decoded]) -> list[StreamedRow]:
        """Rate a batch that `decode` returned."""
        good = [decoded for decoded in batch if decoded.error is None]
        with torch.no_grad():
            rated = [self._rows(i, good) for i in range(len(self.raters))]
        each = [list(row) for row in zip(*rated, strict=True)]
        rows = iter(each)
        return [self._row(d, next(rows)) if d.error is None else self._unopened(d, d.error) for d in batch]

    def _rows(self, i: int, good: Sequence[_Decoded]) -> list[_RaterRow]:
        """Return one row a clip by one rater: from the store where it has one; the others are rated together."""
        new = [decoded for decoded in good if decoded.found.known[i] is None]
        fresh: list[_RaterRow] = []
        if new:
            samples = [sample for decoded in new if (sample := decoded.samples[i]) is not None]
            rated = self._rated(i, samples)
            scores = rated.scores if self.keeper.store is None else on_cpu(rated.scores)  # like stored ones
            for n, (decoded, row) in enumerate(zip(new, scores.split(), strict=True)):
                failure = rated.failures.get(n)
                fresh.append(_RaterRow(row, failure, rated.errors.get(n)))
                if n not in rated.errors and decoded.clip is not None:
                    self.keeper.keep(i, decoded.clip, decoded.found.keys[i], row, failure)
        rest = iter(fresh)
        return [_RaterRow(*known) if (known := decoded.found.known[i]) else next(rest) for decoded in good]

    def _rated(self, i: int, loaded: Sequence[_Loaded]) -> Rated:
        if isinstance(loaded[0], Rated):
            [only] = loaded  # raters that travel rate clip by clip
            return only  # type: ignore[return-value]
        return rate_batch(self.raters[i], loaded, self.work[i])  # type: ignore[arg-type]

    def _row(self, decoded: _Decoded, rows: Sequence[_RaterRow]) -> StreamedRow:
        failures = [row.failure for row in rows]
        error = None if None in failures else _joined(failures)
        return StreamedRow(self._scored(decoded, [row.scores for row in rows], error), tuple(row.error for row in rows))

    def _unopened(self, decoded: _Decoded, error: str) -> StreamedRow:
        nothing = [Scores.collect([({}, {d.name: error for d in r.dimensions}, {})], r.dimensions) for r in self.raters]
        return StreamedRow(self._scored(decoded, nothing, error), (None,) * len(self.raters))

    def _scored(self, decoded: _Decoded, rows: Sequence[Scores], error: str | None) -> Scored:
        scores = {rater.name: row for rater, row in zip(self.raters, rows, strict=True)}
        prompts = [decoded.clip.prompt if decoded.clip else None]
        rewards = self.reward.combine(scores, prompts) if self.reward is not None else None
        if rewards is not None and error is not None:
            rewards.reasons[0] = error  # once for the file, not once for each term
        known = any(decoded.found.known) and not any(decoded.samples)
        return Scored(decoded.path, decoded.clip, scores, rewards, error, known)


class OpenStream(Generator[Scored, None, None]):
    """The rows of one stream, which raises an error if its models are unloaded before it has ended."""

    def __init__(self, rows: Generator[Scored, None, None]) -> None:
        self._rows, self._unloaded = rows, False

    def send(self, value: None) -> Scored:
        self._check()
        row = self._rows.send(value)
        self._check()  # the source of the files, or another thread, may have unloaded the models
        return row

    def throw(self, *error: Any) -> Scored:
        return self._rows.throw(*error)

    def close(self) -> None:
        self._rows.close()

    def unload(self) -> None:
        """Close the rows; reading on then raises an error unless they have ended."""
        if getgeneratorstate(self._rows) == GEN_CLOSED:
            return
        self._unloaded = True
        try:
            self._rows.close()
        except ValueError:  # "generator already executing": called while the next row is computed, `send` closes it
            if getgeneratorstate(self._rows) != GEN_RUNNING:
                raise

    def _check(self) -> None:
        if self._unloaded:
            self._rows.close()
            remedy = "read a stream to its end before you call unload() or leave the `with` block"
            raise AvrewardError(f"Evaluator: its models were unloaded while this stream was open; {remedy}")


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
