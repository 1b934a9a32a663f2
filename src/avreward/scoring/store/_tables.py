"""The rows of a store's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple


class RaterRow(NamedTuple):
    """A rater and its environment when it rated; `id` is a hash of the last three fields.

    `dimensions` is JSON of their names; `environment` is JSON of the installed libraries, library → version, empty
    in a store of table version 1.
    """

    id: bytes
    name: str
    fingerprint: str
    dimensions: str
    environment: str


def rater_id(fingerprint: str, dimensions: str, environment: str) -> bytes:
    """Return the `id` of a rater's row."""
    return hashlib.blake2b(f"{fingerprint}\n{dimensions}\n{environment}".encode(), digest_size=8).digest()


class ScoreRow(NamedTuple):
    """One clip's scores by one rater.

    `value` holds the present scores (little-endian float64), in the order of the dimensions; `note` is JSON of reasons,
    dtype and other details, see `avreward.scoring.store._rows`; `missing` counts the dimensions without a score.
    """

    rater: bytes
    clip: bytes
    missing: int
    value: bytes
    note: str | None


class FileRow(NamedTuple):
    """The index of a media file at this size and modification time, made by this version of the code."""

    path: bytes
    size: int
    modified: int
    code: str
    about: bytes


class Rows(NamedTuple):
    """The rows that one transaction writes."""

    raters: Sequence[RaterRow] = ()
    scores: Sequence[ScoreRow] = ()
    files: Sequence[FileRow] = ()
