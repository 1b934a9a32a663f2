"""Compute rewards from the scores of rated clips: values, missing ones with reasons, and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.raters.scores import Scores
from avreward.rewards._uncertainty import sigma_of
from avreward.rewards.results import Rewards

if TYPE_CHECKING:
    from avreward.rewards.base import Reward, Term

Prompts = Sequence[str | None]


def combined(reward: Reward, scores: Mapping[str, Scores], prompts: Prompts | None) -> Rewards:
    """Return the result of `Reward.combine`, with the same arguments."""
    terms = reward.terms
    names = list(dict.fromkeys(term.rater.name for term in terms))
    absent = [name for name in names if name not in scores]
    if absent:
        got = f"those of {', '.join(scores)}" if scores else "none"
        raise ArgumentError("scores", f"scores by {', '.join(absent)}", Described(got), "pass those of reward.raters")
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
    """Return (clips,) from the computed rows, NaN where missing."""
    return computed.new_full((len(present),), float("nan")).index_put((present,), computed[finite])


def _columns(terms: Sequence[Term], scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Name of each term → its scores (clips,), all on the device of the first."""
    columns = {term.name: scores[term.rater.name][term.dimension] for term in terms}
    devices = [column.device for column in columns.values()]
    return {name: column.to(devices[0]) for name, column in columns.items()}


def _weights(
    reward: Reward, scores: Mapping[str, Scores], columns: Mapping[str, Tensor], prompts: Prompts | None
) -> dict[str, Tensor]:
    """Expression of each prompt-dependent weight → its numbers (clips,), NaN where the prompt has none."""
    if not reward.prompt_weights:
        return {}
    if prompts is None:
        remedy = "the reward's weights depend on them: combine(scores, prompts)"
        raise ArgumentError("prompts", "the clips' prompts", None, remedy)
    count = len(next(iter(scores.values()))) if scores else len(prompts)
    if len(prompts) != count:
        got = Described(f"{len(prompts)} for {count} clips")
        raise ArgumentError("prompts", "one prompt per clip", got, "pass None for a clip without a prompt")
    like = next(iter(columns.values())) if columns else torch.zeros(())
    return {repr(w): like.new_tensor([w.weigh(prompt)[0] for prompt in prompts]) for w in reward.prompt_weights}


def _sigmas(terms: Sequence[Term], scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Name of each term whose rater reports its uncertainty → its standard deviations (clips,)."""
    found: dict[str, Tensor] = {}
    for term in terms:
        own = scores[term.rater.name]
        if own.sigma is not None:
            found[term.name] = own.sigma[:, own.column(term.dimension)]
    return found


def _usable(term: Term, scores: Scores) -> Tensor:
    """Bool (clips,): the score is present and finite; a rater's NaN must not become a reward."""
    column = scores.column(term.dimension)
    return scores.present[:, column] & scores.values[:, column].isfinite()


def _reason(reward: Reward, scores: Mapping[str, Scores], prompts: Prompts | None, clip: int) -> str:
    """Return why one clip has no reward; terms with the same reason are listed together."""
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
    text = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items())
    return text or f"{reward}: the value is too large to be a finite number"


def _bases(terms: Sequence[Term], scores: Mapping[str, Scores], clips: int) -> list[tuple[str, ...]]:
    """For each clip, the dimensions behind its fused terms, with the rater's name if there are several raters."""
    several = len(scores) > 1
    found: list[dict[str, None]] = [{} for _ in range(clips)]  # a dict keeps the order
    for term in terms:
        for parts, basis in zip(found, scores[term.rater.name].basis, strict=True):
            for part in basis.get(term.dimension, ()):
                parts[f"{term.rater.name}.{part}" if several else part] = None
    return [tuple(parts) for parts in found]
