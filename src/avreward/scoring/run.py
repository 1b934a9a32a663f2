"""Scoring many files in one call."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from os import PathLike

from avreward.clip import Clip
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
) -> Generator[Scored, None, None]:
    """Score `files` one after the other, in their order, while the next ones are decoded.

    A file that can't be opened or decoded becomes a `Scored` with an `error`, and the run goes on; where a rater fails
    on a clip, its scores are missing, with the reason. A rater that fails on every clip is broken, and its error is
    raised. Clips that share a track share the work on it. No gradients: call the reward itself for those.

    Args:
        files: paths, or clips that are opened already; drawn as they are needed.
        target: a reward, an expression, or a rater where the scores alone are wanted.
        also: more raters whose scores are wanted, beside those that `target` reads.
        decode_threads, compute_threads, prefetch: those of `Evaluator.stream` (*optional*).
        batch_size: for raters that rate in batches (*optional*, 8).
        store: where scores are kept (*optional*). Clips whose scores are there are not decoded, and new ones are
            written a batch at a time, within about a second; scores are on the CPU.
        retry_missing: rate again what the store says is missing, unless the clip itself lacks what it takes.

    Closing the iterator, or an interrupt, drops what waits and ends the threads after the file each is busy with.

    Example:
        >>> for scored in score_files(["dub2.mp4", "lost.mp4"], load_rater("signals")["audio_quality"]):
        ...     print(scored.path, scored.error or round(scored.rewards.values.item()))
        dub2.mp4 93
        lost.mp4 lost.mp4: there is no such file; check the path
    """
    evaluator = Evaluator([target, *also], batch_size=batch_size, store=store, retry_missing=retry_missing)
    return evaluator.stream(files, decode_threads=decode_threads, compute_threads=compute_threads, prefetch=prefetch)
