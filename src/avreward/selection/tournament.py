"""Tournaments: a ranking from a model that only compares two, by all pairs, by rounds, or by sorting."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avreward._display import Shown, ShownAsTable, counted
from avreward.clip import Clip
from avreward.errors import AvrewardError
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
    """A ranking, and what it took.

    Attributes:
        ranking: best first; its rewards are points: what they mean, the tournament says. A candidate that can't be
            compared is missing, with the reason.
        comparisons: how many were asked for; each is two questions to a model that is asked both ways round.
        error: at most how probable it is that the best one is not first, where that is known; else `None`.
    """

    ranking: Selection
    comparisons: int
    error: float | None = None

    def _shown(self) -> Shown:
        title, columns, rows, count = self.ranking._shown()
        return f"{title}, {counted(self.comparisons, 'comparison')}", columns, rows, count


def round_robin(candidates: Candidates, preference: Preference, batch_size: int | None = None) -> TournamentRanking:
    """Each against each other, n(n − 1)/2 comparisons; points are the mean probability of winning.

    The same as `avreward.preferences.group_rewards.Tournament`, as a ranking. A single candidate that can be compared
    is ranked without a comparison.

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
    """Rounds in which neighbours in the standings meet who have not met before: about n/2 comparisons a round.

    Points are the mean of what each may expect of its comparisons (a win 1, a tie ½, a loss 0). If n is odd, the lowest
    who was not left over before sits a round out, which doesn't count. Of equal points, those go first whose opponents
    have more (as Buchholz has it), then the earlier. It takes fewer comparisons than a round robin, and is less sure of
    the middle.

    Args:
        candidates: at least one.
        preference: who is asked.
        rounds: by default ⌈log₂ n⌉, after which a judge who never errs has one undefeated candidate; at most n − 1 (n,
            if n is odd): a round robin takes no more.
        batch_size: clips prepared at a time.
    """
    asked = _asked(_clips(candidates), preference, batch_size)
    n = len(asked.fit)
    most = n - 1 + n % 2
    if rounds is not None and not 1 <= rounds <= max(1, most):
        raise AvrewardError(f"rounds: {rounds}; a round robin of {n} candidates takes {most}; pass 1 to {most}")
    if n == 1:
        return asked.alone()
    met, idle = {i: dict[int, float]() for i in asked.fit}, set[int]()  # whom each has met, and what came out
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
    """A merge sort: at most n·⌈log₂ n⌉ comparisons for a judge who is sure, each repeated for one who is not.

    Points are n, n − 1, … 1 in the order found. `TournamentRanking.error` bounds the probability that the best one is
    not first, for a judge who prefers the best one to another with probability `accuracy` each time he is asked; see
    `sorting.sorting_error`. It says nothing of two candidates that the judge can't tell apart.

    Args:
        candidates: at least one.
        preference: who is asked; repeats help where each answer is drawn anew.
        accuracy: above one half (*optional*): without it each comparison is asked once, and no error is stated.
        error: the largest probability allowed; the number of repeats follows.
        batch_size: clips prepared at a time.

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
        return [mean < 0.5 for mean in means]  # what the first may expect: the second is better under one half

    order, comparisons = merge_sort(n, better)
    line = [asked.fit[i] for i in order]
    points = {i: float(n - place) for place, i in enumerate(line)}
    bound = None if accuracy is None else sorting_error(n, accuracy, repeats)
    return TournamentRanking(asked.ranked(line, points), comparisons * repeats, bound)


@dataclass(frozen=True)
class _ComparisonCache:
    """Candidates, prepared once for all comparisons."""

    clips: Sequence[Clip]
    preference: Preference
    prepared: Any
    missing: dict[int, str]

    @property
    def fit(self) -> list[int]:
        """Who can be compared."""
        return [i for i in range(len(self.clips)) if i not in self.missing]

    def scores(self, games: Sequence[Pair]) -> list[float]:
        """For each, what the first may expect: a win 1, a tie ½, a loss 0."""
        if not games:
            return []
        with torch.no_grad():  # a ranking has no gradient
            found = self.preference.decide(self.prepared, games)
        return (found[:, 0] + found[:, 1] / 2).tolist()

    def ranked(self, line: Sequence[int], points: dict[int, float]) -> Selection:
        """The ranking in this order."""
        values = torch.tensor([points.get(i, math.nan) for i in range(len(self.clips))], dtype=torch.float64)
        reasons = [self.missing.get(i) for i in range(len(self.clips))]
        rewards = Rewards(values, ~values.isnan(), reasons, {}, [() for _ in self.clips], {})
        return ranked_clips(self.clips, rewards, line, self.missing)

    def alone(self) -> TournamentRanking:
        """A single candidate is the best without a comparison."""
        return TournamentRanking(self.ranked(self.fit, dict.fromkeys(self.fit, 0.0)), 0)


def _clips(candidates: Candidates) -> Sequence[Clip]:
    if isinstance(candidates, Clip):
        raise AvrewardError("candidates: a single Clip; pass a list of clips, or a Group")
    clips = candidates.candidates if isinstance(candidates, Group) else candidates
    if not clips:
        raise AvrewardError("candidates: none; pass at least one")
    return clips


def _asked(clips: Sequence[Clip], preference: Preference, batch_size: int | None) -> _ComparisonCache:
    prepared, unfit = preference.prepare(clips, batch_size)
    if len(unfit) == len(clips):
        names = [clip.name for clip in clips]
        raise MissingScore.of(names, unfit, "give candidates that can be compared, or another preference")
    return _ComparisonCache(clips, preference, prepared, dict(sorted(unfit.items())))


def _standings(met: Mapping[int, Mapping[int, float]]) -> list[int]:
    """Who has met whom with what result, as a ranking."""
    points = {i: _mean(games.values()) for i, games in met.items()}
    against = {i: _mean([points[j] for j in games]) for i, games in met.items()}
    return sorted(met, key=lambda i: (-points[i], -against[i], i))


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else 0.5


def _neighbours(line: list[int], met: Mapping[int, Mapping[int, float]]) -> list[Pair]:
    """Everyone with the next one whom he has not met; with the next one at all, where he has met all that are left."""
    waiting, games = list(line), []
    while waiting:
        one = waiting.pop(0)
        other = next((j for j in waiting if j not in met[one]), waiting[0])
        waiting.remove(other)
        games.append((one, other))
    return games
