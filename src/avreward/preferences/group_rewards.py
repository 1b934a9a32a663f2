"""Rewards that depend on the other candidates of a group: advantages, diversity and tournaments."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.group import Group
from avreward.preferences.preference import Preference
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.algebra import WeightedSum, weighted_sum
from avreward.rewards.results import MissingScore, Rewards

EPSILON = 1e-4  # added to the spread, as in TRL, so that candidates that hardly differ get no large values
ALONE = "it is the only candidate that could be rated, so there is nothing to compare it with"


class GroupReward(ABC):
    """Base class of group rewards: one number per candidate, which depends on the other candidates.

    A clip gets a different value in another group, so this is not a `Reward`: it has no fingerprint, and its values are
    never stored or cached. The order of the candidates makes no difference.

    Example:
        >>> advantage = Standardized(0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"])
        >>> advantage(clips).shape
        torch.Size([3])
    """

    @abstractmethod
    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the result of `evaluate` for two or more candidates."""

    def __call__(self, group: Group | Sequence[Clip], batch_size: int | None = None) -> Tensor:
        """Return the values (candidates,), differentiable if the underlying scores are.

        Args:
            group: a `Group`, or a list of clips.
            batch_size: passed to `Rater.__call__` (*optional*).

        Raises:
            MissingScore: if a candidate can't be rated; the message lists the candidates and the reasons.
            ArgumentError: if there are fewer than two candidates.
        """
        found = self.evaluate(group, batch_size)
        reasons = {i: why for i, why in enumerate(found.reasons) if why is not None}
        if reasons:
            names = [clip.name for clip in _candidates(group)]
            raise MissingScore.of(names, reasons, "evaluate(group) compares the others with each other")
        return found.values

    def evaluate(self, group: Group | Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the values together with the scores behind them.

        If a candidate can't be rated, its value is missing and the reason is given; the others are compared with each
        other.

        Args:
            group: a `Group`, or a list of clips.
            batch_size: passed to `Rater.__call__` (*optional*).

        Raises:
            ArgumentError: if there are fewer than two candidates.
        """
        candidates = _candidates(group)
        if len(candidates) < 2:
            raise ArgumentError("group", "at least two candidates", Described(str(len(candidates))))
        return self.compare(candidates, batch_size)


class Standardized(GroupReward):
    """Advantage of a candidate within its group, as in GRPO: (r − mean)/(std + 1e-4).

    As in TRL 1.16's GRPO, `std` is the sample standard deviation (divided by n − 1); DeepSeekMath (arXiv:2402.03300,
    section 4.1.2) doesn't specify which. If all rewards are equal, all candidates get 0. `sigma` is that of the reward
    in the same unit, with the group's mean and spread taken as exact.

    Args:
        reward: the reward of a single clip.
        per_term: standardize each part of a weighted sum first, then weight and add: Σ wₖ (rₖ − meanₖ)/(stdₖ + 1e-4).
            Each part then counts by its weight, whatever its scale or spread. This is TRL's ``normalize_then_sum``
            (GDPO, arXiv:2601.05242) without its last step, which standardizes over all groups of a batch.
            A reward that is not a sum is a single part.

    Example:
        >>> Standardized(rater["audio_quality"])(clips[:2])
        tensor([-0.7071,  0.7071])
    """

    def __init__(self, reward: RewardLike, per_term: bool = False) -> None:
        self.reward, self.per_term = as_reward(reward), per_term

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the standardized rewards of the candidates that have one."""
        rewards = self.reward.evaluate(candidates, batch_size)
        rows, reasons = _comparable(rewards.reasons)
        prompts = [clip.prompt for clip in candidates]
        summands = self.reward.parts if self.per_term and isinstance(self.reward, WeightedSum) else [(1.0, self.reward)]
        parts = [(weight, part, part.combine(rewards.scores, prompts).values[rows]) for weight, part in summands]
        found = torch.stack([weight * standardized(column) for weight, _, column in parts]).sum(dim=0)
        filled = _filled(found, rows, reasons, rewards)
        if rewards.sigma is not None and len(rows):
            # One sum of the parts in units of their spreads, so that errors of shared terms don't count as independent.
            scaled = weighted_sum([(weight / float(_spread(column.detach())), part) for weight, part, column in parts])
            filled.sigma = scaled.combine(rewards.scores, prompts).sigma
        return filled

    def __repr__(self) -> str:
        return f"Standardized({self.reward!r}{', per_term=True' if self.per_term else ''})"


class Diversity(GroupReward):
    """How different a candidate is from the others: its mean distance to them, over the scores that a reward reads.

    Each score is standardized within the group (as in `Standardized`) and counts equally; the distance of two
    candidates is the root of the mean squared difference. It shows which candidate differs within its group; values of
    different groups are not comparable. A bad candidate differs too, so add this to a reward with a small weight only.

    Args:
        reward: a reward whose terms are the scores; its weights are not used.
    """

    def __init__(self, reward: RewardLike) -> None:
        self.reward = as_reward(reward)

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the mean distances of the candidates that have all scores."""
        rewards = self.reward.evaluate(candidates, batch_size)
        rows, reasons = _comparable(rewards.reasons)
        distances = distances_between([column[rows] for column in rewards.terms.values()])
        return _filled(distances.sum(dim=1) / max(1, len(rows) - 1), rows, reasons, rewards)

    def __repr__(self) -> str:
        return f"Diversity({self.reward!r})"


class Tournament(GroupReward):
    """Mean probability that a candidate wins against the others, from 0 to 1; a tie counts as half a win.

    The values of n candidates sum to n/2. A preference doesn't depend on the order of two clips, so each pair is
    compared once.

    Args:
        preference: compares two clips.

    Example:
        >>> from avreward.preferences import FromLmm
        >>> Tournament(FromLmm(load_rater("checkpoints/a")))(clips[:2]).shape
        torch.Size([2])
    """

    def __init__(self, preference: Preference) -> None:
        self.preference = preference

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the mean over the other candidates that can be compared."""
        pairs = list(itertools.combinations(range(len(candidates)), 2))
        found, unfit = self.preference.among(candidates, pairs, batch_size)
        rows, reasons = _comparable([unfit.get(i) for i in range(len(candidates))])
        scores = found.score[found.present]
        played = torch.tensor(pairs, device=scores.device)[found.present]
        total = scores.new_zeros(len(candidates)).index_add(0, played[:, 0], scores)
        total = total.index_add(0, played[:, 1], 1 - scores)
        rows = rows.to(total.device)
        empty = Rewards(total, rows, [], {}, [() for _ in candidates], {})
        return _filled(total[rows] / max(1, len(rows) - 1), rows, reasons, empty)

    def __repr__(self) -> str:
        return f"Tournament({self.preference!r})"


def standardized(values: Tensor) -> Tensor:
    """Return (r − mean)/(std + 1e-4) over (candidates,), with the sample standard deviation; 0 if all are equal.

    The gradient is finite in that case too: that of (r − mean)/1e-4.

    Example:
        >>> standardized(torch.tensor([1.0, 2.0, 3.0]))
        tensor([-0.9999,  0.0000,  0.9999])
    """
    return values - values.mean() if len(values) < 2 else (values - values.mean()) / _spread(values)


def _spread(values: Tensor) -> Tensor:
    variance = values.var().clamp(min=torch.finfo(values.dtype).tiny)  # the root of 0 has no finite gradient
    return variance.sqrt() + EPSILON


def distances_between(columns: Sequence[Tensor]) -> Tensor:
    """Return the distances (candidates, candidates) of candidates by their scores.

    The scores are standardized and count equally: a distance is the root of the mean squared difference.

    Args:
        columns: the candidates' values (candidates,) of each score.
    """
    points = torch.stack([standardized(column) for column in columns], dim=1)  # (candidates, scores)
    apart = points[:, None] - points[None]
    # At distance 0 (a candidate to itself or its copy) vector_norm has gradient 0, a plain root an infinite one.
    return torch.linalg.vector_norm(apart, dim=-1) / math.sqrt(points.shape[1])


def _candidates(group: Group | Sequence[Clip]) -> Sequence[Clip]:
    if isinstance(group, Clip):
        raise ArgumentError("group", "a Group, or a list of clips", Described("a single Clip"))
    return group.candidates if isinstance(group, Group) else group


def _comparable(reasons: Sequence[str | None]) -> tuple[Tensor, list[str | None]]:
    """Return which candidates can be compared, and why the others can't; a single one can't."""
    rows = [i for i, why in enumerate(reasons) if why is None]
    if len(rows) == 1:
        reasons = [ALONE if i == rows[0] else why for i, why in enumerate(reasons)]
        rows = []
    return torch.tensor(rows, dtype=torch.long), list(reasons)


def _filled(found: Tensor, rows: Tensor, reasons: list[str | None], of: Rewards) -> Rewards:
    """Return a copy of `of` with the values `found` in `rows` and NaN elsewhere."""
    rows = rows.to(found.device)
    values = found.new_full((len(reasons),), float("nan")).index_put((rows,), found)
    present = torch.zeros(len(reasons), dtype=torch.bool, device=found.device).index_fill(0, rows, True)
    return Rewards(values, present, reasons, of.terms, of.basis, of.scores)
