"""Scoring many files in one call."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from os import PathLike

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater
from avreward.rewards._as_reward import RewardLike
from avreward.scoring._streaming import Scored as Scored
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.store.store import Store


def score_files(
    files: Iterable[str | PathLike[str] | Clip],
    target: RewardLike | Rater,
    *,
    also: Sequence[Rater] = (),
    decode_threads: int | None = None,
    compute_threads: int | None = None,
    prefetch: int | None = None,
    batch_size: int | None = None,
    store: Store | None = None,
    retry_missing: bool = False,
    isolate: bool | None = None,
) -> Generator[Scored, None, None]:
    """Yield the scores of `files`, in their order, while the next files are decoded.

    A file that can't be opened or decoded becomes a `Scored` with an `error`, and the run continues; where a rater
    fails on a clip, its scores are missing, with the reason. Where a rater fails on every clip, its error is raised.
    Clips that share a track share the work on it. No gradients: call the reward itself where they are needed. Closing
    the iterator, or an interrupt, drops the waiting files and ends each thread after its current file.

    Args:
        files: paths or open clips; read from the iterable as they are needed.
        target: a reward or an expression; a rater for scores without a reward.
        also: more raters, besides those that `target` reads.
        decode_threads: how many files are decoded in parallel (*optional*); see `Evaluator.stream`.
        compute_threads: how many clips are rated in parallel (*optional*).
        prefetch: how many decoded clips may wait (*optional*).
        batch_size: for raters that rate in batches (*optional*, 8).
        store: where scores are kept (*optional*). Clips with stored scores are not decoded; new scores are written a
            batch at a time, within about a second. Scores are on the CPU.
        retry_missing: rate clips again whose stored score is missing, unless the clip lacks what the score needs.
        isolate: whether files are decoded in processes of their own (*optional*: for more than 32 files), see
            `Evaluator`.

    Raises:
        ArgumentError: for a single file, two different raters of one name, or a number that is not positive.

    Example:
        >>> for scored in score_files(["dub2.mp4", "lost.mp4"], load_rater("signals")["audio_quality"]):
        ...     print(scored.path, scored.error or "has a score")
        dub2.mp4 has a score
        lost.mp4 lost.mp4: there is no such file; check the path
    """
    if isinstance(also, str) or not isinstance(also, Sequence) or not all(isinstance(one, Rater) for one in also):
        got = Described(f"the rater {also.name}") if isinstance(also, Rater) else also
        raise ArgumentError("also", "a list of raters", got, "pass [rater]")
    evaluator = Evaluator(
        [target, *also], batch_size=batch_size, store=store, retry_missing=retry_missing, isolate=isolate
    )
    return evaluator.stream(files, decode_threads=decode_threads, compute_threads=compute_threads, prefetch=prefetch)
