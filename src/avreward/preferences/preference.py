"""Which of two clips is better: the probabilities of win, tie and loss, whoever is asked."""

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
from avreward.errors import AvrewardError
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
    """What came out for some pairs of clips; the three probabilities of a pair add up to 1.

    Attributes:
        win: (pairs,) that the first is the better one. NaN where the pair can't be compared: index with `present`.
        tie: (pairs,) that neither is.
        loss: (pairs,) that the second is.
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
        """Bool (pairs,)."""
        return torch.tensor([why is None for why in self.reasons], dtype=torch.bool, device=self.win.device)

    @property
    def score(self) -> Tensor:
        """(pairs,) what the first may expect if a win is 1, a tie ½, and a loss 0."""
        return self.win + self.tie / 2

    def _shown(self) -> Shown:
        columns = [column.detach().tolist() for column in (self.win, self.tie, self.loss)]
        rows = ((i, *row) for i, row in enumerate(zip(*columns, self.reasons, strict=True)))
        title = f"Preferences of {counted(len(self), 'pair')}"
        return title, ["pair", "win", "tie", "loss", "reason"], rows, len(self)


class Preference(ABC):
    """Compares clips, two at a time. The order of the two never matters: swapped, win and loss change places exactly.

    >>> prefers = FromReward(load_rater("signals")["overall"], BradleyTerry(scale=10))
    >>> prefers([clips[1], clips[1]], [clips[0], clips[2]]).win
    tensor([0.72..., 0.58...])
    """

    @abstractmethod
    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Any, Mapping[int, str]]:
        """What `decide` needs of the clips, each looked at once; and index → why, of those that can't be compared."""

    @abstractmethod
    def decide(self, prepared: Any, pairs: Sequence[Pair]) -> Tensor:
        """Probabilities (pairs, 3) of win, tie and loss, of pairs of clips that can be compared; at least one."""

    def __call__(self, first: Sequence[Clip], second: Sequence[Clip], batch_size: int | None = None) -> Preferences:
        """Compares ``first[i]`` with ``second[i]``; differentiable where the one who is asked is.

        Raises `MissingScore`, which names the pairs and the reasons, if one can't be compared, and `AvrewardError` if
        the lists differ in length.
        """
        found = self.evaluate(first, second, batch_size)
        reasons = {i: why for i, why in enumerate(found.reasons) if why is not None}
        if reasons:
            names = [f"{one.name} against {other.name}" for one, other in zip(first, second, strict=True)]
            raise MissingScore.of(names, reasons, "preference.evaluate(first, second) gives the others")
        return found

    def evaluate(self, first: Sequence[Clip], second: Sequence[Clip], batch_size: int | None = None) -> Preferences:
        """As a call, but a pair that can't be compared is missing, with the reason."""
        if len(first) != len(second):
            raise AvrewardError(f"first, second: {len(first)} and {len(second)} clips; pass one each for every pair")
        clips = list({id(clip): clip for clip in (*first, *second)}.values())
        index = {id(clip): i for i, clip in enumerate(clips)}
        pairs = [(index[id(one)], index[id(other)]) for one, other in zip(first, second, strict=True)]
        return self.among(clips, pairs, batch_size)[0]

    def among(
        self, clips: Sequence[Clip], pairs: Sequence[Pair], batch_size: int | None = None
    ) -> tuple[Preferences, Mapping[int, str]]:
        """Compares the clips of the given indices; besides, index → why, of clips that can't be compared.

        However many pairs a clip is in, `prepare` looks at it once.
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
    """A reward as a preference: what the first has more, through a model of outcomes.

    Args:
        reward: each clip is judged once, however many pairs it is in.
        model: differences (pairs,) → probabilities (pairs, 3): `BradleyTerry`, `RaoKupper` or `Davidson`, whose
            `scale` says how much of the reward's unit decides.
    """

    def __init__(self, reward: RewardLike, model: Callable[[Tensor], Tensor] = BradleyTerry()) -> None:  # noqa: B008
        self.reward, self.model = as_reward(reward), model

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Tensor, Mapping[int, str]]:
        """The rewards."""
        rewards = self.reward.evaluate(clips, batch_size)
        return rewards.values, {i: why for i, why in enumerate(rewards.reasons) if why is not None}

    def decide(self, prepared: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """The model of the differences."""
        first, second = _columns(pairs, prepared)
        return self.model(prepared[first] - prepared[second])

    def __repr__(self) -> str:
        return f"FromReward({self.reward!r}, {self.model!r})"


class FromModel(Preference):
    """Any pairwise model, asked both ways round and averaged, so that its liking for a place drops out.

    Args:
        model: ``model(first, second)`` for two lists of clips → the probability (pairs,) that the first wins, or the
            probabilities (pairs, 3) of win, tie and loss. `AvrewardError` where it returns something else.

    >>> prefers = FromModel(lambda first, second: torch.full((len(first),), 0.9))  # always for the first place
    >>> prefers([clips[0]], [clips[1]]).win
    tensor([0.5000])
    """

    def __init__(self, model: Callable[[Sequence[Clip], Sequence[Clip]], Tensor]) -> None:
        self.model = model

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Sequence[Clip], Mapping[int, str]]:
        """The clips as they are."""
        return clips, {}

    def decide(self, prepared: Sequence[Clip], pairs: Sequence[Pair]) -> Tensor:
        """The mean of the answers to (first, second) and (second, first)."""
        first, second = [prepared[i] for i, _ in pairs], [prepared[j] for _, j in pairs]
        return (self._ask(first, second) + self._ask(second, first).flip(-1)) / 2

    def _ask(self, first: Sequence[Clip], second: Sequence[Clip]) -> Tensor:
        found = self.model(first, second)
        if found.ndim == 1:
            found = torch.stack([found, torch.zeros_like(found), 1 - found], dim=-1)
        if found.shape != (len(first), 3):
            shape = tuple(found.shape)
            raise AvrewardError(
                f"model: it returned shape {shape} for {len(first)} pairs; return (pairs,) or (pairs, 3)"
            )
        plain = found.detach()
        # Half precision rounds each of the three to 8 bits.
        if not (bool((plain >= 0).all()) and bool(((plain.sum(-1) - 1).abs() < 0.02).all())):
            raise AvrewardError("model: it returned numbers that are no probabilities; return shares of 1, not logits")
        return found

    def __repr__(self) -> str:
        return f"FromModel({self.model!r})"


class FromLmm(Preference):
    """A large multimodal model that is asked which of two dubs of one video fits better; see `LmmRater.compare`.

    Each pair is asked both ways round, and the probabilities are averaged; it knows no ties. The picture and each sound
    are encoded once, however many pairs they are in. `AvrewardError` for clips of different pictures.

    Args:
        rater: of video and audio.
    """

    def __init__(self, rater: LmmRater) -> None:
        self.rater = rater

    def prepare(
        self, clips: Sequence[Clip], batch_size: int | None = None
    ) -> tuple[tuple[Sequence[Clip], Work], Mapping[int, str]]:
        """The clips, decoded to see that they have picture and sound, and the work that their pairs share."""
        most = max(Counter(_picture(clip) for clip in clips).values(), default=0) + 1  # the dubs of a video, and it
        work = Work(loaded=Shared(max(LOADED_AT_ONCE, most)), tokens=Shared(max(TOKENS_AT_ONCE, most)))
        missing = [self.rater.load(clip, work).missing for clip in clips]
        wanted = ("video", "audio")
        lacking = [[f"{track}: {why[track]}" for track in wanted if track in why] for why in missing]
        return (clips, work), {i: "; ".join(parts) for i, parts in enumerate(lacking) if parts}

    def decide(self, prepared: tuple[Sequence[Clip], Work], pairs: Sequence[Pair]) -> Tensor:
        """One comparison a pair."""
        clips, work = prepared
        rows: dict[Hashable, list[int]] = {}  # video by video, since the work of one is kept at a time
        for row, (first, _) in enumerate(pairs):
            rows.setdefault(_picture(clips[first]), []).append(row)
        found = {row: self.rater.compare([clips[i] for i in pairs[row]], work) for own in rows.values() for row in own}
        chosen = torch.stack([found[row] for row in range(len(pairs))])
        return torch.stack([chosen[:, 0], torch.zeros_like(chosen[:, 0]), chosen[:, 1]], dim=-1)

    def __repr__(self) -> str:
        return f"FromLmm({self.rater.name})"


class FromJudge(Preference):
    """A judge network over features of the clips.

    Args:
        judge: trained elsewhere.
        features: clips → (clips, width), the judge's width. A row with a NaN is a clip that can't be compared.
    """

    def __init__(self, judge: JudgeNetwork, features: Callable[[Sequence[Clip]], Tensor]) -> None:
        self.judge, self.features = judge, features

    def prepare(self, clips: Sequence[Clip], batch_size: int | None = None) -> tuple[Tensor, Mapping[int, str]]:
        """The features, `batch_size` clips at a time."""
        step = batch_size or max(1, len(clips))
        parts = [self.features(clips[start : start + step]) for start in range(0, len(clips), step)]
        features = torch.cat(parts) if parts else torch.zeros(0, self.judge.width)
        finite = features.detach().isfinite().flatten(1).all(1).tolist()
        return features, {i: "its features are not finite" for i, good in enumerate(finite) if not good}

    def decide(self, prepared: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """The judge's probabilities."""
        first, second = _columns(pairs, prepared)
        return self.judge.probabilities(prepared[first], prepared[second])

    def __repr__(self) -> str:
        return f"FromJudge({self.judge!r}, {self.features!r})"


def _picture(clip: Clip) -> Hashable:
    return clip.work_key("video") if clip.has_video else None


def _reason(pair: Pair, clips: Sequence[Clip], unfit: Mapping[int, str]) -> str | None:
    """Why a pair can't be compared: what its first or second clip lacks."""
    why = [
        f"the {place}, {clips[i].name}: {unfit[i]}"
        for place, i in zip(("first", "second"), pair, strict=True)
        if i in unfit
    ]
    return "; ".join(why) or None


def _columns(pairs: Sequence[Pair], like: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.tensor(pairs, device=like.device).unbind(dim=1)
    return first, second
