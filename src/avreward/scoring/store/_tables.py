"""The rows of a store's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class RaterRow(NamedTuple):
    """A rater as it was when it judged; `id` is a hash of the last three fields.

    `dimensions` is JSON of their names; `environment` is JSON of the installed libraries, library → version, empty
    where a store of table version 1 did not keep it.
    """

    id: bytes
    name: str
    fingerprint: str
    dimensions: str
    environment: str


class ScoreRow(NamedTuple):
    """One clip's scores by one rater.

    `value` holds those that there are (little-endian float64), in the order of the dimensions; `note` is JSON of what
    else there is to say, see `avreward.scoring.store._rows`; `missing` counts the dimensions without a score.
    """

    rater: bytes
    clip: bytes
    missing: int
    value: bytes
    note: str | None


class FileRow(NamedTuple):
    """What a media file was found to hold when it had this size and modification time, by this code."""

    path: bytes
    size: int
    modified: int
    code: str
    about: bytes


class Rows(NamedTuple):
    """What one transaction writes."""

    raters: Sequence[RaterRow] = ()
    scores: Sequence[ScoreRow] = ()
    files: Sequence[FileRow] = ()
