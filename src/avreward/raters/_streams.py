"""Enforce `Dimension.streams`, the tracks that a score's gradient may move, in the graph of every rater.

Where gradients are on and a score could reach a track that it may not move, the rater rates the clips once for each set
of such tracks, with those detached from their graph, and each score is taken from its own pass. Any other call is one
pass, as if there were no streams.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.raters.scores import Scores
from avreward.raters.shared import Work

if TYPE_CHECKING:
    from avreward.raters.base import Rater, Sample

Rate = Callable[..., Scores]

# The outermost rater's dimensions say what its gradients may move; raters inside it only rate.
_inside: ContextVar[bool] = ContextVar("inside", default=False)
_wanted: ContextVar[Mapping[str, Collection[str]] | None] = ContextVar("wanted", default=None)


@contextmanager
def gradients_of(dimensions: Mapping[str, Collection[str]]) -> Iterator[None]:
    """Compute gradients only for these dimensions inside this block: name of a rater → its dimensions."""
    token = _wanted.set(dimensions)
    try:
        yield
    finally:
        _wanted.reset(token)


def enforce_streams(cls: type[Rater], base: type) -> None:
    """Make the `rate` of a new subclass of `base` keep to `Dimension.streams`, unless it inherits one that does."""
    owner = next(one for one in cls.__mro__ if "rate" in vars(one))
    if owner is cls:
        cls.rate = within_streams(cls.rate)  # type: ignore[method-assign]
    elif not issubclass(owner, base):  # a mixin's: called by `super`, so that classes keep their order

        @wraps(cls.rate)
        def inherited(self: Rater, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            return super(cls, self).rate(samples, work)  # type: ignore[misc]

        cls.rate = within_streams(inherited)  # type: ignore[method-assign]


def within_streams(rate: Rate) -> Rate:
    """Return a rater's `rate` whose scores have gradients for their `Dimension.streams` alone."""
    if getattr(rate, "within_streams", False):
        return rate

    @wraps(rate)
    def enforced(self: Rater, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        own = partial(_scores_of, self, rate)
        if _inside.get() or not torch.is_grad_enabled():
            return own(samples, work)
        token = _inside.set(True)
        try:
            return _in_passes(self, own, samples, work)
        finally:
            _inside.reset(token)

    enforced.within_streams = True  # type: ignore[attr-defined]
    return enforced


def _scores_of(rater: Rater, rate: Rate, samples: Sequence[Sample], work: Work | None) -> Scores:
    scores = rate(rater, samples, work)
    if not isinstance(scores, Scores):
        name = f"{type(rater).__name__}.rate"
        raise ArgumentError(name, "a result of type Scores", scores, "return Scores.collect(rows, self.dimensions)")
    return scores


def _in_passes(rater: Rater, rate: Rate, samples: Sequence[Sample], work: Work | None) -> Scores:
    moving = frozenset[str]().union(*(sample.clip.requires_grad for sample in samples))
    blocked = _blocked(rater, moving)
    passes = sorted(set(blocked.values()), key=lambda tracks: (len(tracks), sorted(tracks)))
    if not any(passes):
        return rate(samples, work)
    work = work or Work()
    parts = {tracks: rate(_cut(rater, samples, tracks, work), work) for tracks in passes}
    first = parts[passes[0]]
    names = first.names

    def columns(of: Callable[[Scores], Tensor]) -> Tensor:
        return torch.stack(
            [of(parts[blocked[n]])[:, i] if n in blocked else of(first)[:, i].detach() for i, n in enumerate(names)], 1
        )

    sigma = None if first.sigma is None else columns(lambda scores: scores.sigma)  # type: ignore[arg-type,return-value]
    return replace(first, values=columns(lambda scores: scores.values), sigma=sigma)


def _blocked(rater: Rater, moving: frozenset[str]) -> dict[str, frozenset[str]]:
    """Dimension whose gradient is wanted → the tracks that it reads, that have a gradient, and that it may not move."""
    if not moving:
        return {}
    wanted = (_wanted.get() or {}).get(rater.name)
    return {
        d.name: (moving & rater.reads(d.name)) - frozenset(d.streams)
        for d in rater.dimensions
        if wanted is None or d.name in wanted
    }


def _cut(rater: Rater, samples: Sequence[Sample], tracks: frozenset[str], work: Work) -> list[Any]:
    """Return the samples, loaded again without the graph of `tracks` where they have one."""
    return [
        rater.load(sample.clip.detached(tracks), work) if tracks & sample.clip.requires_grad else sample
        for sample in samples
    ]
