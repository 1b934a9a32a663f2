"""A reward: one number for each clip, made of raters' scores, as a function of the clip alone."""

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
    """One number for each clip, made of raters' scores.

    Rewards add, subtract and multiply, with each other and with numbers, and `avreward.rewards` has functions of them
    (`minimum`, `clip`, …); the result is a reward again. A reward looks at each clip alone: what depends on the other
    candidates is another type. Two rewards are equal where their fingerprints are.

    A subclass says how it computes and how it is shown. One made of other rewards returns them as `children`.

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

    __array_ufunc__ = None  # so that numpy's numbers leave `number * reward` to us

    @abstractmethod
    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The values (clips,) from the terms' scores: name of a term → (clips,), all present.

        Clip by clip, so that a clip's reward depends on nothing else in the batch.
        """

    @abstractmethod
    def __repr__(self) -> str:
        """The expression, which `parse_reward` reads back."""

    @property
    def children(self) -> tuple[Reward, ...]:
        """The rewards that this one is made of; none for a leaf."""
        return ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """The scores that the reward reads, each once, in the order of the expression."""
        return tuple({term.name: term for child in self.children for term in child.terms}.values())

    @property
    def prompt_weights(self) -> tuple[PerPrompt, ...]:
        """The weights in it that depend on the clip's prompt, each once."""
        return tuple({repr(w): w for child in self.children for w in child.prompt_weights}.values())

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

    def evaluate(
        self, clips: Sequence[Clip], batch_size: int | None = None, *, work: SharedWork | None = None
    ) -> Rewards:
        """Return the rewards of `clips` with all that they were made of; each rater sees each clip once.

        A clip that a rater can't rate, or fails on, is missing, with the reason. A rater that fails on every clip is
        broken, and its error is raised.

        Args:
            clips: files, tensors, or a mix of both.
            batch_size: that of `Rater.__call__` (*optional*).
            work: what was computed on the clips' tracks, to share it between calls (*optional*).
        """
        wanted: dict[str, set[str]] = {}
        for term in self.terms:
            wanted.setdefault(term.rater.name, set()).add(term.dimension)
        with gradients_of(wanted):
            rated = rate(self.raters, check_clips(clips), batch_size, work)
        scores = {rater.name: one.scores for rater, one in zip(self.raters, rated, strict=True)}
        return self.combine(scores, [clip.prompt for clip in clips])

    def combine(self, scores: Mapping[str, Scores], prompts: Sequence[str | None] | None = None) -> Rewards:
        """The rewards of clips that were judged already.

        Args:
            scores: name of each rater in `raters` → its scores of the clips.
            prompts: of the clips, in their order; only weights per prompt ask for them.
        """
        return combined(self, scores, prompts)

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
        prompt = {"prompt"} if self.prompt_weights else set[str]()
        return frozenset(prompt).union(*(term.needs for term in self.terms))

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the clip's tensors from every term."""
        return all(term.rater.differentiable for term in self.terms)

    @property
    def prompt_anchored(self) -> bool:
        """Whether some term compares the clip with its prompt; without one, optimising may ignore the prompt."""
        return any("prompt" in term.rater.reads(term.dimension) for term in self.terms)

    @property
    def fingerprint(self) -> str:
        """32 hex digits that name all that the values depend on: the expression and the raters' fingerprints.

        Streams that are narrower than a dimension's needs belong to it as well: they make other gradients.
        """
        raters = [f"{rater.name} {rater.fingerprint}" for rater in self.raters]
        text = "\n".join([repr(self), *raters, *(told for term in self.terms if (told := term.narrowed))])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _repr_html_(self) -> str:
        dimensions = [term.rater.dimension(term.dimension) for term in self.terms]
        rows = [
            (term.name, d.low, d.high, d.unit, ", ".join(sorted(d.needs)), d.description)
            for term, d in zip(self.terms, dimensions, strict=True)
        ]
        return html_table(repr(self), ["term", "low", "high", "unit", "needs", "description"], rows, len(rows))

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the reward to a YAML file or a folder; see `avreward.rewards.io.save_reward`."""
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
            raise ZeroDivisionError("a reward can't be divided by 0; use another number")
        return _sum((1.0 / float(other), self))

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

    @property
    def narrowed(self) -> str | None:
        """Which tracks its gradient may move, where these aren't all that it needs."""
        streams = frozenset(self._dimension.streams)
        return None if streams == self._dimension.tracks else f"{self.name} moves {sorted(streams)}"

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The score as it is."""
        return columns[self.name]

    def __repr__(self) -> str:
        return self.name


def _sum(*parts: tuple[float, Any]) -> Reward:
    from avreward.rewards.algebra import weighted_sum  # late, since it builds on this file

    return weighted_sum(parts)
