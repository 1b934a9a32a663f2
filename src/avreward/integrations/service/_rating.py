"""Rate the clips of requests, and describe what rates them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, describe
from avreward.integrations.service._sources import OpenedClip
from avreward.media._tracks import TensorAudio, TensorVideo
from avreward.raters._environment import environment
from avreward.raters.base import Rater
from avreward.raters.remote import _bodies
from avreward.raters.remote._bodies import ClipAnswer, DimensionAbout, RaterAbout, RaterAnswer, ServiceAbout, bounded
from avreward.raters.remote.rater import REWARD
from avreward.raters.scores import Dimension, Scores
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.store.store import Store


class ServedReward:
    """A reward and the raters that are served with it.

    Args:
        reward: what is served.
        also: more raters, besides those that the reward reads.
        store: where scores are kept (*optional*).

    Raises:
        ArgumentError: for two raters of one name.
    """

    def __init__(self, reward: RewardLike, also: Sequence[Rater] = (), store: Store | None = None) -> None:
        self.reward: Reward = as_reward(reward)
        self.raters: dict[str, Rater] = {}
        for rater in (*self.reward.raters, *also):
            if self.raters.setdefault(rater.name, rater) is not rater and rater in also:
                got = Described(f"two called {rater.name!r}")
                raise ArgumentError("raters", "raters with different names", got, "set another .name on one of them")
        self._evaluator: Any = Evaluator([self.reward, *self.raters.values()], store=store)
        self.abouts = {name: _about(rater) for name, rater in self.raters.items()}
        self.about = _about_reward(self.reward, list(self.abouts.values()))
        self.fingerprint = _hash(self.about.fingerprint, *(one.fingerprint for one in self.abouts.values()))

    def described(self, most_clips: int, most_bytes: int, paths: bool) -> ServiceAbout:
        """Return what clients must know."""
        return ServiceAbout(
            _bodies.VERSION, self.fingerprint, repr(self.reward), self.about, list(self.abouts.values()), most_clips,
            most_bytes, paths,
        )  # fmt: skip

    def rate(self, opened: Sequence[OpenedClip]) -> list[ClipAnswer]:
        """Return an answer for each clip, in order; a clip that can't be rated says why, and costs no other one."""
        alike: dict[tuple[str, ...], list[int]] = {}  # scores have the type of the first clip of a batch
        for i, one in enumerate(opened):
            if one.clip is not None:
                alike.setdefault(_types(one.clip), []).append(i)
        rows: dict[int, ClipAnswer] = {}
        for members in alike.values():
            clips = [clip for i in members if (clip := opened[i].clip) is not None]
            rows |= zip(members, self._rows(clips), strict=True)
        return [_told(rows[i], one) if i in rows else _unusable(one.error) for i, one in enumerate(opened)]

    def _rows(self, clips: Sequence[Clip]) -> list[ClipAnswer]:
        try:
            found: list[Any] = self._evaluator.evaluate(clips, strict=False)
        except Exception as error:  # beyond what a rater reports of a clip, such as one that needs too much memory
            if len(clips) == 1:
                return [_unusable(f"{clips[0].name}: it can't be rated ({describe(error)})")]
            return [row for clip in clips for row in self._rows([clip])]
        rewards: Rewards = found[0]
        named = {name: own.split() for name, own in zip(self.raters, found[1:], strict=True)}
        return [_answer(one, {name: rows[i] for name, rows in named.items()}) for i, one in enumerate(rewards.split())]


def _types(clip: Clip) -> tuple[str, ...]:
    tracks = (track for track in (clip._picture, clip._sound) if isinstance(track, TensorVideo | TensorAudio))
    return tuple(str(track._parts[0].dtype) for track in tracks)


def _answer(rewards: Rewards, scores: dict[str, Scores]) -> ClipAnswer:
    there = bool(rewards.present[0])
    sigma = None if rewards.sigma is None or not there else float(rewards.sigma[0])
    return ClipAnswer(
        float(rewards.values[0]) if there else None,
        rewards.reasons[0],
        sigma if sigma is not None and sigma == sigma else None,
        _dtype(rewards.values),
        None,
        {name: _rater_answer(row) for name, row in scores.items()},
    )


def _rater_answer(row: Scores) -> RaterAnswer:
    values, present = row.values[0].tolist(), row.present[0].tolist()
    sigmas = [] if row.sigma is None else row.sigma[0].tolist()
    return RaterAnswer(
        {name: value for name, value, there in zip(row.names, values, present, strict=True) if there},
        row.reasons[0],
        {name: list(parts) for name, parts in row.basis[0].items()},
        {name: sigma for name, sigma in zip(row.names, sigmas, strict=True) if sigma == sigma} if sigmas else {},
        _dtype(row.values),
    )


def _dtype(values: Any) -> str:
    return str(values.dtype).removeprefix("torch.")


def _told(answer: ClipAnswer, opened: OpenedClip) -> ClipAnswer:
    """Return the answer without paths that only the server knows."""
    if opened.hidden:
        answer.reason = None if answer.reason is None else opened.told(answer.reason)
        for row in answer.raters.values():
            row.reasons = {name: opened.told(reason) for name, reason in row.reasons.items()}
    return answer


def _unusable(error: str | None) -> ClipAnswer:
    return ClipAnswer(None, error, error=error or "it can't be opened")


def _about(rater: Rater) -> RaterAbout:
    return RaterAbout(
        rater.name,
        _hash(rater.fingerprint, *(f"{name} {v}" for name, v in environment(rater.libraries).items())),
        [_dimension(d) for d in rater.dimensions],
        list(rater.tracks),
        rater.prompt_anchored,
        {d.name: sorted(rater.reads(d.name)) for d in rater.dimensions},
    )


def _about_reward(reward: Reward, raters: Sequence[RaterAbout]) -> RaterAbout:
    behind = {rater.name for rater in reward.raters}
    used = [about for about in raters if about.name in behind]
    dimension = Dimension(REWARD, float("-inf"), float("inf"), reward.needs, description=repr(reward))
    reads = frozenset(reward.needs).union(*(term.rater.reads(term.dimension) for term in reward.terms))
    return RaterAbout(
        REWARD,
        _hash(reward.fingerprint, *(about.fingerprint for about in used)),
        [_dimension(dimension)],
        [track for track in ("video", "audio") if any(track in about.tracks for about in used)],
        reward.prompt_anchored or "prompt" in reward.needs,
        {REWARD: sorted(reads)},
    )


def _dimension(d: Dimension) -> DimensionAbout:
    return DimensionAbout(
        d.name, bounded(d.low), bounded(d.high), sorted(d.needs), sorted(d.streams), d.unit, d.higher_is_better,
        d.calibrated, d.detail, d.description,
    )  # fmt: skip


def _hash(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()
