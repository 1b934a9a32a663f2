"""Scoring many files: decoding overlaps with judging, one bad file costs one row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.threads import settle
from avreward.raters.base import LOADED_AT_ONCE, Rater, Sample, Work
from avreward.raters.scores import Scores
from avreward.raters.shared import Shared
from avreward.rewards.base import Reward, Rewards
from avreward.rewards.pipeline import Stages

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
    """

    path: Path | None
    clip: Clip | None
    scores: dict[str, Scores]
    rewards: Rewards | None
    error: str | None


@dataclass(frozen=True)
class _Decoded:
    path: Path | None
    clip: Clip | None
    samples: tuple[Sample, ...]  # one a rater
    error: str | None


def score_files(
    files: Iterable[str | PathLike[str] | Clip],
    target: Reward | Rater,
    *,
    decode_threads: int | None = None,
    compute_threads: int | None = None,
    prefetch: int | None = None,
    batch_size: int | None = None,
) -> Iterator[Scored]:
    """Scores `files` one after the other, in their order, while the next ones are decoded.

    A file that can't be opened or decoded becomes a `Scored` with an `error`, and the run goes on; any other exception
    means that a rater is broken, and is raised in that file's turn. Clips that share a track share the work on it.
    No gradients: call the reward itself for those.

    Args:
        files: paths, or clips that are opened already; drawn as they are needed.
        target: a reward, or a rater where the scores alone are wanted.
        decode_threads: how many files are decoded side by side (*optional*, all cores).
        compute_threads: how many clips are judged side by side, each on one core (*optional*, all cores). Raters that
            judge in batches have one thread, which uses torch's own threads.
        prefetch: how many decoded clips may wait (*optional*, the threads' number and a batch); bounds memory.
        batch_size: for raters that judge in batches (*optional*, 8).

    Closing the iterator, or an interrupt, drops what waits and ends the threads after the file each is busy with.

    >>> for scored in score_files(["a.mp4", "broken.mp4"], load_rater("signals")["audio_quality"]):
    ...     print(scored.path, scored.error or scored.rewards.values.item())
    """
    if isinstance(files, str | PathLike | Clip):
        raise TypeError(f"files: a single {type(files).__name__}; pass a list, such as [{files!r}]")
    raters = target.raters if isinstance(target, Reward) else (target,)
    alone = all(rater.per_clip for rater in raters)
    decoders = _count("decode_threads", decode_threads, _cores())
    judges = _count("compute_threads", compute_threads, _cores()) if alone else 1
    batch = 1 if alone else _count("batch_size", batch_size, BATCH)
    run = _Run(target, raters, decoders)
    stages = Stages(
        run.decode,
        run.judge,
        load_threads=decoders,
        work_threads=judges,
        waiting=_count("prefetch", prefetch, decoders + max(judges, batch)),
        batch=batch,
        enter=lambda judges: settle(alone=alone or not judges),
    )
    return stages.run(files)


class _Run:
    """Decodes and judges for one run, with the memory that its clips share."""

    def __init__(self, target: Reward | Rater, raters: tuple[Rater, ...], decoders: int) -> None:
        self.target, self.raters = target, raters
        # Clips decoded side by side must not push each other's shared track out: two tracks for each thread.
        self.work = [Work(loaded=Shared(max(LOADED_AT_ONCE, 2 * decoders))) for _ in raters]

    def decode(self, file: str | PathLike[str] | Clip) -> _Decoded:
        path = file.path if isinstance(file, Clip) else Path(file)
        try:
            clip = file if isinstance(file, Clip) else Clip.open(file)
        except MediaError as error:
            return _Decoded(path, None, (), str(error))
        with torch.no_grad():
            samples = tuple(rater.load(clip, work) for rater, work in zip(self.raters, self.work, strict=True))
        failed = {why for sample in samples for track, why in sample.missing.items() if why != clip.missing.get(track)}
        return _Decoded(path, clip, samples, "; ".join(sorted(failed)) or None)

    def judge(self, batch: Sequence[_Decoded]) -> list[Scored]:
        good = [decoded for decoded in batch if decoded.error is None]
        with torch.no_grad():
            judged = [
                _rows(rater.rate([decoded.samples[i] for decoded in good], work)) if good else []
                for i, (rater, work) in enumerate(zip(self.raters, self.work, strict=True))
            ]
        rows = zip(*judged, strict=True)
        return [self.scored(d, next(rows)) if d.error is None else self.bad(d, d.error) for d in batch]

    def scored(self, decoded: _Decoded, rows: Sequence[Scores], error: str | None = None) -> Scored:
        scores = {rater.name: row for rater, row in zip(self.raters, rows, strict=True)}
        rewards = self.target.combine(scores) if isinstance(self.target, Reward) else None
        return Scored(decoded.path, decoded.clip, scores, rewards, error)

    def bad(self, decoded: _Decoded, error: str) -> Scored:
        nothing = [Scores.collect([({}, {d.name: error for d in r.dimensions}, {})], r.dimensions) for r in self.raters]
        scored = self.scored(decoded, nothing, error)
        if scored.rewards:
            scored.rewards.reasons[0] = error  # once for the file, not once for each term
        return scored


def _rows(scores: Scores) -> list[Scores]:
    return [
        Scores(value[None], present[None], [reasons], scores.dimensions, [basis])
        for value, present, reasons, basis in zip(
            scores.values, scores.present, scores.reasons, scores.basis, strict=True
        )
    ]


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(name: str, given: int | None, default: int) -> int:
    if given is not None and given < 1:
        raise ValueError(f"{name}: {given} is not a positive number; leave it out for {default}")
    return given or default
