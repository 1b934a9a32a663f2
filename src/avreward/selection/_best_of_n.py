"""Best of N: the candidates in the order of their rewards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from avreward.clip import Clip
from avreward.group import Group
from avreward.rewards.base import MissingScore, Reward, Rewards

Candidate = TypeVar("Candidate")


@dataclass(frozen=True)
class Selection(Generic[Candidate]):
    """Candidates, ranked.

    Attributes:
        candidates: as they were given.
        order: indices of the ranked candidates, best first; of equal rewards the earlier one.
        rewards: of all candidates, also of those that are not ranked.
        missing: index of each candidate that is not ranked → why.
    """

    candidates: Sequence[Candidate]
    order: tuple[int, ...]
    rewards: Rewards
    missing: dict[int, str]

    @property
    def best_index(self) -> int:
        """The index of the best candidate."""
        return self.order[0]

    @property
    def best(self) -> Candidate:
        """The best candidate itself."""
        return self.candidates[self.best_index]


def best_of_n(candidates: Sequence[Clip] | Group, reward: Reward, *, mixed: bool = False) -> Selection[Clip]:
    """Ranks `candidates` by `reward`; what they share is computed once.

    Args:
        candidates: at least one clip, or a group of them.
        reward: the larger, the better.
        mixed: whether rewards whose fused scores were made of different dimensions are ranked together; see `select`.

    Raises `ValueError` for no candidates, and `MissingScore` with all reasons where no candidate has a reward.

    >>> picked = best_of_n([Clip.open(p) for p in paths], load_rater("signals")["audio_quality"])
    >>> picked.best.name, picked.order
    ('dub2.mp4', (1, 2, 0))
    """
    clips = candidates.candidates if isinstance(candidates, Group) else candidates
    _check(clips)
    if not isinstance(reward, Reward):
        raise TypeError(f"reward: a {type(reward).__name__}; pass a reward, such as rater['overall']")
    return select(clips, reward.evaluate(clips), mixed=mixed)


def select(candidates: Sequence[Candidate], rewards: Rewards, *, mixed: bool = False) -> Selection[Candidate]:
    """Ranks `candidates` (clips, paths, anything) by rewards that are known already, one each.

    A fused score, such as ``overall``, is made of the dimensions that a clip has: that of a silent clip and that of a
    clip with sound do not measure the same. Without `mixed`, only the candidates with the most common such basis are
    ranked (of two equally common ones the larger, then the earlier), and the others are missing, with the reason.

    Raises as `best_of_n` does.
    """
    _check(candidates)
    if len(candidates) != len(rewards):
        raise ValueError(f"rewards: {len(rewards)} for {len(candidates)} candidates; pass one each")
    missing = {i: why for i, why in enumerate(rewards.reasons) if why is not None}
    present = [i for i in range(len(candidates)) if i not in missing]
    if not present:
        names = [str(getattr(candidate, "name", candidate)) for candidate in candidates]
        raise MissingScore.of(names, missing, "give candidates that have what the reward needs, or another reward")
    if not mixed:
        counts = Counter(frozenset(rewards.basis[i]) for i in present)  # in the order of first sight
        common = max(counts, key=lambda basis: (counts[basis], len(basis)))
        odd = [i for i in present if frozenset(rewards.basis[i]) != common]
        missing |= {i: _unlike(rewards.basis[i], common, _why(rewards, i, common)) for i in odd}
        present = [i for i in present if i not in missing]
    values = rewards.values.detach().tolist()
    order = sorted(present, key=lambda i: -values[i])  # a stable sort: the earlier one of equals stays first
    return Selection(candidates, tuple(order), rewards, dict(sorted(missing.items())))


def _check(candidates: Sequence[object]) -> None:
    if isinstance(candidates, Clip):
        raise TypeError("candidates: a single Clip; pass a list of clips")
    if not candidates:
        raise ValueError("candidates: none; pass at least one")


def _why(rewards: Rewards, candidate: int, common: frozenset[str]) -> str:
    """Why a candidate lacks dimensions that the others' rewards are made of."""
    lacking = common - frozenset(rewards.basis[candidate])
    reasons = [
        reason
        for scores in rewards.scores.values()
        for name, reason in scores.reasons[candidate].items()
        if name.rpartition(".")[2] in {full.rpartition(".")[2] for full in lacking}
    ]
    return "; ".join(dict.fromkeys(reasons))


def _unlike(basis: Sequence[str], common: frozenset[str], why: str) -> str:
    made, most = (" and ".join(sorted(names)) or "no fused score" for names in (basis, common))
    cause = f"{why}: " if why else ""
    return f"{cause}its reward is made of {made}, the ranked ones of {most}; pass mixed=True to rank both together"
