"""Rate many clips by rewards and raters: in memory or streamed from files, with a store of known scores."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from os import PathLike
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload
from weakref import WeakSet

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.media._isolated.workers import isolated_for
from avreward.raters._loop import Rated, batch_size_of, check_clips, rate
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.raters.shared import SharedWork
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring._streaming import OpenStream, Scored, StreamedRow, StreamRun, checked, on_cpu
from avreward.scoring._threads import Stages
from avreward.scoring._torch_threads import cores, settle
from avreward.scoring.store._keeper import StoreKeeper
from avreward.scoring.store.store import Store

Target = TypeVar("Target", bound=RewardLike | Rater | Sequence[RewardLike | Rater], covariant=True)


_ONE = (Reward, Rater, str, PathLike)  # a target, not several


class Evaluator(Generic[Target]):
    """Rate clips by rewards and raters, without gradients; call the reward itself where gradients are needed.

    Each rater rates a clip once, however many rewards read it. What clips share (the video of several dubs) is computed
    once, also over several calls. Where a rater fails on a clip, its scores are missing, with the reason; where it
    fails on every clip, its error is raised.

    Args:
        targets (`Reward`, expression, `Rater` or a sequence of them): what to evaluate. One gives one result, a
            sequence a list.
        batch_size (`int`, *optional*): how many clips are decoded and rated together: 8, or 1 for a rater that rates
            clip by clip. It changes memory, never a score.
        store (`Store`, *optional*): where scores are kept. Stored scores are not computed again; scores are on the CPU.
        retry_missing (`bool`): rate clips again whose stored score is missing, unless the clip lacks what the score
            needs.
        threads (`int`, *optional*, all cores, or under ``torchrun`` a process's share): how many threads `stream`
            decodes with, and rates with where a rater rates clip by clip.
        isolate (`bool`, *optional*): whether `stream` decodes in processes of their own: a file that crashes the
            decoder, takes too long or too much memory is an error of that file. Where all raters are `signals` or
            `signals.stereo`, they rate there, too, which uses all cores. By default for more than 32 files. Streams of
            one process share the processes; while one has them, the others decode there whatever this says.

    Example:
        >>> reward = load_rater("signals")["audio_quality"]
        >>> with Evaluator(reward) as evaluator:
        ...     rewards = evaluator.evaluate([Clip.open("dub2.mp4")])
        ...     rows = [(row.path.name, row.rewards.values.item()) for row in evaluator.stream(["dub1.mp4"])]
        >>> rows[0][0], rows[0][1] < rewards.values.item()
        ('dub1.mp4', True)
    """

    def __init__(
        self,
        targets: Target,
        *,
        batch_size: int | None = None,
        store: Store | None = None,
        retry_missing: bool = False,
        threads: int | None = None,
        isolate: bool | None = None,
    ) -> None:
        self._single = isinstance(targets, _ONE)
        self._targets = _checked(targets)
        if store is not None and not isinstance(store, Store):
            remedy = f"pass Store({str(store)!r})" if isinstance(store, str | PathLike) else None
            raise ArgumentError("store", "a Store", store, remedy)
        self.batch_size, self.store, self.retry_missing, self.isolate = batch_size, store, retry_missing, isolate
        self.threads = count("threads", threads, cores())
        self.raters: tuple[Rater, ...] = _distinct([rater for target in self._targets for rater in _raters_of(target)])
        for rater in self.raters:
            batch_size_of(rater, batch_size)  # raises now where it is wrong
        self._streams: WeakSet[OpenStream] = WeakSet()
        self.forget()

    @overload
    def evaluate(  # type: ignore[overload-overlap]  # a string is a sequence of strings, too
        self: Evaluator[RewardLike], clips: Sequence[Clip], *, strict: bool = True
    ) -> Rewards: ...
    @overload
    def evaluate(self: Evaluator[Rater], clips: Sequence[Clip], *, strict: bool = True) -> Scores: ...
    @overload
    def evaluate(
        self: Evaluator[Sequence[RewardLike]], clips: Sequence[Clip], *, strict: bool = True
    ) -> list[Rewards]: ...
    @overload
    def evaluate(self: Evaluator[Sequence[Rater]], clips: Sequence[Clip], *, strict: bool = True) -> list[Scores]: ...
    @torch.no_grad()
    def evaluate(self, clips: Sequence[Clip], *, strict: bool = True) -> Any:
        """Return the `Rewards` of each reward and the `Scores` of each rater, one row a clip, in order.

        Args:
            clips: files, tensors, or a mix of both.
            strict: whether a rater that fails on every clip raises its error; otherwise all clips are missing.
        """
        self._check_loaded()
        scores = self._rate(check_clips(clips), strict)
        prompts = [clip.prompt for clip in clips]
        found: list[Rewards | Scores] = []
        for target in self._targets:
            own = {rater.name: scores[_place(rater, self.raters)] for rater in _raters_of(target)}
            found.append(target.combine(own, prompts) if isinstance(target, Reward) else own[target.name])
        return found[0] if self._single else found

    def stream(
        self,
        files: Iterable[str | PathLike[str] | Clip],
        *,
        decode_threads: int | None = None,
        compute_threads: int | None = None,
        prefetch: int | None = None,
        strict: bool = True,
    ) -> Generator[Scored, None, None]:
        """Yield the scores of files, in their order, while the next files are decoded; memory stays bounded.

        A file that can't be opened or decoded becomes a `Scored` with an `error`, and the stream continues. Closing the
        iterator, or an interrupt, drops the waiting files and ends each thread after its current file.

        Args:
            files: paths or open clips; read from the iterable as they are needed.
            decode_threads: how many files are decoded in parallel (*optional*, `threads`), in as many processes where
                `isolate` says so.
            compute_threads: how many clips are rated in parallel, each on one core (*optional*, `threads`). Raters
                that rate in batches use one thread, and torch's own threads in it.
            prefetch: how many decoded clips may wait (*optional*, the number of threads plus a batch); bounds memory.
            strict: see `evaluate`.

        Raises:
            ArgumentError: for a single file, two different raters of one name, more than one reward, or a number that
                is not positive.
        """
        self._check_loaded()
        if isinstance(files, str | PathLike | Clip):
            got = Described(f"a single {type(files).__name__}")
            raise ArgumentError("files", "several paths or clips", got, f"pass a list, such as [{files!r}]")
        if not isinstance(files, Iterable):
            raise ArgumentError("files", "several paths or clips", files)
        if len({rater.name for rater in self.raters}) < len(self.raters):
            twice = next(r.name for i, r in enumerate(self.raters) if any(r.name == o.name for o in self.raters[:i]))
            got = Described(f"two different raters called {twice!r}")
            raise ArgumentError("targets", "raters with different names", got, "set another .name on one of them")
        rewards = [target for target in self._targets if isinstance(target, Reward)]
        if len(rewards) > 1:
            raise ArgumentError("targets", "at most one reward to stream", Described(f"{len(rewards)} rewards"))
        alone = all(rater.per_clip for rater in self.raters)
        decoders = count("decode_threads", decode_threads, self.threads)
        workers = count("compute_threads", compute_threads, self.threads)
        workers = workers if alone else 1
        batch = 1 if alone else max(batch_size_of(rater, self.batch_size) for rater in self.raters)
        keeper = StoreKeeper(self.store, self.raters, self.retry_missing)
        run = StreamRun(self.raters, rewards[0] if rewards else None, decoders, keeper)
        stages = Stages(
            run.decode,
            run.rate,
            load_threads=decoders,
            work_threads=workers,
            waiting=count("prefetch", prefetch, decoders + max(workers, batch)),
            batch=batch,
            enter=lambda works: settle(alone=alone or not works),
        )
        rows = stages.run(files)
        found = checked(rows, self.raters) if strict else (row.scored for row in rows)
        stream = OpenStream(_flushed(found, rows, keeper, isolated_for(files, self.isolate)))
        self._streams.add(stream)
        return stream

    def forget(self) -> None:
        """Drop the cached work that clips share between calls: decoded and encoded tracks.

        Call it after changing a rater's weights, and before clips that share nothing with the last ones.
        """
        self.work = SharedWork()

    def unload(self) -> None:
        """Close the streams and drop the models; their memory is freed once nothing else refers to them.

        Reading on from a stream that had not ended raises an `AvrewardError`.
        """
        for stream in list(self._streams):
            stream.unload()
        self._targets, self.raters = (), ()
        self.forget()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def __repr__(self) -> str:
        return f"Evaluator({', '.join(map(_name, self._targets)) or 'unloaded'})"

    def _check_loaded(self) -> None:
        if not self._targets:
            raise AvrewardError("Evaluator: its models were unloaded; make a new one")

    def _rate(self, clips: Sequence[Clip], strict: bool) -> list[Scores]:
        """Return the scores by each rater; those in the store are not computed again."""
        cut = [clip.detached() for clip in clips]  # or a decoded track that is kept would hold its graph
        if self.store is None or not clips:
            rated = rate(self.raters, cut, self.batch_size, self.work, strict=strict)
            return [one.scores for one in rated]
        keeper = StoreKeeper(self.store, self.raters, self.retry_missing)
        found = [keeper.find(clip) for clip in clips]
        rows = [[None if known is None else known.scores for known in hit.known] for hit in found]
        errors: list[dict[int, Exception]] = [{} for _ in self.raters]
        lacking: dict[tuple[int, ...], list[int]] = {}  # raters without a stored score → clips
        for n, known in enumerate(rows):
            lacking.setdefault(tuple(i for i, scores in enumerate(known) if scores is None), []).append(n)
        for which, members in lacking.items():
            raters, own = [self.raters[i] for i in which], [cut[n] for n in members]
            for i, one in zip(which, rate(raters, own, self.batch_size, self.work, strict=False), strict=True):
                for k, (n, row) in enumerate(zip(members, on_cpu(one.scores).split(), strict=True)):
                    rows[n][i] = row
                    if k in one.errors:
                        errors[i][n] = one.errors[k]
                    else:
                        keeper.keep(i, clips[n], found[n].keys[i], row, one.failures.get(k))
        keeper.flush()
        columns = [Scores.concatenate([s for s in column if s is not None]) for column in zip(*rows, strict=True)]
        for rater, scores, failed in zip(self.raters, columns, errors, strict=True):
            if strict:
                Rated(scores, errors=failed).raise_if_broken(rater)
        return columns


def _flushed(
    found: Iterator[Scored], rows: Iterator[StreamedRow], keeper: StoreKeeper, decoding: AbstractContextManager[object]
) -> Generator[Scored, None, None]:
    try:
        with decoding, closing(rows):  # type: ignore[type-var]  # a generator
            yield from found
    finally:
        keeper.flush()


def _checked(targets: Any) -> tuple[Reward | Rater, ...]:
    found = (targets,) if isinstance(targets, _ONE) else targets
    if not isinstance(found, Sequence) or not found:
        raise ArgumentError("targets", "a reward, a rater, or a list of them", targets)
    return tuple(target if isinstance(target, Rater) else as_reward(target, "targets") for target in found)


def _raters_of(target: Reward | Rater) -> tuple[Rater, ...]:
    return target.raters if isinstance(target, Reward) else (target,)


def _distinct(raters: Sequence[Rater]) -> tuple[Rater, ...]:
    """Each rater once; two objects are one rater where name and fingerprint agree."""
    found: list[Rater] = []
    for rater in raters:
        if _place(rater, found) < 0:
            found.append(rater)
    return tuple(found)


def _place(rater: Rater, raters: Sequence[Rater]) -> int:
    """Return the index of a rater in `raters`, or −1; identity is tried first, since hashing weights takes long."""
    for i, other in enumerate(raters):
        if other is rater:
            return i
    same = (i for i, one in enumerate(raters) if one.name == rater.name and one.fingerprint == rater.fingerprint)
    return next(same, -1)


def _name(target: Reward | Rater) -> str:
    return repr(target) if isinstance(target, Reward) else target.name


def count(name: str, given: int | None, default: int) -> int:
    """Return the positive integer `given`, or the default for `None`."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise ArgumentError(name, "a positive integer", given, f"leave it out for {default}")
    return default if given is None else given
