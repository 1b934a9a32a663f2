"""What a reward service and its client send each other, as JSON beside safetensors."""

from __future__ import annotations

import math

from avreward._extras import extra

with extra("server"):
    from msgspec import Struct, field

VERSION = 1
"""Of the protocol; raised where an older client or server could not understand the other."""
JSON, TENSORS = "application/json", "application/vnd.safetensors"
"""Content types of bodies that name files on the server's disk, and of those that carry tensors and files."""


class ClipBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One clip of a request.

    Attributes:
        name: what messages call it.
        prompt, texts: as for `Clip`.
        path: a file on the server's disk, under one of its roots.
        whole: name of the part that is a media file, with all its tracks.
        video, audio: names of the parts that are tracks, where they have different sources.
        times, lasting: of frames in a tensor: the part with their times, and the seconds that the last one is held.
        sample_rate: of a waveform in a tensor.
    """

    name: str = ""
    prompt: str | None = None
    texts: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    whole: str | None = None
    video: str | None = None
    audio: str | None = None
    times: str | None = None
    lasting: float | None = None
    sample_rate: int | None = None


class ScoreBody(Struct, forbid_unknown_fields=True):
    """A request for the scores of clips."""

    clips: list[ClipBody]


class RaterAnswer(Struct, omit_defaults=True):
    """One clip's scores by one rater: dimension → value, why it is missing, what it was fused of, its deviation."""

    values: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)
    basis: dict[str, list[str]] = field(default_factory=dict)
    sigma: dict[str, float] = field(default_factory=dict)
    dtype: str = "float32"


class ClipAnswer(Struct):
    """One clip's reward and scores.

    Attributes:
        reward: `None` where it is missing, with the `reason`.
        reason: why there is no reward.
        sigma: standard deviation of the reward, where it is known.
        dtype: of the reward.
        error: why the clip can't be used at all.
        raters: name of each rater → its scores; empty where there is an `error`.
    """

    reward: float | None
    reason: str | None = None
    sigma: float | None = None
    dtype: str = "float32"
    error: str | None = None
    raters: dict[str, RaterAnswer] = field(default_factory=dict)


class ScoreAnswer(Struct):
    """The answer to a `ScoreBody`: one entry a clip, and the fingerprint of what rated them."""

    fingerprint: str
    clips: list[ClipAnswer]


class PairAnswer(Struct):
    """A pair of clips: ``first``, ``second`` or ``tie``, and by how much; `None` with a reason where one is missing."""

    better: str | None
    margin: float | None
    reason: str | None = None


class CompareAnswer(Struct):
    """The answer to a request for comparisons: one entry a pair, and the clips' rewards behind them."""

    fingerprint: str
    pairs: list[PairAnswer]
    clips: list[ClipAnswer]


class DimensionAbout(Struct):
    """A `Dimension`; `low` and `high` are `None` where they are infinite."""

    name: str
    low: float | None
    high: float | None
    needs: list[str]
    streams: list[str]
    unit: str
    higher_is_better: bool | None
    calibrated: bool
    detail: bool
    description: str


class RaterAbout(Struct):
    """What a client must know of a rater or of the reward: see `Rater`.

    Attributes:
        fingerprint: with the versions of the server's libraries.
        reads: dimension → what it may depend on.
    """

    name: str
    fingerprint: str
    dimensions: list[DimensionAbout]
    tracks: list[str]
    prompt_anchored: bool
    reads: dict[str, list[str]]


class ServiceAbout(Struct):
    """The answer to a request for a description.

    Attributes:
        version: of the protocol.
        fingerprint: of the reward and of all raters with the versions of their libraries.
        expression: of the reward.
        reward: as a rater of one dimension, ``reward``.
        raters: those behind it, and others that are served.
        most_clips, most_bytes: that one request may hold.
        paths: whether files on the server's disk can be named.
    """

    version: int
    fingerprint: str
    expression: str
    reward: RaterAbout
    raters: list[RaterAbout]
    most_clips: int
    most_bytes: int
    paths: bool


def bounded(value: float) -> float | None:
    """Return a bound as JSON can hold it."""
    return value if math.isfinite(value) else None
