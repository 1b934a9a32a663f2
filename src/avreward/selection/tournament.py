"""Tournaments: rank candidates with a model that compares two, by all pairs, in Swiss rounds, or by sorting."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avreward._display import Shown, ShownAsTable, counted
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.group import Group
from avreward.preferences.group_rewards import Tournament
from avreward.preferences.preference import Preference
from avreward.rewards.results import MissingScore, Rewards
from avreward.selection._best_of_n import ranked_clips, select
from avreward.selection._selection import Selection
from avreward.selection._sorting import Pair, merge_sort, repeats_needed, sorting_error

Candidates = Sequence[Clip] | Group


@dataclass(frozen=True, repr=False)
class TournamentRanking(ShownAsTable):
    """The ranking of a tournament, and the number of comparisons.

    Attributes:
        ranking: best first; its rewards are the points of the tournament. A candidate that cannot be compared is
            missing, with the reason.
        comparisons: number of comparisons; each is two questions to a model that is asked in both orders.
        error: upper bound on the probability that the best candidate is not first, if known.
    """

    ranking: Selection
    comparisons: int
    error: float | None = None

    def _shown(self) -> Shown:
        title, columns, rows, count = self.ranking._shown()
        return f"{title}, {counted(self.comparisons, 'comparison')}", columns, rows, count


def round_robin(candidates: Candidates, preference: Preference, batch_size: int | None = None) -> TournamentRanking:
    """Rank candidates by comparing each with each other, in n(n − 1)/2 comparisons.

    Points are the mean probability of winning, as in the group reward `Tournament`. A single candidate that can be
    compared is ranked without a comparison.

    Args:
        candidates: at least one.
        preference: compares two clips.
        batch_size: clips prepared at a time.

    Raises:
        ArgumentError: if there are no candidates.
        MissingScore: with the reasons, if no candidate can be compared.

    Example:
        >>> from avreward.preferences import FromReward
        >>> round_robin(clips, FromReward(reward)).ranking.order
        (1, 2, 0)
    """
    clips = _clips(candidates)
    if len(clips) == 1:
        return _asked(clips, preference, batch_size).alone()
    rewards = Tournament(preference).evaluate(clips, batch_size)
    if not rewards.present.any():
        return _asked(clips, preference, batch_size).alone()
    n = int(rewards.present.sum())
    return TournamentRanking(select(clips, rewards), n * (n - 1) // 2)


def swiss(
    candidates: Candidates, preference: Preference, rounds: int | None = None, batch_size: int | None = None
) -> TournamentRanking:
    """Rank candidates in rounds of a Swiss tournament, with about n/2 comparisons per round.

    Each round compares neighbours in the standings that have not met before. Points are the mean expected result of a
    candidate's comparisons (a win 1, a tie ½, a loss 0). If n is odd, the lowest candidate that has not paused before
    pauses for a round, which does not count. Of equal points, those come first whose opponents have more (Buchholz),
    then the earlier. It takes fewer comparisons than a round robin; the middle of the ranking is less certain.

    Args:
        candidates: at least one.
        preference: compares two clips.
        rounds: number of rounds, at most n − 1 (n, if n is odd), as many as in a round robin. Default: ⌈log₂ n⌉, after
            which one candidate is undefeated if no comparison is wrong.
        batch_size: clips prepared at a time.

    Raises:
        ArgumentError: if there are no candidates, or `rounds` is out of its range.
        MissingScore: with the reasons, if no candidate can be compared.
    """
    asked = _asked(_clips(candidates), preference, batch_size)
    n = len(asked.fit)
    most = n - 1 + n % 2
    if rounds is not None and not 1 <= rounds <= max(1, most):
        raise ArgumentError("rounds", f"1 to {max(1, most)}, the rounds of a round robin of {n} candidates", rounds)
    if n == 1:
        return asked.alone()
    met, idle = {i: dict[int, float]() for i in asked.fit}, set[int]()  # results of each against others
    comparisons = 0
    for _ in range(rounds or math.ceil(math.log2(n))):
        line = _standings(met)
        if n % 2:
            left = next((i for i in reversed(line) if i not in idle), line[-1])
            idle.add(left)
            line.remove(left)
        games = _neighbours(line, met)
        for (i, j), score in zip(games, asked.scores(games), strict=True):
            met[i][j], met[j][i] = score, 1 - score
        comparisons += len(games)
    return TournamentRanking(
        asked.ranked(_standings(met), {i: _mean(games.values()) for i, games in met.items()}), comparisons
    )


def by_sorting(
    candidates: Candidates,
    preference: Preference,
    accuracy: float | None = None,
    error: float = 0.05,
    batch_size: int | None = None,
) -> TournamentRanking:
    """Rank candidates by a merge sort, with at most n·⌈log₂ n⌉ comparisons, each repeated if it may be wrong.

    Points are n, n − 1, … 1 in the order of the ranking. `TournamentRanking.error` bounds the probability that the best
    candidate is not first, if each comparison prefers it with probability `accuracy`; see `sorting_error`. The bound
    does not hold for two candidates that the preference cannot distinguish.

    Args:
        candidates: at least one.
        preference: compares two clips; repeats help if its answers are random and independent.
        accuracy: probability of a right answer, above one half (*optional*). Without it each comparison is made once,
            and there is no error bound.
        error: the largest allowed error probability, which determines the number of repeats.
        batch_size: clips prepared at a time.

    Raises:
        ArgumentError: if there are no candidates, or `accuracy` or `error` is out of its range.
        MissingScore: with the reasons, if no candidate can be compared.

    Example:
        >>> from avreward.preferences import FromReward
        >>> played = by_sorting(clips, FromReward(reward), accuracy=0.8, error=0.1)
        >>> played.ranking.best_index, played.error <= 0.1
        (1, True)
    """
    asked = _asked(_clips(candidates), preference, batch_size)
    n = len(asked.fit)
    repeats = 1 if accuracy is None else repeats_needed(n, accuracy, error)

    def better(pairs: Sequence[Pair]) -> list[bool]:
        games = [(asked.fit[i], asked.fit[j]) for i, j in pairs for _ in range(repeats)]
        scores = asked.scores(games)
        means = [sum(scores[at : at + repeats]) / repeats for at in range(0, len(scores), repeats)]
        return [mean < 0.5 for mean in means]  # expected result of the first: below one half, the second is better

    order, comparisons = merge_sort(n, better)
    line = [asked.fit[i] for i in order]
    points = {i: float(n - place) for place, i in enumerate(line)}
    bound = None if accuracy is None else sorting_error(n, accuracy, repeats)
    return TournamentRanking(asked.ranked(line, points), comparisons * repeats, bound)


@dataclass(frozen=True)
class _ComparisonCache:
    """Candidates that were prepared once for all comparisons."""

    clips: Sequence[Clip]
    preference: Preference
    prepared: Any
    missing: dict[int, str]

    @property
    def fit(self) -> list[int]:
        """Indices of the candidates that can be compared."""
        return [i for i in range(len(self.clips)) if i not in self.missing]

    def scores(self, games: Sequence[Pair]) -> list[float]:
        """Return the expected result of the first of each pair: a win 1, a tie ½, a loss 0."""
        if not games:
            return []
        with torch.no_grad():  # a ranking has no gradient
            found = self.preference.decide(self.prepared, games)
        return (found[:, 0] + found[:, 1] / 2).tolist()

    def ranked(self, line: Sequence[int], points: dict[int, float]) -> Selection:
        """Return the ranking in this order."""
        values = torch.tensor([points.get(i, math.nan) for i in range(len(self.clips))], dtype=torch.float64)
        reasons = [self.missing.get(i) for i in range(len(self.clips))]
        rewards = Rewards(values, ~values.isnan(), reasons, {}, [() for _ in self.clips], {})
        return ranked_clips(self.clips, rewards, line, self.missing)

    def alone(self) -> TournamentRanking:
        """Return the ranking of a single candidate, without a comparison."""
        return TournamentRanking(self.ranked(self.fit, dict.fromkeys(self.fit, 0.0)), 0)


def _clips(candidates: Candidates) -> Sequence[Clip]:
    if isinstance(candidates, Clip):
        raise ArgumentError("candidates", "a list of clips, or a Group", Described("a single Clip"))
    clips = candidates.candidates if isinstance(candidates, Group) else candidates
    if not clips:
        raise ArgumentError("candidates", "at least one", Described("none"))
    return clips


def _asked(clips: Sequence[Clip], preference: Preference, batch_size: int | None) -> _ComparisonCache:
    prepared, unfit = preference.prepare(clips, batch_size)
    if len(unfit) == len(clips):
        names = [clip.name for clip in clips]
        raise MissingScore.of(names, unfit, "pass candidates that can be compared, or another preference")
    return _ComparisonCache(clips, preference, prepared, dict(sorted(unfit.items())))


def _standings(met: Mapping[int, Mapping[int, float]]) -> list[int]:
    """Return the candidates ranked by their results so far."""
    points = {i: _mean(games.values()) for i, games in met.items()}
    against = {i: _mean([points[j] for j in games]) for i, games in met.items()}
    return sorted(met, key=lambda i: (-points[i], -against[i], i))


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else 0.5


def _neighbours(line: list[int], met: Mapping[int, Mapping[int, float]]) -> list[Pair]:
    """Pair each candidate with the next one that it has not met, or with the next one if it has met all."""
    waiting, games = list(line), []
    while waiting:
        one = waiting.pop(0)
        other = next((j for j in waiting if j not in met[one]), waiting[0])
        waiting.remove(other)
        games.append((one, other))
    return games
