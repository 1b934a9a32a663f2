"""A rater that another process or machine runs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import AvrewardError, unknown_name
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.remote import _bodies
from avreward.raters.remote._bodies import ClipAnswer, RaterAbout, RaterAnswer, ScoreAnswer, ScoreBody, ServiceAbout
from avreward.raters.remote._http import Connection, parts_of
from avreward.raters.remote._parts import Packer, path_body, split
from avreward.raters.scores import Dimension, Scores

with extra("server"):
    import msgspec

REWARD = "reward"


class RemoteRater(Rater):
    """A rater or a reward that ``avreward serve`` serves, asked over HTTP; used like any other rater.

    ``http://HOST:PORT`` is the served reward, as a rater of the one dimension ``reward``; ``http://HOST:PORT/#NAME`` is
    the served rater `NAME` with all its dimensions. `load_rater`, ``--rater`` and reward files take the address. The
    scores are those that the server computes, and it gives a reason for each that is missing.

    It is not differentiable: no gradient comes back over HTTP. Train with it where rewards are numbers (GRPO,
    best-of-N, preference pairs), and load the rater in the process where its gradient is needed.

    Clips are sent whole: files as they are, tensors in their own type. A file or tensor that the clips of a batch share
    is sent once.

    Args:
        address: ``http://HOST:PORT``, with ``#NAME`` for one of the raters.
        token: that the server asks for (*optional*: the one for this host and port in the environment variable
            ``AVREWARD_SERVER_TOKENS``, ``HOST:PORT=TOKEN`` and more of them after commas).
        paths: whether clips that are whole files are named by their path instead of being sent, for a server that sees
            the same disk (it needs ``--root``).
        retries: how often a request that broke off or was refused for the moment is sent again.
        timeout: seconds until an answer must begin.

    Raises:
        ArgumentError: for another address, or the name of a rater that isn't served.
        AvrewardError: if no such server answers, or the extra ``server`` isn't installed.

    Example:
        >>> from avreward.integrations import RewardServer
        >>> with RewardServer("audio_quality") as server:
        ...     there = load_rater(f"http://127.0.0.1:{server.server_address[1]}")
        ...     print(there.name, there.differentiable, there(clips)["reward"].round())
        remote False tensor([54., 85., 86.])
    """

    differentiable = False
    libraries = ()
    versions: Mapping[str, int] = MappingProxyType({})

    def __init__(
        self, address: str, *, token: str | None = None, paths: bool = False, retries: int = 6, timeout: float = 600.0
    ) -> None:
        self.address, chosen = parts_of(address)
        self.paths = paths
        self._connection = Connection(self.address, token, retries, timeout)
        self._about = self._connection.ask("GET", "/v1/describe", ServiceAbout)
        if self._about.version != _bodies.VERSION:
            got = f"expected version {_bodies.VERSION} of the protocol, got {self._about.version}"
            raise AvrewardError(f"{self.address}: {got}; install the same version of avreward on both sides")
        self._served = self._served_as(chosen)
        self.name = chosen or "remote"
        self.dimensions = tuple(_dimension(one) for one in self._served.dimensions)
        self.fingerprint = f"remote {self._served.fingerprint}"
        self.tracks: tuple[Track, ...] = tuple(t for t in ("video", "audio") if t in self._served.tracks)
        self.prompt_anchored = self._served.prompt_anchored

    def _served_as(self, name: str) -> RaterAbout:
        known = {rater.name: rater for rater in self._about.raters}
        if not name:
            return self._about.reward
        if name not in known:
            raise unknown_name(f"rater of {self.address}", name, known)
        return known[name]

    @property
    def decoding(self) -> Hashable:
        """Its samples hold nothing that is decoded: all remote raters may share them."""
        return "remote"

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on, as the server says."""
        if dimension is None:
            return frozenset[str]().union(*map(frozenset, self._served.reads.values()))
        return frozenset(self._served.reads[self.dimension(dimension).name])

    def load_track(self, clip: Clip, track: Track) -> None:
        """Do nothing: the server decodes."""

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Return the clip itself: the server decodes."""
        return Sample(clip, {}, {})

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores that the server gives.

        Raises:
            AvrewardError: if it does not answer, or serves something else by now.
        """
        clips = [sample.clip for sample in samples]
        rows = [self._row(clip, answer) for clip, answer in zip(clips, self._answers(clips), strict=True)]
        return Scores.concatenate(rows) if rows else Scores.collect([], self.dimensions)

    def _answers(self, clips: Sequence[Clip]) -> list[ClipAnswer]:
        named = [path_body(clip) for clip in clips] if self.paths else [None] * len(clips)
        sent = [clip for clip, body in zip(clips, named, strict=True) if body is None]
        found: list[ClipAnswer] = []
        for part in split(sent, self._about.most_clips, self._about.most_bytes):
            found += self._asked(Packer(part).body(), _bodies.TENSORS, len(part))
        listed = [body for body in named if body is not None]
        answers: list[ClipAnswer] = []
        for start in range(0, len(listed), self._about.most_clips):
            bodies = listed[start : start + self._about.most_clips]
            answers += self._asked(msgspec.json.encode(ScoreBody(bodies)), _bodies.JSON, len(bodies))
        by_path, by_bytes = iter(answers), iter(found)
        return [next(by_bytes) if body is None else next(by_path) for body in named]

    def _asked(self, body: bytes, content_type: str, count: int) -> list[ClipAnswer]:
        answer = self._connection.ask("POST", "/v1/score", ScoreAnswer, body, content_type)
        if answer.fingerprint != self._about.fingerprint:
            problem = "its reward or its raters have changed since this rater was loaded"
            raise AvrewardError(f"{self.address}: {problem}; load it again")
        if len(answer.clips) != count:
            raise AvrewardError(f"{self.address}: expected answers for {count} clips, got {len(answer.clips)}")
        return answer.clips

    def _row(self, clip: Clip, answer: ClipAnswer) -> Scores:
        if answer.error is not None:
            return _scores(RaterAnswer({}, {d.name: answer.error for d in self.dimensions}), self.dimensions)
        if self._served is self._about.reward:
            return _scores(_as_rater(answer), self.dimensions)
        return _scores(answer.raters[self._served.name], self.dimensions)


def _as_rater(answer: ClipAnswer) -> RaterAnswer:
    if answer.reward is None:
        return RaterAnswer({}, {REWARD: answer.reason or "the server gave no reason"})
    sigma = {} if answer.sigma is None else {REWARD: answer.sigma}
    return RaterAnswer({REWARD: answer.reward}, sigma=sigma, dtype=answer.dtype)


def _scores(row: RaterAnswer, dimensions: tuple[Dimension, ...]) -> Scores:
    dtype = getattr(torch, row.dtype, torch.float32)
    given = [row.values.get(d.name, math.nan) for d in dimensions]
    sigma = [row.sigma.get(d.name, math.nan) for d in dimensions]
    reasons = {d.name: row.reasons.get(d.name, "the server gave no reason") for d in dimensions
               if d.name not in row.values}  # fmt: skip
    return Scores(
        torch.tensor([given], dtype=dtype),
        torch.tensor([[d.name in row.values for d in dimensions]]),
        [reasons],
        dimensions,
        [{name: tuple(parts) for name, parts in row.basis.items()}],
        torch.tensor([sigma], dtype=dtype) if row.sigma else None,
    )


def _dimension(about: Any) -> Dimension:
    low = -math.inf if about.low is None else about.low
    high = math.inf if about.high is None else about.high
    return Dimension(
        about.name, low, high, frozenset(about.needs), about.unit, about.higher_is_better, about.calibrated,
        about.detail, about.description, tuple(about.streams),
    )  # fmt: skip
