"""Rewards that depend on the other candidates: what one prompt's candidates are worth among each other."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.group import Group
from avreward.preferences.preference import Preference
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.algebra import WeightedSum, weighted_sum
from avreward.rewards.results import MissingScore, Rewards

EPSILON = 1e-4  # beside the spread, as in TRL: candidates that hardly differ get no large values
ALONE = "it is the only candidate that could be judged, so there is nothing to compare it with"


class GroupReward(ABC):
    """One number for each candidate of a group, which depends on the other candidates.

    The same clip is worth something else among others, so this is no `Reward`: it has no fingerprint, and nothing
    stores or caches it. The order of the candidates makes no difference.

    >>> advantage = Standardized(0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"])
    >>> advantage(clips).shape
    torch.Size([3])
    """

    @abstractmethod
    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """`evaluate` for two candidates or more."""

    def __call__(self, group: Group | Sequence[Clip], batch_size: int | None = None) -> Tensor:
        """The values (candidates,), differentiable where their parts are.

        Raises `MissingScore`, which names the candidates and the reasons, if any can't be judged, and `AvrewardError`
        for fewer than two candidates.
        """
        found = self.evaluate(group, batch_size)
        reasons = {i: why for i, why in enumerate(found.reasons) if why is not None}
        if reasons:
            names = [clip.name for clip in _candidates(group)]
            raise MissingScore.of(names, reasons, "evaluate(group) compares the others among each other")
        return found.values

    def evaluate(self, group: Group | Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """The values and what they were made of; a candidate that can't be judged is missing, with the reason.

        The others are compared among each other. Raises `AvrewardError` for fewer than two candidates.
        """
        candidates = _candidates(group)
        if len(candidates) < 2:
            raise AvrewardError(f"group: it has {len(candidates)} of the at least two candidates that can be compared")
        return self.compare(candidates, batch_size)


class Standardized(GroupReward):
    """How far a candidate's reward lies above its group's mean, in spreads: (r − mean)/(std + 1e-4).

    As TRL 1.16's GRPO has it: `std` is that of a sample (divided by n − 1). DeepSeekMath (arXiv:2402.03300, section
    4.1.2) writes std without saying which. Candidates of equal rewards all get 0. `sigma` is the reward's own in the
    same unit, with the group's mean and spread taken as certain.

    Args:
        reward: of one clip.
        per_term: standardize each part of a weighted sum first, then weigh and add: Σ wₖ (rₖ − meanₖ)/(stdₖ + 1e-4). A
            part then counts as its weight says, whatever its scale or spread. This is TRL's ``normalize_then_sum``
            (GDPO, arXiv:2601.05242) before the last step there, which standardizes over all groups of a batch.
            A reward that is no sum is one part.

    >>> Standardized(rater["audio_quality"])(clips[:2])
    tensor([-0.7071,  0.7071])
    """

    def __init__(self, reward: RewardLike, per_term: bool = False) -> None:
        self.reward, self.per_term = as_reward(reward), per_term

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """The rewards of those that have one, standardized."""
        rewards = self.reward.evaluate(candidates, batch_size)
        rows, reasons = _comparable(rewards.reasons)
        prompts = [clip.prompt for clip in candidates]
        whole = self.reward.parts if self.per_term and isinstance(self.reward, WeightedSum) else [(1.0, self.reward)]
        parts = [(weight, part, part.combine(rewards.scores, prompts).values[rows]) for weight, part in whole]
        found = torch.stack([weight * standardized(column) for weight, _, column in parts]).sum(dim=0)
        filled = _filled(found, rows, reasons, rewards)
        if rewards.sigma is not None and len(rows):
            # As one sum of the parts in units of their spreads, so that what they share isn't taken as independent.
            scaled = weighted_sum([(weight / float(_spread(column.detach())), part) for weight, part, column in parts])
            filled.sigma = scaled.combine(rewards.scores, prompts).sigma
        return filled

    def __repr__(self) -> str:
        return f"Standardized({self.reward!r}{', per_term=True' if self.per_term else ''})"


class Diversity(GroupReward):
    """How unlike the others a candidate is: its mean distance to each, over the scores that a reward reads.

    Each score is standardized within the group (as in `Standardized`) and counts equally; the distance of two is the
    root of the mean squared difference. It says who stands out, in spreads of this group, not how varied the group is
    among groups; and a bad candidate stands out too, so add it to a reward with a small weight.

    Args:
        reward: its terms are the scores; weights play no part.
    """

    def __init__(self, reward: RewardLike) -> None:
        self.reward = as_reward(reward)

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """The mean distances of those that have all scores."""
        rewards = self.reward.evaluate(candidates, batch_size)
        rows, reasons = _comparable(rewards.reasons)
        distances = distances_between([column[rows] for column in rewards.terms.values()])
        return _filled(distances.sum(dim=1) / max(1, len(rows) - 1), rows, reasons, rewards)

    def __repr__(self) -> str:
        return f"Diversity({self.reward!r})"


class Tournament(GroupReward):
    """Each candidate against each other: the mean probability of winning, a tie being half a win. Between 0 and 1.

    The values of n candidates add up to n/2. A preference doesn't depend on the order of the two, so a pair is asked
    once here.

    Args:
        preference: who is asked.

    >>> from avreward.preferences import FromLmm
    >>> Tournament(FromLmm(load_rater("checkpoints/a")))(clips[:2]).shape
    torch.Size([2])
    """

    def __init__(self, preference: Preference) -> None:
        self.preference = preference

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """The mean over the others that can be compared."""
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
    """(r − mean)/(std + 1e-4) over (candidates,), std being that of a sample; zeros where all are equal.

    The gradient is finite there too: that of (r − mean)/1e-4.

    >>> standardized(torch.tensor([1.0, 2.0, 3.0]))
    tensor([-0.9999,  0.0000,  0.9999])
    """
    return values - values.mean() if len(values) < 2 else (values - values.mean()) / _spread(values)


def _spread(values: Tensor) -> Tensor:
    variance = values.var().clamp(min=torch.finfo(values.dtype).tiny)  # the root of 0 has no finite gradient
    return variance.sqrt() + EPSILON


def distances_between(columns: Sequence[Tensor]) -> Tensor:
    """How far candidates are apart (candidates, candidates), by scores (candidates,) each.

    The scores are standardized and count equally: a distance is the root of the mean squared difference.
    """
    points = torch.stack([standardized(column) for column in columns], dim=1)  # (candidates, scores)
    apart = points[:, None] - points[None]
    # vector_norm has the gradient 0 at 0, where a plain root has none: a candidate to itself, or to its double
    return torch.linalg.vector_norm(apart, dim=-1) / math.sqrt(points.shape[1])


def _candidates(group: Group | Sequence[Clip]) -> Sequence[Clip]:
    if isinstance(group, Clip):
        raise AvrewardError("group: a single Clip; pass a Group, or a list of clips")
    return group.candidates if isinstance(group, Group) else group


def _comparable(reasons: Sequence[str | None]) -> tuple[Tensor, list[str | None]]:
    """Which candidates can be compared, and why the others can't; one alone can't be."""
    rows = [i for i, why in enumerate(reasons) if why is None]
    if len(rows) == 1:
        reasons = [ALONE if i == rows[0] else why for i, why in enumerate(reasons)]
        rows = []
    return torch.tensor(rows, dtype=torch.long), list(reasons)


def _filled(found: Tensor, rows: Tensor, reasons: list[str | None], of: Rewards) -> Rewards:
    """`found` (rows,) in its places, NaN elsewhere; all else as in `of`."""
    rows = rows.to(found.device)
    values = found.new_full((len(reasons),), float("nan")).index_put((rows,), found)
    present = torch.zeros(len(reasons), dtype=torch.bool, device=found.device).index_fill(0, rows, True)
    return Rewards(values, present, reasons, of.terms, of.basis, of.scores)
