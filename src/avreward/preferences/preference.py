"""Preferences between two clips: probabilities of win, tie and loss, from a reward, a model, an LMM or a judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward._display import Shown, ShownAsTable, counted
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.preferences.judge_network import JudgeNetwork
from avreward.preferences.models import BradleyTerry
from avreward.raters.base import LOADED_AT_ONCE, TOKENS_AT_ONCE, Work
from avreward.raters.shared import Shared
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.results import MissingScore

if TYPE_CHECKING:
    from avreward.raters.lmm.rater import LmmRater

Pair = tuple[int, int]


@dataclass(frozen=True, repr=False)
class Preferences(ShownAsTable):
    """The outcomes of comparing pairs of clips; the three probabilities of a pair sum to 1.

    Attributes:
        win: (pairs,) probability that the first is better; NaN if the pair can't be compared: index with `present`.
        tie: (pairs,) probability that neither is better.
        loss: (pairs,) probability that the second is better.
        reasons: for each pair, why it can't be compared, or `None`.
    """

    win: Tensor
    tie: Tensor
    loss: Tensor
    reasons: list[str | None]

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def present(self) -> Tensor:
        """Bool (pairs,): whether the pair could be compared."""
        return torch.tensor([why is None for why in self.reasons], dtype=torch.bool, device=self.win.device)

    @property
    def score(self) -> Tensor:
        """Expected score of the first (pairs,): a win counts 1, a tie ½, a loss 0."""
        return self.win + self.tie / 2

    def _shown(self) -> Shown:
        columns = [column.detach().tolist() for column in (self.win, self.tie, self.loss)]
        rows = ((i, *row) for i, row in enumerate(zip(*columns, self.reasons, strict=True)))
        title = f"Preferences of {counted(len(self), 'pair')}"
        return title, ["pair", "win", "tie", "loss", "reason"], rows, len(self)


class Preference(ABC):
    """Base class of preferences: compare clips, two at a time.

    The order of two clips doesn't matter: swapping them exchanges win and loss exactly.

    Example:
        >>> prefers = FromReward(load_rater("signals")["overall"], BradleyTerry(scale=10))
        >>> prefers([clips[1], clips[1]], [clips[0], clips[2]]).win
        tensor([0.65..., 0.56...])
    """

    @abstractmethod
    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Any, Mapping[int, str]]:
        """Process each clip once; return the input of `decide`, and index → reason of clips that can't be compared."""

    @abstractmethod
    def decide(self, prepared: Any, pairs: Sequence[Pair]) -> Tensor:
        """Return the probabilities (pairs, 3) of win, tie and loss of one or more pairs that can be compared."""

    def __call__(self, first: Sequence[Clip], second: Sequence[Clip], batch_size: int | None = None) -> Preferences:
        """Compare ``first[i]`` with ``second[i]``; differentiable if the underlying reward or model is.

        Args:
            first: the first clip of each pair.
            second: the second clip of each pair.
            batch_size: clips that are processed at a time (*optional*).

        Raises:
            MissingScore: if a pair can't be compared; the message lists the pairs and the reasons.
            ArgumentError: if the lists differ in length.
        """
        found = self.evaluate(first, second, batch_size)
        reasons = {i: why for i, why in enumerate(found.reasons) if why is not None}
        if reasons:
            names = [f"{one.name} against {other.name}" for one, other in zip(first, second, strict=True)]
            raise MissingScore.of(names, reasons, "preference.evaluate(first, second) gives the others")
        return found

    def evaluate(self, first: Sequence[Clip], second: Sequence[Clip], batch_size: int | None = None) -> Preferences:
        """Compare like a call, but leave a pair that can't be compared missing, with the reason."""
        if len(first) != len(second):
            got = Described(f"{len(first)} and {len(second)}")
            raise ArgumentError("first, second", "one clip each per pair", got)
        clips = list({id(clip): clip for clip in (*first, *second)}.values())
        index = {id(clip): i for i, clip in enumerate(clips)}
        pairs = [(index[id(one)], index[id(other)]) for one, other in zip(first, second, strict=True)]
        return self.among(clips, pairs, batch_size)[0]

    def among(
        self, clips: Sequence[Clip], pairs: Sequence[Pair], batch_size: int | None = None
    ) -> tuple[Preferences, Mapping[int, str]]:
        """Compare pairs given by indices of `clips`; return also index → reason of clips that can't be compared.

        Each clip is processed once, however many pairs it is in.

        Args:
            clips: the clips.
            pairs: pairs of indices of them.
            batch_size: clips that are processed at a time (*optional*).
        """
        prepared, unfit = self.prepare(clips, batch_size)
        reasons = [_reason(pair, clips, unfit) for pair in pairs]
        fit = [row for row, why in enumerate(reasons) if why is None]
        if not fit:
            nothing = torch.full((len(pairs),), float("nan"))
            return Preferences(nothing, nothing, nothing, reasons), unfit
        found = self.decide(prepared, [pairs[row] for row in fit])
        rows = torch.tensor(fit, device=found.device)
        table = found.new_full((len(pairs), 3), float("nan")).index_put((rows,), found)
        return Preferences(table[:, 0], table[:, 1], table[:, 2], reasons), unfit


class FromReward(Preference):
    """A preference from a reward: the difference of two rewards, through a model of outcomes.

    Args:
        reward: the reward of a clip; each clip is rated once, however many pairs it is in.
        model: differences (pairs,) → probabilities (pairs, 3): `BradleyTerry`, `RaoKupper` or `Davidson`, whose
            `scale` is the difference of rewards that makes a win likely.
    """

    def __init__(self, reward: RewardLike, model: Callable[[Tensor], Tensor] = BradleyTerry()) -> None:  # noqa: B008
        self.reward, self.model = as_reward(reward), model

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Tensor, Mapping[int, str]]:
        """Return the rewards."""
        rewards = self.reward.evaluate(clips, batch_size)
        return rewards.values, {i: why for i, why in enumerate(rewards.reasons) if why is not None}

    def decide(self, prepared: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """Return the model's probabilities of the differences."""
        first, second = _columns(pairs, prepared)
        return self.model(prepared[first] - prepared[second])

    def __repr__(self) -> str:
        return f"FromReward({self.reward!r}, {self.model!r})"


class FromModel(Preference):
    """A preference from any pairwise model, called in both orders and averaged to cancel its position bias.

    Args:
        model: ``model(first, second)`` for two lists of clips → the probability (pairs,) that the first wins, or the
            probabilities (pairs, 3) of win, tie and loss; anything else raises an `ArgumentError`.

    Example:
        >>> prefers = FromModel(lambda first, second: torch.full((len(first),), 0.9))  # always prefers the first
        >>> prefers([clips[0]], [clips[1]]).win
        tensor([0.5000])
    """

    def __init__(self, model: Callable[[Sequence[Clip], Sequence[Clip]], Tensor]) -> None:
        self.model = model

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Sequence[Clip], Mapping[int, str]]:
        """Return the clips unchanged."""
        return clips, {}

    def decide(self, prepared: Sequence[Clip], pairs: Sequence[Pair]) -> Tensor:
        """Return the mean of the model's answers in both orders."""
        first, second = [prepared[i] for i, _ in pairs], [prepared[j] for _, j in pairs]
        return (self._ask(first, second) + self._ask(second, first).flip(-1)) / 2

    def _ask(self, first: Sequence[Clip], second: Sequence[Clip]) -> Tensor:
        found = self.model(first, second)
        if found.ndim == 1:
            found = torch.stack([found, torch.zeros_like(found), 1 - found], dim=-1)
        if found.shape != (len(first), 3):
            got = Described(f"shape {tuple(found.shape)} for {len(first)} pairs")
            raise ArgumentError("model", "one that returns (pairs,) or (pairs, 3)", got)
        plain = found.detach()
        # Half precision rounds each of the three to 8 bits.
        if not (bool((plain >= 0).all()) and bool(((plain.sum(-1) - 1).abs() < 0.02).all())):
            got = Described("other numbers")
            raise ArgumentError(
                "model", "one that returns probabilities", got, "return values that sum to 1, not logits"
            )
        return found

    def __repr__(self) -> str:
        return f"FromModel({self.model!r})"


class FromLmm(Preference):
    """A preference from a large multimodal model, asked which of two dubs of one video fits better.

    Each pair is asked in both orders and the probabilities are averaged; there are no ties. The video and each audio
    track are encoded once, however many pairs they are in. Clips with different videos raise an error. See
    `LmmRater.compare`.

    Args:
        rater: a rater of video and audio.
    """

    def __init__(self, rater: LmmRater) -> None:
        self.rater = rater

    def prepare(
        self, clips: Sequence[Clip], batch_size: int | None = None
    ) -> tuple[tuple[Sequence[Clip], Work], Mapping[int, str]]:
        """Return the clips and a cache for their pairs; decode each clip to check that it has video and audio."""
        most = max(Counter(_video_key(clip) for clip in clips).values(), default=0) + 1  # a video and its dubs
        work = Work(loaded=Shared(max(LOADED_AT_ONCE, most)), tokens=Shared(max(TOKENS_AT_ONCE, most)))
        missing = [self.rater.load(clip, work).missing for clip in clips]
        wanted = ("video", "audio")
        lacking = [[f"{track}: {why[track]}" for track in wanted if track in why] for why in missing]
        return (clips, work), {i: "; ".join(parts) for i, parts in enumerate(lacking) if parts}

    def decide(self, prepared: tuple[Sequence[Clip], Work], pairs: Sequence[Pair]) -> Tensor:
        """Return the probabilities from one comparison per pair."""
        clips, work = prepared
        rows: dict[Hashable, list[int]] = {}  # grouped by video, since the cache holds one video at a time
        for row, (first, _) in enumerate(pairs):
            rows.setdefault(_video_key(clips[first]), []).append(row)
        found = {row: self.rater.compare([clips[i] for i in pairs[row]], work) for own in rows.values() for row in own}
        chosen = torch.stack([found[row] for row in range(len(pairs))])
        return torch.stack([chosen[:, 0], torch.zeros_like(chosen[:, 0]), chosen[:, 1]], dim=-1)

    def __repr__(self) -> str:
        return f"FromLmm({self.rater.name})"


class FromJudge(Preference):
    """A preference from a judge network on features of the clips.

    Args:
        judge: a trained judge.
        features: clips → (clips, width), with the judge's width. A clip whose row has a NaN can't be compared.
    """

    def __init__(self, judge: JudgeNetwork, features: Callable[[Sequence[Clip]], Tensor]) -> None:
        self.judge, self.features = judge, features

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Tensor, Mapping[int, str]]:
        """Return the features, computed for `batch_size` clips at a time."""
        step = batch_size or max(1, len(clips))
        parts = [self.features(clips[start : start + step]) for start in range(0, len(clips), step)]
        features = torch.cat(parts) if parts else torch.zeros(0, self.judge.width)
        finite = features.detach().isfinite().flatten(1).all(1).tolist()
        return features, {i: "its features are not finite" for i, good in enumerate(finite) if not good}

    def decide(self, prepared: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """Return the judge's probabilities."""
        first, second = _columns(pairs, prepared)
        return self.judge.probabilities(prepared[first], prepared[second])

    def __repr__(self) -> str:
        return f"FromJudge({self.judge!r}, {self.features!r})"


def _video_key(clip: Clip) -> Hashable:
    return clip.work_key("video") if clip.has_video else None


def _reason(pair: Pair, clips: Sequence[Clip], unfit: Mapping[int, str]) -> str | None:
    """Return why a pair can't be compared: the reasons of its first and second clip."""
    why = [
        f"the {place}, {clips[i].name}: {unfit[i]}"
        for place, i in zip(("first", "second"), pair, strict=True)
        if i in unfit
    ]
    return "; ".join(why) or None


def _columns(pairs: Sequence[Pair], like: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.tensor(pairs, device=like.device).unbind(dim=1)
    return first, second
