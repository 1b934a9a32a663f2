"""Rewards: one number per clip, computed from raters' scores and from that clip alone."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from avreward._display import html_table
from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.raters._loop import check_clips, rate
from avreward.raters._streams import gradients_of
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension, Scores
from avreward.raters.shared import SharedWork
from avreward.rewards._combine import combined
from avreward.rewards.results import MissingScore, Rewards

if TYPE_CHECKING:
    from avreward.rewards.per_prompt import PerPrompt

__all__ = ["MissingScore", "Reward", "Rewards", "Term"]


class Reward(ABC):
    """Base class of rewards: one number per clip, computed from raters' scores.

    Rewards can be added, subtracted and multiplied, with each other and with numbers, and passed to the functions of
    `avreward.rewards` (`minimum`, `clamp`, …); the result is again a reward. A reward sees each clip alone; for values
    that depend on the other candidates, see `GroupReward`. Two rewards are equal if their fingerprints are.

    A subclass implements `compute` and `__repr__`. If it is made of other rewards, it returns them as `children`.

    Example:
        >>> rater = load_rater("signals")
        >>> reward = 0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"]
        >>> reward
        0.4*signals.audio_quality + 0.6*signals.av_consistency
        >>> frames, wave = clip.video.clone().requires_grad_(), clip.audio.clone().requires_grad_()
        >>> loss = -reward([Clip(video=frames, fps=16, audio=wave, sample_rate=48000)]).mean()
        >>> loss.backward()
        >>> frames.grad.shape == frames.shape and wave.grad.shape == wave.shape
        True
    """

    __array_ufunc__ = None  # so that `numpy_number * reward` calls `__rmul__`

    @abstractmethod
    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the values (clips,) computed from the terms' scores.

        The computation is per clip: a clip's reward must not depend on the rest of the batch.

        Args:
            columns: name of each term → its scores (clips,), none missing.
        """

    @abstractmethod
    def __repr__(self) -> str:
        """Return the expression, which `parse_reward` reads back."""

    @property
    def children(self) -> tuple[Reward, ...]:
        """The rewards that this one is made of; empty for a leaf."""
        return ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """The scores that the reward reads, each once, in the order of the expression."""
        return tuple({term.name: term for child in self.children for term in child.terms}.values())

    @property
    def prompt_weights(self) -> tuple[PerPrompt, ...]:
        """The prompt-dependent weights in this reward, each once."""
        return tuple({repr(w): w for child in self.children for w in child.prompt_weights}.values())

    def __call__(self, clips: Sequence[Clip], batch_size: int | None = None) -> Tensor:
        """Return the rewards (clips,), with gradients if `differentiable` is true.

        Args:
            clips: files, tensors, or a mix of both.
            batch_size: passed to `Rater.__call__`; it changes memory use, never a value (*optional*).

        Raises:
            MissingScore: if any reward is missing; the message lists the clips and the reasons.
        """
        rewards = self.evaluate(clips, batch_size)
        reasons = {i: why for i, why in enumerate(rewards.reasons) if why is not None}
        if reasons:
            names = [clip.name for clip in clips]
            raise MissingScore.of(names, reasons, "reward.evaluate(clips) gives the others")
        return rewards.values

    def evaluate(
        self, clips: Sequence[Clip], batch_size: int | None = None, *, work: SharedWork | None = None
    ) -> Rewards:
        """Return the rewards of `clips` together with the scores behind them; each rater rates each clip once.

        If a rater can't rate a clip, or fails on it, that clip's reward is missing and the reason is given. If a rater
        fails on every clip, its error is raised.

        Args:
            clips: files, tensors, or a mix of both.
            batch_size: passed to `Rater.__call__` (*optional*).
            work: cache of computations on the clips' tracks, to share them between calls (*optional*).
        """
        wanted: dict[str, set[str]] = {}
        for term in self.terms:
            wanted.setdefault(term.rater.name, set()).add(term.dimension)
        with gradients_of(wanted):
            rated = rate(self.raters, check_clips(clips), batch_size, work)
        scores = {rater.name: one.scores for rater, one in zip(self.raters, rated, strict=True)}
        return self.combine(scores, [clip.prompt for clip in clips])

    def combine(self, scores: Mapping[str, Scores], prompts: Sequence[str | None] | None = None) -> Rewards:
        """Return the rewards of clips that were rated before.

        Args:
            scores: name of each rater in `raters` → its scores of the clips.
            prompts: the clips' prompts, in the same order; needed only for prompt-dependent weights (*optional*).

        Raises:
            ArgumentError: if the scores of a rater, or the prompts, are missing or of another length.
        """
        return combined(self, scores, prompts)

    @property
    def raters(self) -> tuple[Rater, ...]:
        """The raters whose scores this reward reads, each once."""
        found: dict[str, Rater] = {}
        for term in self.terms:
            found.setdefault(term.rater.name, term.rater)
        return tuple(found.values())

    @property
    def needs(self) -> frozenset[str]:
        """The inputs that a clip must have: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``."""
        prompt = {"prompt"} if self.prompt_weights else set[str]()
        return frozenset(prompt).union(*(term.needs for term in self.terms))

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the clip's tensors from every term."""
        return all(term.rater.differentiable for term in self.terms)

    @property
    def prompt_anchored(self) -> bool:
        """Whether any term compares the clip with its prompt; if none does, optimizing may ignore the prompt."""
        return any("prompt" in term.rater.reads(term.dimension) for term in self.terms)

    @property
    def fingerprint(self) -> str:
        """32 hex digits that identify everything the values depend on: the expression and the raters' fingerprints.

        It also covers streams that are narrower than a dimension's needs, because they change the gradients.
        """
        raters = [f"{rater.name} {rater.fingerprint}" for rater in self.raters]
        text = "\n".join([repr(self), *raters, *(text for term in self.terms if (text := term.narrowed))])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _repr_html_(self) -> str:
        dimensions = [term.rater.dimension(term.dimension) for term in self.terms]
        rows = [
            (term.name, d.low, d.high, d.unit, ", ".join(sorted(d.needs)), d.description)
            for term, d in zip(self.terms, dimensions, strict=True)
        ]
        return html_table(repr(self), ["term", "low", "high", "unit", "needs", "description"], rows, len(rows))

    def save(self, path: str | PathLike[str]) -> Path:
        """Save the reward to a YAML file or a folder and return the path; see `avreward.rewards.save_reward`."""
        from avreward.rewards.io import save_reward  # late, since it builds on this file

        return save_reward(self, path)

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
            from avreward.rewards.algebra import product  # late, since it builds on this file

            return product(self, other)
        return _sum((float(other), self)) if isinstance(other, Real) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Reward:
        if not isinstance(other, Real):
            return NotImplemented
        if not other:
            raise ArgumentError("divisor of a reward", "a number other than 0", other)
        return _sum((1.0 / float(other), self))

    def __neg__(self) -> Reward:
        return _sum((-1.0, self))

    def __pos__(self) -> Reward:
        return self


class Term(Reward):
    """One rater's score on one dimension, as a reward: what ``rater["audio_quality"]`` returns.

    Args:
        rater: the rater whose score is read.
        dimension: name of one of its dimensions.

    Raises:
        ArgumentError: if the rater has no such dimension; the message lists those that it has.
    """

    def __init__(self, rater: Rater, dimension: str) -> None:
        self.rater = rater
        self._dimension: Dimension = rater.dimension(dimension)

    @property
    def dimension(self) -> str:
        """The name of the dimension, without the rater's name."""
        return self._dimension.name

    @property
    def name(self) -> str:
        """The name in expressions: ``signals.clipping``."""
        return f"{self.rater.name}.{self.dimension}"

    @property
    def terms(self) -> tuple[Term, ...]:
        """This term itself."""
        return (self,)

    @property
    def needs(self) -> frozenset[str]:
        """The inputs that a clip must have for this dimension."""
        return self._dimension.needs

    @property
    def narrowed(self) -> str | None:
        """A note of the tracks that its gradient may move; `None` if these are all the tracks that it needs."""
        streams = frozenset(self._dimension.streams)
        return None if streams == self._dimension.tracks else f"{self.name} moves {sorted(streams)}"

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the score unchanged."""
        return columns[self.name]

    def __repr__(self) -> str:
        return self.name


def _sum(*parts: tuple[float, Any]) -> Reward:
    from avreward.rewards.algebra import weighted_sum  # late, since it builds on this file

    return weighted_sum(parts)
