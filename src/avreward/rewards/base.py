"""A reward: one number for each clip, made of raters' scores, as a function of the clip alone."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension, Scores

NAMED_AT_MOST = 5  # clips that an error lists before it counts the rest


class MissingScore(AvrewardError):
    """A number was asked for where there is none; the text names the clips and the reasons."""

    @classmethod
    def of(cls, names: Sequence[str], reasons: Mapping[int, str], remedy: str) -> MissingScore:
        """The error for the clips `reasons` (index → why missing) among those called `names`."""
        listed = [f"{names[i]} (clip {i}): {why}" for i, why in list(reasons.items())[:NAMED_AT_MOST]]
        if len(reasons) > NAMED_AT_MOST:
            listed.append(f"and {len(reasons) - NAMED_AT_MOST} more")
        return cls(f"{len(reasons)} of {len(names)} rewards are missing: {' | '.join(listed)}; {remedy}")


@dataclass
class Rewards:
    """The rewards of some clips, and where they came from.

    Attributes:
        values: (clips,). A missing one is NaN, a constant that no gradient passes: index with `present`.
        present: bool (clips,).
        reasons: for each clip, why its reward is missing, or `None`.
        terms: name of a score (``signals.clipping``) → that score (clips,) before it is weighted, NaN where missing.
        basis: for each clip, the dimensions that its fused scores (such as ``overall``) were made of; empty where none
            is fused. Rewards of another basis are not on the same scale.
        scores: name of a rater → all that it said about the clips.
        sigma: (clips,) standard deviation of each reward, where the reward knows one (*optional*).
    """

    values: Tensor
    present: Tensor
    reasons: list[str | None]
    terms: dict[str, Tensor]
    basis: list[tuple[str, ...]]
    scores: dict[str, Scores]
    sigma: Tensor | None = None

    def __len__(self) -> int:
        return len(self.reasons)

    @classmethod
    def concatenate(cls, parts: Sequence[Rewards]) -> Rewards:
        """One `Rewards` from several of the same reward, in order."""
        if not parts:
            raise ValueError("no rewards to concatenate; pass at least one")
        sigmas = [p.sigma for p in parts if p.sigma is not None]
        return cls(
            torch.cat([p.values for p in parts]),
            torch.cat([p.present for p in parts]),
            [reason for p in parts for reason in p.reasons],
            {name: torch.cat([p.terms[name] for p in parts]) for name in parts[0].terms},
            [basis for p in parts for basis in p.basis],
            {name: Scores.concatenate([p.scores[name] for p in parts]) for name in parts[0].scores},
            torch.cat(sigmas) if len(sigmas) == len(parts) else None,
        )


class Reward(ABC):
    """One number for each clip, made of raters' scores.

    Rewards add, subtract and scale with numbers; the result is a reward again. A reward looks at each clip alone: what
    depends on the other candidates is another type. Two rewards are equal where their fingerprints are.

    >>> rater = load_rater("signals")
    >>> reward = 0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"]
    >>> reward
    0.4*signals.audio_quality + 0.6*signals.av_consistency
    >>> loss = -reward([Clip(video=frames, fps=16, audio=wave, sample_rate=16000)]).mean()
    """

    __array_ufunc__ = None  # so that numpy's numbers leave `number * reward` to us

    @property
    @abstractmethod
    def terms(self) -> tuple[Term, ...]:
        """The scores that the reward reads, each once, in the order of the expression."""

    @abstractmethod
    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The values (clips,) from the terms' scores: name of a term → (clips,), all present."""

    @abstractmethod
    def __repr__(self) -> str:
        """The expression, which `parse_reward` reads back."""

    def __call__(self, clips: Sequence[Clip], batch_size: int | None = None) -> Tensor:
        """The rewards (clips,), differentiable where `differentiable` says so.

        Raises `MissingScore`, which names the clips and the reasons, if any reward is missing. `batch_size` is that of
        `Rater.__call__`: it changes memory, never a value.
        """
        rewards = self.evaluate(clips, batch_size)
        reasons = {i: why for i, why in enumerate(rewards.reasons) if why is not None}
        if reasons:
            names = [clip.name for clip in clips]
            raise MissingScore.of(names, reasons, "reward.evaluate(clips) gives the others")
        return rewards.values

    def evaluate(self, clips: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """The rewards of `clips` with all that they were made of; each rater sees each clip once.

        A clip that a rater can't judge is missing, with the reason. An exception means that a rater is broken, not
        that a clip is.
        """
        return self.combine({rater.name: rater(clips, batch_size) for rater in self.raters})

    def combine(self, scores: Mapping[str, Scores]) -> Rewards:
        """The rewards of clips that were judged already: name of each rater in `raters` → its scores of the clips."""
        absent = [rater.name for rater in self.raters if rater.name not in scores]
        if absent:
            raise KeyError(
                f"{self}: no scores of {', '.join(absent)}; there are those of {', '.join(scores) or 'none'}"
            )
        used = {rater.name: scores[rater.name] for rater in self.raters}
        columns = {term.name: used[term.rater.name][term.dimension] for term in self.terms}
        device = next(iter(columns.values())).device
        columns = {name: column.to(device) for name, column in columns.items()}
        present = torch.stack([_usable(term, used[term.rater.name]).to(device) for term in self.terms]).all(0)
        computed = self.compute({name: column[present] for name, column in columns.items()})
        # Only rows with every score enter the graph: a NaN in it would reach the gradients even at weight zero.
        values = computed.new_full((len(present),), float("nan")).index_put((present,), computed)
        rows = range(len(present))
        return Rewards(
            values,
            present,
            [None if there else self._reason(used, i) for i, there in zip(rows, present.tolist(), strict=True)],
            columns,
            [self._basis(used, i) for i in rows],
            used,
        )

    def _reason(self, scores: Mapping[str, Scores], clip: int) -> str:
        """Why one clip has no reward: the terms that are missing, those of one reason together."""
        why: dict[str, list[str]] = {}
        for term in self.terms:
            own = scores[term.rater.name]
            value = float(own[term.dimension][clip].detach())
            if not own.present[clip, own.column(term.dimension)]:
                reason = own.reasons[clip].get(term.dimension, "the rater gave no reason")
                why.setdefault(reason, []).append(term.name)
            elif not math.isfinite(value):
                why.setdefault(f"the score is {value}, not a finite number", []).append(term.name)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items())

    def _basis(self, scores: Mapping[str, Scores], clip: int) -> tuple[str, ...]:
        """The dimensions that one clip's fused terms were made of, with the rater's name where there are several."""
        several = len(self.raters) > 1
        parts = {
            f"{term.rater.name}.{part}" if several else part: None  # a dict keeps the order
            for term in self.terms
            for part in scores[term.rater.name].basis[clip].get(term.dimension, ())
        }
        return tuple(parts)

    @property
    def raters(self) -> tuple[Rater, ...]:
        """The raters whose scores are read, each once."""
        found: dict[str, Rater] = {}
        for term in self.terms:
            found.setdefault(term.rater.name, term.rater)
        return tuple(found.values())

    @property
    def needs(self) -> frozenset[str]:
        """What a clip must have: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``."""
        return frozenset[str]().union(*(term.needs for term in self.terms))

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the clip's tensors from every term."""
        return all(term.rater.differentiable for term in self.terms)

    @property
    def prompt_anchored(self) -> bool:
        """Whether some term compares the clip with its prompt; without one, optimising may ignore the prompt."""
        return any(term.rater.prompt_anchored and "prompt" in term.needs for term in self.terms)

    @property
    def fingerprint(self) -> str:
        """32 hex digits that name all that the values depend on: the expression and the raters' fingerprints."""
        text = "\n".join([repr(self), *(f"{rater.name} {rater.fingerprint}" for rater in self.raters)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reward) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __add__(self, other: Any) -> Reward:
        return _sum((1.0, self), (1.0, other))

    def __radd__(self, other: Any) -> Reward:
        return _sum((1.0, other), (1.0, self))

    def __sub__(self, other: Any) -> Reward:
        return _sum((1.0, self), (-1.0, other))

    def __rsub__(self, other: Any) -> Reward:
        return _sum((1.0, other), (-1.0, self))

    def __mul__(self, other: Any) -> Reward:
        if isinstance(other, Reward):
            raise TypeError(f"({self}) * ({other}): a reward can be multiplied by a number only; weigh and add them")
        return _sum((float(other), self)) if isinstance(other, Real) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Reward:
        return _sum((1.0 / float(other), self)) if isinstance(other, Real) else NotImplemented

    def __neg__(self) -> Reward:
        return _sum((-1.0, self))

    def __pos__(self) -> Reward:
        return self


class Term(Reward):
    """One rater's score on one dimension, as a reward: what ``rater["audio_quality"]`` returns.

    Raises `KeyError` that lists the rater's dimensions if it has no such one.
    """

    def __init__(self, rater: Rater, dimension: str) -> None:
        self.rater = rater
        self._dimension: Dimension = rater.dimension(dimension)

    @property
    def dimension(self) -> str:
        """The name of the dimension, without the rater's."""
        return self._dimension.name

    @property
    def name(self) -> str:
        """As in expressions: ``signals.clipping``."""
        return f"{self.rater.name}.{self.dimension}"

    @property
    def terms(self) -> tuple[Term, ...]:
        """Itself."""
        return (self,)

    @property
    def needs(self) -> frozenset[str]:
        """What a clip must have for this dimension."""
        return self._dimension.needs

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The score as it is."""
        return columns[self.name]

    def __repr__(self) -> str:
        return self.name


def _usable(term: Term, scores: Scores) -> Tensor:
    """Bool (clips,): the score is there and is a finite number; a rater's NaN must not pass for a reward."""
    column = scores.column(term.dimension)
    return scores.present[:, column] & scores.values[:, column].isfinite()


def _sum(*parts: tuple[float, Any]) -> Reward:
    from avreward.rewards.algebra import weighted_sum  # late, since it builds on this file

    return weighted_sum(parts)
