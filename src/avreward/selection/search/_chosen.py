"""The end of a search: the rewards of its candidates and their ranking."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from avreward.raters.scores import Dimension, Scores
from avreward.rewards.base import Reward
from avreward.rewards.results import MissingScore, Rewards
from avreward.selection._best_of_n import ranking
from avreward.selection._candidate import Candidate, Judged

FAILED = "the generator failed: "


def chosen(candidates: Sequence[Candidate], rewards: Rewards) -> tuple[tuple[int, ...], dict[int, str]]:
    """Return the order of the final candidates, and index → reason for those that are missing.

    Raises:
        MissingScore: if no candidate has a reward, or none could be generated.
    """
    final = [c for c in candidates if c.final] or list(candidates)  # if all drafts failed
    if all(c.judged is None for c in final):  # none was rated
        count = "its only candidate" if len(final) == 1 else f"all {len(final)} candidates"
        what = f"{str(final[0].reason).removeprefix(FAILED)} ({final[0].name})"
        raise MissingScore(f"{FAILED.removesuffix(': ')} on {count}: {what}; fix the generator or change its arguments")
    return ranking(rewards, [c.name for c in candidates], among=[c.index for c in final])


def rewards_of(candidates: Sequence[Candidate], reward: Reward) -> Rewards:
    """Return the rewards of all candidates from their stored numbers, as float64 on the CPU."""
    judged = [c.judged or Judged(None, c.reason) for c in candidates]
    nan = float("nan")
    values = torch.tensor([nan if one.reward is None else one.reward for one in judged], dtype=torch.float64)
    reasons = [
        (one.reason or c.reason or "no reward") if one.reward is None else None
        for one, c in zip(judged, candidates, strict=True)
    ]
    sigma = torch.tensor([nan if one.sigma is None else one.sigma for one in judged], dtype=torch.float64)
    scores = {rater.name: _scores(judged, reasons, rater.name, rater.dimensions) for rater in reward.raters}
    terms = {term.name: scores[term.rater.name][term.dimension] for term in reward.terms}
    known = None if sigma.isnan().all() else sigma
    return Rewards(values, ~values.isnan(), reasons, terms, [one.basis for one in judged], scores, known)


def _scores(
    judged: Sequence[Judged], why: Sequence[str | None], rater: str, dimensions: tuple[Dimension, ...]
) -> Scores:
    """Return the scores of one rater."""
    rows: list[tuple[dict[str, torch.Tensor], dict[str, str], dict[str, tuple[str, ...]]]] = []
    for one, otherwise in zip(judged, why, strict=True):
        names = {dimension.name: f"{rater}.{dimension.name}" for dimension in dimensions}
        values = {
            name: torch.tensor(one.row[column], dtype=torch.float64)
            for name, column in names.items()
            if column in one.row
        }
        reasons = {
            name: one.reasons.get(column, otherwise or "no score")
            for name, column in names.items()
            if name not in values
        }
        rows.append((values, reasons, {}))
    return Scores.collect(rows, dimensions)
