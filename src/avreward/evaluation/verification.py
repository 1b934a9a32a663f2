"""Does a rater give the scores that its authors published?"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.evaluation.correlation import srcc
from avreward.raters.base import Rater

Published = Mapping[str, Mapping[str, float]]
"""The beginning of a file's name → dimension → score."""

# Published scores are sums over thousands of products in half precision, each rounded to 11 bits (bfloat16: 8).
TOLERANCES = {"bfloat16": (0.04, 1.0)}
TOLERANCE = (0.01, 0.25)  # of the score, and in addition


@dataclass(frozen=True)
class VerificationRow:
    """One clip and dimension: the published score, ours, and by how much they may differ."""

    clip: str
    dimension: str
    published: float
    ours: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether ours is as near as half precision allows; a missing score never is."""
        return math.isfinite(self.ours) and abs(self.ours - self.published) <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """What came out of `verify`.

    Attributes:
        rows: all that was compared.
        left: the clips that nothing was published for, which were not compared.
        expected: how many clips scores were published for.
        order: rank correlation (SRCC) of published scores and ours by dimension; of three clips or more that differ.
    """

    rows: tuple[VerificationRow, ...]
    order: Mapping[str, float]
    left: tuple[str, ...] = ()
    expected: int = 0

    @property
    def passed(self) -> bool:
        """Whether every score agrees."""
        return all(row.agrees for row in self.rows)

    @property
    def verdict(self) -> str:
        """One sentence."""
        count = sum(row.agrees for row in self.rows)
        if self.passed:
            clips = len({row.clip for row in self.rows})
            some = f" (of {clips} of the {self.expected} clips)" if clips < self.expected else ""
            unknown = f"; nothing is published for {', '.join(self.left)}" if self.left else ""
            return f"verified: all {count} scores{some} agree with the published ones{unknown}"
        worst = max(self.rows, key=lambda row: abs(row.ours - row.published) if math.isfinite(row.ours) else math.inf)
        ordered = bool(self.order) and min(self.order.values()) > 0.999
        hint = "; the order is right, so look at precision or preprocessing" if ordered else ""
        return (
            f"not verified: {len(self.rows) - count} of {len(self.rows)} scores differ, most {worst.dimension} of "
            f"{worst.clip}: {worst.ours:.4f} instead of {worst.published:.4f}{hint}"
        )


def verify(rater: Rater, clips: Sequence[Clip], published: Published) -> Verification:
    """Scores `clips` and compares with what was published for files of those names.

    A score may differ by 1 % and 0.25 (4 % and 1 where the rater runs in bfloat16): the published ones come from
    half precision. Raises `AvrewardError` where no clip is known, or a dimension isn't the rater's.
    """
    known = [(clip, max((key for key in published if _names(clip, key)), key=len, default=None)) for clip in clips]
    matched = [(clip, published[key]) for clip, key in known if key is not None and published[key]]
    if not matched:
        raise AvrewardError(
            f"{', '.join(clip.name for clip in clips)}: no published scores for files of these names; known are names "
            f"that begin with {', '.join(published)}"
        )
    names = [dimension.name for dimension in rater.dimensions]
    unknown = [name for _, expected in matched for name in expected if name not in names]
    if unknown:
        raise AvrewardError(f"{rater.name}: has no dimension {unknown[0]!r}; it has {', '.join(names)}")
    with torch.no_grad():
        scores = rater([clip for clip, _ in matched])
    relative, absolute = TOLERANCES.get(rater.settings.get("dtype", ""), TOLERANCE)
    rows = [
        VerificationRow(clip.name, name, value, float(scores[name][i]), relative * abs(value) + absolute)
        for i, (clip, expected) in enumerate(matched)
        for name, value in expected.items()
    ]
    left = tuple(clip.name for clip, key in known if key is None or not published[key])
    return Verification(tuple(rows), _order(rows), left, sum(bool(scores) for scores in published.values()))


def read_published(path: Path) -> Published:
    """Published scores from a CSV file: a column ``clip`` (beginning of the file's name) and one a dimension.

    Raises `AvrewardError` that names the file and the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark at the beginning
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AvrewardError(f"{path}: can't be read as CSV ({error})") from error
    if not rows or "clip" not in rows[0] or len(rows[0]) < 2:
        raise AvrewardError(f"{path}: no rows, or no columns `clip` and at least one dimension in its first line")
    found: dict[str, dict[str, float]] = {}
    for line, row in enumerate(rows, 2):
        name = row.pop("clip")
        if not name or name in found:
            problem = f"clip {name!r} a second time" if name else "no name under clip"
            raise AvrewardError(f"{path}, line {line}: {problem}; name each clip once")
        try:
            found[name] = {dimension: _number(value) for dimension, value in row.items() if value}
        except (TypeError, ValueError) as error:
            raise AvrewardError(f"{path}, line {line}: a score isn't a number ({error})") from error
    return found


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _names(clip: Clip, key: str) -> bool:
    """Whether a file's name begins with `key`, not followed by another digit: clip_1 isn't clip_10."""
    rest = clip.name.removeprefix(key)
    return clip.name.startswith(key) and not rest[:1].isdigit()


def _order(rows: Sequence[VerificationRow]) -> dict[str, float]:
    found = {}
    for dimension in dict.fromkeys(row.dimension for row in rows):
        own = [row for row in rows if row.dimension == dimension and math.isfinite(row.ours)]
        if len(own) >= 3:
            found[dimension] = srcc([row.published for row in own], [row.ours for row in own])
    return {dimension: value for dimension, value in found.items() if math.isfinite(value)}
