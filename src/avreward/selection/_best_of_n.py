"""Best-of-N: rank candidates by a reward."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.generators.base import Cost
from avreward.group import Group
from avreward.raters.scores import Scores
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.results import MissingScore, Rewards
from avreward.selection._candidate import Candidate, file_of, judged_of
from avreward.selection._selection import Selection

ClipLike = Clip | str | PathLike[str]


def best_of_n(candidates: Sequence[ClipLike] | Group, reward: RewardLike, *, mixed: bool = False) -> Selection:
    """Rank `candidates` by `reward`; computations on shared tracks are done once.

    Args:
        candidates: at least one clip or path, or a group of clips. A file that cannot be opened is missing.
        reward: a reward, or an expression over `signals`; larger is better.
        mixed: whether to rank rewards together whose fused scores combine different dimensions; see `select`.

    Returns:
        The ranked candidates; its `best` is the best clip.

    Raises:
        ArgumentError: if there are no candidates, or `reward` is not a reward.
        MissingScore: with all reasons, if no candidate has a reward.

    Example:
        >>> picked = best_of_n(["dub1.mp4", "dub2.mp4", "dub3.mp4"], "audio_quality")
        >>> picked.best.name, picked.order
        ('dub3.mp4', (2, 1, 0))
    """
    reward = as_reward(reward)
    given = _given(candidates)
    began = time.perf_counter()
    clips, failed = _opened(given)
    if not clips:
        raise MissingScore.of([_name(one) for one in given], failed, "pass at least one candidate that can be opened")
    found = reward.evaluate(list(clips.values()))
    rewards = _with_gaps(found, failed, len(given)) if failed else found
    cost = Cost(rewards=len(clips), seconds=time.perf_counter() - began)
    return _selection(given, clips, rewards, mixed, cost, described(reward))


def select(candidates: Sequence[ClipLike] | Group, rewards: Rewards, *, mixed: bool = False) -> Selection:
    """Rank `candidates` by rewards that are already known.

    A fused score, such as ``overall``, combines the dimensions that a clip has, so that of a silent clip and that of a
    clip with audio do not measure the same. Without `mixed`, only the candidates with the most common combination are
    ranked (of two equally common ones the larger, then the earlier), and the others are missing, with the reason.

    Args:
        candidates: at least one clip or path, or a group of clips.
        rewards: of the candidates, in the same order.
        mixed: whether to rank rewards together whose fused scores combine different dimensions.

    Raises:
        ArgumentError: if there are no candidates, or not one reward for each.
        MissingScore: with all reasons, if no candidate has a reward.
    """
    given = _given(candidates)
    if len(given) != len(rewards):
        raise ArgumentError("rewards", f"one for each of {len(given)} candidates", Described(str(len(rewards))))
    clips = {i: one for i, one in enumerate(given) if isinstance(one, Clip)}  # files are opened on access
    return _selection(given, clips, rewards, mixed, Cost(), {})


def described(reward: Reward) -> dict[str, Any]:
    """Return the metadata that a table stores about its reward."""
    raters = {rater.name: rater.fingerprint for rater in reward.raters}
    return {"reward": repr(reward), "fingerprint": reward.fingerprint, "raters": raters}


def ranking(
    rewards: Rewards, names: Sequence[str], mixed: bool = False, among: Collection[int] | None = None
) -> tuple[tuple[int, ...], dict[int, str]]:
    """Return the order of the candidates with comparable rewards, and why the others are missing.

    Args:
        rewards: of all candidates.
        names: of all candidates, for the error.
        mixed: as for `select`.
        among: indices of the candidates that may be chosen (*optional*).

    Raises:
        MissingScore: if none of them has a reward.
    """
    some = range(len(rewards)) if among is None else sorted(among)
    missing = {i: why for i in some if (why := rewards.reasons[i]) is not None}
    present = [i for i in some if i not in missing]
    if not present:
        raise MissingScore.of(names, missing, "pass candidates that have what the reward needs, or another reward")
    if not mixed:
        counts = Counter(frozenset(rewards.basis[i]) for i in present)  # in order of first appearance
        common = max(counts, key=lambda basis: (counts[basis], len(basis)))
        odd = [i for i in present if frozenset(rewards.basis[i]) != common]
        missing |= {i: _unlike(rewards.basis[i], common, _why(rewards, i, common)) for i in odd}
        present = [i for i in present if i not in missing]
    values = rewards.values.detach().tolist()
    order = sorted(present, key=lambda i: -values[i])  # a stable sort: of equal rewards the earlier comes first
    return tuple(order), dict(sorted(missing.items()))


def ranked_clips(
    clips: Sequence[Clip], rewards: Rewards, order: Sequence[int], missing: dict[int, str], cost: Cost | None = None
) -> Selection:
    """Return the selection of clips in a known order."""
    return _selected(list(clips), dict(enumerate(clips)), rewards, tuple(order), missing, cost or Cost(), {})


def _selection(
    given: Sequence[ClipLike], clips: dict[int, Clip], rewards: Rewards, mixed: bool, cost: Cost, about: dict[str, Any]
) -> Selection:
    order, missing = ranking(rewards, [_name(one) for one in given], mixed)
    return _selected(given, clips, rewards, order, missing, cost, about)


def _selected(
    given: Sequence[ClipLike],
    clips: dict[int, Clip],
    rewards: Rewards,
    order: tuple[int, ...],
    missing: dict[int, str],
    cost: Cost,
    about: dict[str, Any],
) -> Selection:
    candidates = [
        Candidate(
            i,
            judged=judged_of(rewards, i),
            reason=missing.get(i),
            rated=cost.seconds / cost.rewards if i in clips and cost.rewards else 0.0,
            file=file_of(one) if isinstance(one, Clip) else Path(one),
        )
        for i, one in enumerate(given)
    ]
    metadata = {"group_by": "condition", "condition": "candidates", **about}
    return Selection(candidates, order, rewards, missing, clips, cost, metadata)


def _given(candidates: Sequence[ClipLike] | Group) -> Sequence[ClipLike]:
    if isinstance(candidates, Clip | str | PathLike):
        got = Described(f"a single {type(candidates).__name__}")
        raise ArgumentError("candidates", "a list of clips or paths, or a Group", got)
    given = candidates.candidates if isinstance(candidates, Group) else candidates
    if not isinstance(given, Sequence):
        raise ArgumentError("candidates", "a list of clips or paths, or a Group", given)
    if not len(given):
        raise ArgumentError("candidates", "at least one", Described("none"))
    for one in given:
        if not isinstance(one, Clip | str | PathLike):
            raise ArgumentError("candidates", "clips or paths", Described(f"a {type(one).__name__}"))
    return given


def _opened(given: Sequence[ClipLike]) -> tuple[dict[int, Clip], dict[int, str]]:
    """Return index → clip, and index → reason for files that cannot be opened."""
    clips: dict[int, Clip] = {}
    failed: dict[int, str] = {}
    for i, one in enumerate(given):
        try:
            clips[i] = one if isinstance(one, Clip) else Clip.open(one)
        except AvrewardError as error:
            failed[i] = str(error)
    return clips, failed


def _name(one: ClipLike) -> str:
    return one.name if isinstance(one, Clip) else str(one)


def _with_gaps(found: Rewards, failed: dict[int, str], count: int) -> Rewards:
    """Return `found` with a missing row for each candidate that failed, in the candidates' order."""
    rows = iter(found.split())
    return Rewards.concatenate([_gap(found, failed[i]) if i in failed else next(rows) for i in range(count)])


def _gap(like: Rewards, why: str) -> Rewards:
    """Return one missing row."""

    def nothing(value: torch.Tensor) -> torch.Tensor:
        return value.new_full((1, *value.shape[1:]), float("nan"))

    scores = {
        rater: Scores(
            nothing(own.values),
            own.present.new_zeros((1, len(own.names))),
            [dict.fromkeys(own.names, why)],
            own.dimensions,
        )
        for rater, own in like.scores.items()
    }
    terms = {name: nothing(values) for name, values in like.terms.items()}
    return Rewards(nothing(like.values), like.present.new_zeros(1), [why], terms, [()], scores)


def _why(rewards: Rewards, candidate: int, common: frozenset[str]) -> str:
    """Return why a candidate lacks dimensions that the others' rewards combine."""
    lacking = common - frozenset(rewards.basis[candidate])
    reasons = [
        reason
        for scores in rewards.scores.values()
        for name, reason in scores.reasons[candidate].items()
        if name.rpartition(".")[2] in {full.rpartition(".")[2] for full in lacking}
    ]
    return "; ".join(dict.fromkeys(reasons))


def _unlike(basis: Sequence[str], common: frozenset[str], why: str) -> str:
    own, others = (" and ".join(sorted(names)) or "no fused score" for names in (basis, common))
    cause = f"{why}: " if why else ""
    return f"{cause}its reward combines {own}, the ranked ones {others}; pass mixed=True to rank both together"
