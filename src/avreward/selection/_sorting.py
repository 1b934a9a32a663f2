"""Sorting by comparisons that may be wrong: the repeats needed to find the best, and a merge sort in rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

from avreward.errors import ArgumentError

Pair = tuple[int, int]
Merge = Generator[Pair, bool, list[int]]
MOST_REPEATS = 100_000


def sorting_error(candidates: int, accuracy: float, repeats: int = 1) -> float:
    """Return an upper bound on the probability that a merge sort does not rank the best candidate first.

    Each comparison prefers the best candidate to another with probability `accuracy` or more, independently. In a merge
    sort the best one is compared once on each of ⌈log₂ n⌉ levels, and comes first if it wins all of these; each is lost
    with the probability that no majority of `repeats` answers is right (a binomial tail; exactly half counts as lost).
    The bound is the sum of these probabilities.

    Args:
        candidates: number of candidates, at least 1.
        accuracy: probability of a right answer, above one half.
        repeats: number of answers per comparison.

    Raises:
        ArgumentError: if an argument is out of its range.

    Example:
        >>> round(sorting_error(8, 0.9), 3), round(sorting_error(8, 0.9, repeats=3), 3)
        (0.3, 0.084)
    """
    _check(candidates, accuracy)
    if repeats < 1:
        raise ArgumentError("repeats", "an integer of at least 1", repeats)
    return min(1.0, _levels(candidates) * _lost(accuracy, repeats))


def repeats_needed(candidates: int, accuracy: float, error: float = 0.05) -> int:
    """Return the smallest odd number of repeats for which `sorting_error` is at most `error`.

    Args:
        candidates: number of candidates, at least 1.
        accuracy: probability of a right answer, above one half.
        error: the largest allowed error probability, between 0 and 1.

    Raises:
        ArgumentError: if an argument is out of its range, or `accuracy` is so close to one half that the number would
            exceed 100,000.

    Example:
        >>> repeats_needed(8, 0.9), repeats_needed(8, 0.6)
        (5, 111)
    """
    _check(candidates, accuracy)
    if not 0 < error < 1:
        raise ArgumentError("error", "a probability above 0 and below 1", error)
    if candidates == 1:
        return 1
    allowed, high = error / _levels(candidates), 1
    while _lost(accuracy, high) > allowed:
        high = 2 * high + 1
        if high > MOST_REPEATS:
            raise ArgumentError(
                "accuracy", f"one for which {MOST_REPEATS} repeats are enough", accuracy, "allow a larger error"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _lost(accuracy, middle | 1) <= allowed else (middle, high)
    return high | 1


def merge_sort(count: int, better: Callable[[Sequence[Pair]], Sequence[bool]]) -> tuple[list[int], int]:
    """Sort the numbers 0 … count − 1, with at most count·⌈log₂ count⌉ comparisons.

    Args:
        count: how many to sort.
        better: for each pair, whether the second is better than the first. The merges of a level run in parallel, so
            each call asks for one comparison of each of them. Of equals the earlier comes first.

    Returns:
        The numbers, best first, and the number of comparisons.
    """
    runs, asked = [[i] for i in range(count)], 0
    while len(runs) > 1:
        merges = [_merge(runs[i], runs[i + 1]) for i in range(0, len(runs) - 1, 2)]
        done: list[list[int] | None] = [None] * len(merges)
        waiting = {number: next(merge) for number, merge in enumerate(merges)}
        while waiting:
            answers = better(list(waiting.values()))
            asked += len(waiting)
            for number, answer in zip(list(waiting), answers, strict=True):
                try:
                    waiting[number] = merges[number].send(bool(answer))
                except StopIteration as finished:
                    done[number] = finished.value
                    del waiting[number]
        runs = [run for run in done if run is not None] + (runs[-1:] if len(runs) % 2 else [])
    return (runs[0] if runs else []), asked


def _merge(first: list[int], second: list[int]) -> Merge:
    """Merge two runs: yield the pair to compare, and receive whether the second is better."""
    found: list[int] = []
    i = j = 0
    while i < len(first) and j < len(second):
        if (yield first[i], second[j]):
            found.append(second[j])
            j += 1
        else:
            found.append(first[i])
            i += 1
    return found + first[i:] + second[j:]


def _levels(candidates: int) -> int:
    return math.ceil(math.log2(candidates)) if candidates > 1 else 0


def _lost(accuracy: float, repeats: int) -> float:
    """Return the probability that at most half of `repeats` answers are right."""
    from scipy.stats import binom  # late: half a second

    return float(binom.cdf(repeats // 2, repeats, accuracy))


def _check(candidates: int, accuracy: float) -> None:
    if candidates < 1:
        raise ArgumentError("candidates", "an integer of at least 1", candidates)
    if not 0.5 < accuracy <= 1:
        raise ArgumentError("accuracy", "a probability above one half", accuracy)
