"""From the scores of judged clips to their rewards: what is there, what is missing and why, how uncertain it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.raters.scores import Scores
from avreward.rewards._uncertainty import sigma_of
from avreward.rewards.results import Rewards

if TYPE_CHECKING:
    from avreward.rewards.base import Reward, Term

Prompts = Sequence[str | None]


def combined(reward: Reward, scores: Mapping[str, Scores], prompts: Prompts | None) -> Rewards:
    """What `Reward.combine` returns; the arguments are those of it."""
    terms = reward.terms
    names = list(dict.fromkeys(term.rater.name for term in terms))
    absent = [name for name in names if name not in scores]
    if absent:
        raise KeyError(f"{reward}: no scores of {', '.join(absent)}; there are those of {', '.join(scores) or 'none'}")
    used = {name: scores[name] for name in names}
    columns = _columns(terms, used)
    weights = _weights(reward, used, columns, prompts)
    complete = torch.stack([
        *(_usable(term, used[term.rater.name]).to(columns[term.name].device) for term in terms),
        *(weight.isfinite() for weight in weights.values()),
    ]).all(0)  # fmt: skip
    # Only rows with every score enter the graph: a NaN in it would reach the gradients even at weight zero.
    rows = {name: column[complete] for name, column in (columns | weights).items()}
    computed = reward.compute(rows)
    finite = computed.isfinite()
    present = complete.index_put((complete,), finite)
    sigma = sigma_of(reward.compute, rows, {name: own[complete] for name, own in _sigmas(terms, used).items()})
    return Rewards(
        _spread(computed, finite, present),
        present,
        [None if there else _reason(reward, used, prompts, i) for i, there in enumerate(present.tolist())],
        columns,
        _bases(terms, used, len(present)),
        used,
        None if sigma is None else _spread(sigma.to(computed), finite, present),
    )


def _spread(computed: Tensor, finite: Tensor, present: Tensor) -> Tensor:
    """(clips,), NaN where missing, from the rows that were computed."""
    return computed.new_full((len(present),), float("nan")).index_put((present,), computed[finite])


def _columns(terms: Sequence[Term], scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Name of each term → its scores (clips,), all on the device of the first."""
    columns = {term.name: scores[term.rater.name][term.dimension] for term in terms}
    devices = [column.device for column in columns.values()]
    return {name: column.to(devices[0]) for name, column in columns.items()}


def _weights(
    reward: Reward, scores: Mapping[str, Scores], columns: Mapping[str, Tensor], prompts: Prompts | None
) -> dict[str, Tensor]:
    """Expression of each weight per prompt → its numbers (clips,), NaN where there is none."""
    if not reward.prompt_weights:
        return {}
    if prompts is None:
        raise TypeError(f"{reward}: its weights depend on the prompts; pass them too: combine(scores, prompts)")
    count = len(next(iter(scores.values()))) if scores else len(prompts)
    if len(prompts) != count:
        raise ValueError(f"prompts: {len(prompts)} for {count} clips; pass one each, None where there is none")
    like = next(iter(columns.values())) if columns else torch.zeros(())
    return {repr(w): like.new_tensor([w.weigh(prompt)[0] for prompt in prompts]) for w in reward.prompt_weights}


def _sigmas(terms: Sequence[Term], scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Name of each term whose rater knows how uncertain it is → its standard deviations (clips,)."""
    found: dict[str, Tensor] = {}
    for term in terms:
        own = scores[term.rater.name]
        if own.sigma is not None:
            found[term.name] = own.sigma[:, own.column(term.dimension)]
    return found


def _usable(term: Term, scores: Scores) -> Tensor:
    """Bool (clips,): the score is there and is a finite number; a rater's NaN must not pass for a reward."""
    column = scores.column(term.dimension)
    return scores.present[:, column] & scores.values[:, column].isfinite()


def _reason(reward: Reward, scores: Mapping[str, Scores], prompts: Prompts | None, clip: int) -> str:
    """Why one clip has no reward: what is missing, the terms of one reason together."""
    why: dict[str, list[str]] = {}
    for term in reward.terms:
        own = scores[term.rater.name]
        if not own.present[clip, own.column(term.dimension)]:
            reason = own.reasons[clip].get(term.dimension, "the rater gave no reason")
            why.setdefault(reason, []).append(term.name)
        elif not _usable(term, own)[clip]:
            value = float(own[term.dimension][clip].detach())
            why.setdefault(f"the score is {value}, not a finite number", []).append(term.name)
    for weights in reward.prompt_weights:
        if problem := weights.weigh(prompts[clip] if prompts else None)[1]:
            why.setdefault(problem, []).append(repr(weights))
    told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items())
    return told or f"{reward}: the value is too large to be a finite number"


def _bases(terms: Sequence[Term], scores: Mapping[str, Scores], clips: int) -> list[tuple[str, ...]]:
    """For each clip, the dimensions that its fused terms were made of; the raters' names too where several are read."""
    several = len(scores) > 1
    found: list[dict[str, None]] = [{} for _ in range(clips)]  # a dict keeps the order
    for term in terms:
        for parts, basis in zip(found, scores[term.rater.name].basis, strict=True):
            for part in basis.get(term.dimension, ()):
                parts[f"{term.rater.name}.{part}" if several else part] = None
    return [tuple(parts) for parts in found]
