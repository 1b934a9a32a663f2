"""Win rates: how often people prefer a system's clips."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from avreward.errors import ArgumentError, Described
from avreward.evaluation.intervals import wilson

VERDICTS = {"first": 1.0, "second": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class WinRate:
    """How often a system wins.

    Attributes:
        system: its name.
        comparisons: how many it was in.
        wins: how many it won.
        ties: how many were ties.
        rate: share of wins; a tie is half a win.
        low: the lower end of the interval.
        high: the upper end.
    """

    system: str
    comparisons: int
    wins: int
    ties: int
    rate: float
    low: float
    high: float


def win_rates(
    first: Sequence[str],
    second: Sequence[str],
    verdicts: Sequence[str],
    contents: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
) -> list[WinRate]:
    """Return how often people preferred each system, the best first.

    The interval is Wilson's. With `contents`, answers about one content are not independent: the interval is then for
    as many independent answers as would be as sure, by the variance between contents.

    Args:
        first: (comparisons,) the system of the first clip.
        second: (comparisons,) that of the second one.
        verdicts: (comparisons,) ``"first"``, ``"second"`` or ``"tie"``.
        contents: (comparisons,) the prompt or the video (*optional*).
        level: of the intervals.

    Raises:
        ArgumentError: for no comparisons, other lengths, other verdicts, and a system compared with itself.

    Example:
        >>> [(one.system, one.rate) for one in win_rates(["a", "a", "b"], ["b", "b", "a"], ["first", "tie", "first"])]
        [('a', 0.5), ('b', 0.5)]
    """
    if not len(first) == len(second) == len(verdicts) or (contents is not None and len(contents) != len(first)):
        raise ArgumentError("verdicts", f"one a comparison ({len(first)})", Described(f"{len(verdicts)}"))
    if not 0 < level < 1:
        raise ArgumentError("level", "a number between 0 and 1", level)
    if not len(first):
        raise ArgumentError("verdicts", "at least one comparison", Described("none"))
    odd = next((verdict for verdict in verdicts if verdict not in VERDICTS), None)
    if odd is not None:
        raise ArgumentError("verdicts", "first, second or tie", odd)
    same = next((one for one, other in zip(first, second, strict=True) if one == other), None)
    if same is not None:
        raise ArgumentError("second", "another system than the first", Described(f"{same} twice"))
    shares: dict[str, list[float]] = {}
    groups: dict[str, list[Hashable]] = {}
    for i, (one, other, verdict) in enumerate(zip(first, second, verdicts, strict=True)):
        won = VERDICTS[verdict]
        for system, share in ((one, won), (other, 1 - won)):
            shares.setdefault(system, []).append(share)
            groups.setdefault(system, []).append(i if contents is None else contents[i])
    return sorted((_of(name, shares, groups, level) for name in shares), key=lambda one: -one.rate)


def _of(
    system: str, shares: Mapping[str, Sequence[float]], groups: Mapping[str, Sequence[Hashable]], level: float
) -> WinRate:
    won = np.array(shares[system])
    rate, number = float(won.mean()), {content: i for i, content in enumerate(dict.fromkeys(groups[system]))}
    sums = np.bincount([number[content] for content in groups[system]], won - rate)
    effective, quantile = float(len(sums)), stats.norm.isf((1 - level) / 2)
    if len(sums) > 1 and (sums**2).any():
        variance = len(sums) / (len(sums) - 1) * float((sums**2).sum()) / len(won) ** 2
        effective = min(rate * (1 - rate) / variance, float(len(won)))
        if len(sums) < len(won):
            quantile = stats.t.isf((1 - level) / 2, len(sums) - 1)
    low, high = wilson(rate * effective, effective, float(quantile))
    return WinRate(system, len(won), int((won == 1).sum()), int((won == 0.5).sum()), rate, low, high)
