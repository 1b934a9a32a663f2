"""The one loop that rates clips: load, rate in batches, share work, and go clip by clip where a batch fails.

It knows raters and clips alone. `Rater.__call__`, `Reward.evaluate` and `avreward.scoring.Evaluator` call it.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from avreward.clip import Clip
from avreward.errors import EVERY_CLIP, RATER_FAILED, ArgumentError, AvrewardError, Described, describe
from avreward.raters.checkpoints._oom import OutOfMemory
from avreward.raters.scores import Scores
from avreward.raters.shared import SharedWork, Work

if TYPE_CHECKING:
    from avreward.raters.base import Rater, Sample

BATCH = 8  # clips that are decoded and rated together, unless a rater rates clip by clip
ENOUGH_FAILURES = BATCH  # clips that a rater fails on, without a score for any, before it counts as broken


@dataclass
class Rated:
    """The scores of some clips by one rater, and why it failed on the others.

    Attributes:
        scores: one row a clip; missing, with the reason, where there is none.
        failures: index of a clip whose media are damaged → what is wrong.
        errors: index of a clip that the rater failed on, also when rated alone → what it raised.
    """

    scores: Scores
    failures: Mapping[int, str] = field(default_factory=dict)
    errors: Mapping[int, Exception] = field(default_factory=dict)

    def raise_if_broken(self, rater: Rater, least: int = 1) -> None:
        """Raise the first error where the rater failed on at least `least` clips and scored none; a note names it."""
        if len(self.errors) >= least and not bool(self.scores.present.any()):
            raise noted(next(iter(self.errors.values())), rater)


def rate(
    raters: Sequence[Rater],
    clips: Sequence[Clip],
    batch_size: int | None = None,
    work: SharedWork | None = None,
    *,
    strict: bool = True,
) -> list[Rated]:
    """Rate `clips` by each of `raters`; a clip is decoded once for those that decode alike.

    Args:
        raters: what to ask; gradients flow where they are on.
        clips: what to rate.
        batch_size: how many clips are decoded and rated together (*optional*, see `batch_size_of`).
        work: shared with earlier calls (*optional*).
        strict: whether a rater that fails on every clip raises what it raised first; otherwise all are missing.

    Returns:
        One `Rated` a rater, its clips in order. The score of a clip doesn't depend on the others.
    """
    work = work or SharedWork()
    found: dict[int, Rated] = {}
    first_alike = alike(raters)
    for first in dict.fromkeys(first_alike):
        members = [i for i, own in enumerate(first_alike) if own == first]
        step = max(batch_size_of(raters[i], batch_size) for i in members)
        shared = work.of(raters[first])
        parts: dict[int, list[Rated]] = {i: [] for i in members}
        for start in range(0, max(1, len(clips)), step):
            samples = [load(raters[first], clip, shared) for clip in clips[start : start + step]]
            for i in members:
                parts[i].append(rate_batch(raters[i], samples, shared))
                if strict and parts[i][-1].errors:
                    _joined(parts[i]).raise_if_broken(raters[i], ENOUGH_FAILURES)
        found |= {i: _joined(own) for i, own in parts.items()}
    rated = [found[i] for i in range(len(raters))]
    for rater, one in zip(raters, rated, strict=True) if strict else ():
        one.raise_if_broken(rater)
    return rated


def noted(error: Exception, rater: Rater) -> Exception:
    """Return the error of a rater that failed on every clip, with a note that names it."""
    note = f"{rater.name}: {EVERY_CLIP}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


def sample_key(rater: Rater) -> Hashable:
    """Return the key under which raters may share samples: how they decode, and which tracks.

    Raters on one network that look at different tracks decode alike and still need samples of their own.
    """
    return rater.decoding, rater.tracks


def alike(raters: Sequence[Rater]) -> list[int]:
    """Return for each rater the index of the first that has its `sample_key`: they may share samples and one `Work`."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(sample_key(rater), i) for i, rater in enumerate(raters)]


def load(rater: Rater, clip: Clip, work: Work) -> Sample | Exception:
    """Decode a clip as `rater` wants it; return an error other than damaged media for `rate_batch` to report."""
    try:
        return rater.load(clip, work)
    except Exception as error:
        _raise_if_fatal(error)
        return _light(error)


def rate_batch(rater: Rater, samples: Sequence[Sample | Exception], work: Work) -> Rated:
    """Rate what `load` returned, together; where that fails, one by one, so that a bad clip affects no other.

    A clip with damaged media is not rated: all its scores are missing.
    """
    good = [sample for sample in samples if not isinstance(sample, Exception) and sample.failure is None]
    failures = {
        i: sample.failure
        for i, sample in enumerate(samples)
        if not isinstance(sample, Exception) and sample.failure is not None
    }
    together = _attempt(rater, good, work) if good or not samples else None
    if isinstance(together, Scores) and len(good) == len(samples):
        return Rated(together)
    alone: Iterable[Scores | Exception] = ()
    if isinstance(together, Scores):
        alone = together.split()
    elif together is not None:
        alone = [together] if len(good) == 1 else [_attempt(rater, [sample], work) for sample in good]
        if len(good) > 1 and all(isinstance(one, Scores) for one in alone):
            problem = f"{rater.name}: failed on {len(good)} clips together and on none alone ({describe(together)})"
            warnings.warn(f"{problem}; batch_size=1 avoids the failed attempt", UserWarning, stacklevel=2)
    rest = iter(alone)
    rows = [
        sample if isinstance(sample, Exception) else _missing(rater, failures[i]) if i in failures else next(rest)
        for i, sample in enumerate(samples)
    ]
    scores = [_missing(rater, f"{RATER_FAILED}{describe(row)}") if isinstance(row, Exception) else row for row in rows]
    errors = {i: row for i, row in enumerate(rows) if isinstance(row, Exception)}
    return Rated(Scores.concatenate(scores), failures, errors)


def batch_size_of(rater: Rater, given: int | None = None) -> int:
    """Return how many clips `rater` gets at once: those `given`, else 8, or 1 where it rates clip by clip."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise ArgumentError("batch_size", "a positive integer", given, "leave it out for the default")
    return given if given is not None else 1 if rater.per_clip else BATCH


def check_clips(clips: Sequence[Clip]) -> Sequence[Clip]:
    """Return `clips` as they are; raise `ArgumentError` unless it is a sequence of clips."""
    if isinstance(clips, Clip):
        raise ArgumentError("clips", "a list of clips", Described("a single Clip"), "pass [clip]")
    if not isinstance(clips, Sequence) or isinstance(clips, str):
        remedy = "pass list(clips)" if isinstance(clips, Iterable) and not isinstance(clips, str) else None
        raise ArgumentError("clips", "a list of clips", clips, remedy)
    for number, clip in enumerate(clips):
        if not isinstance(clip, Clip):
            raise ArgumentError(f"clips[{number}]", "a Clip", clip, "open files with Clip.open(path)")
    return clips


def _attempt(rater: Rater, samples: Sequence[Sample], work: Work) -> Scores | Exception:
    try:
        scores = rater.rate(samples, work)
        if len(scores) != len(samples):
            raise AvrewardError(f"{rater.name}: expected one row of scores a clip ({len(samples)}), got {len(scores)}")
    except Exception as error:
        if not samples:
            raise
        _raise_if_fatal(error)
        return _light(error)
    return scores


def _raise_if_fatal(error: Exception) -> None:
    """Raise an error that rating clip by clip would only make worse: the graphs of earlier clips stay in memory."""
    if isinstance(error, OutOfMemory) and torch.is_grad_enabled():
        raise error


def _light(error: Exception) -> Exception:
    """Return the error without the local variables of its traceback, which hold tensors."""
    link: BaseException | None = error
    seen: set[int] = set()  # causes may form a cycle
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    return error


def _missing(rater: Rater, reason: str) -> Scores:
    return Scores.collect([({}, {d.name: reason for d in rater.dimensions}, {})], rater.dimensions)


def _joined(parts: Sequence[Rated]) -> Rated:
    if len(parts) == 1:
        return parts[0]
    failures: dict[int, str] = {}
    errors: dict[int, Exception] = {}
    start = 0
    for part in parts:
        failures |= {start + i: why for i, why in part.failures.items()}
        errors |= {start + i: error for i, error in part.errors.items()}
        start += len(part.scores)
    return Rated(Scores.concatenate([part.scores for part in parts]), failures, errors)
