"""Verify that a rater gives the scores that its authors published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.evaluation.correlation import srcc
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension

Published = Mapping[str, Mapping[str, float]]
"""Start of a file's name → dimension → score."""

# Published scores are sums over thousands of products in half precision, each rounded to 11 bits (bfloat16: 8).
TOLERANCES = {"bfloat16": (0.04, 0.01)}
TOLERANCE = (0.01, 0.0025)  # of the score, plus of the dimension's range


@dataclass(frozen=True)
class VerificationRow:
    """One clip and dimension: the published score, the score here, and by how much they may differ."""

    clip: str
    dimension: str
    published: float
    ours: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the scores differ by at most the tolerance; a missing score never agrees."""
        return math.isfinite(self.ours) and abs(self.ours - self.published) <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    Attributes:
        rows: the compared scores.
        left: clips without published scores, which were not compared.
        expected: the number of clips with published scores.
        order: dimension → rank correlation (SRCC) of the published scores and those here, from three clips on.
    """

    rows: tuple[VerificationRow, ...]
    order: Mapping[str, float]
    left: tuple[str, ...] = ()
    expected: int = 0

    @property
    def passed(self) -> bool:
        """Whether every score agrees, and no dimension is in no order or the reverse of the published one."""
        return all(row.agrees for row in self.rows) and not self.reversed

    @property
    def reversed(self) -> tuple[str, ...]:
        """The dimensions whose order (see `order`) is not that of the published scores: SRCC 0 or below."""
        return tuple(name for name, value in self.order.items() if value <= 0)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        count = sum(row.agrees for row in self.rows)
        if self.passed:
            clips = len({row.clip for row in self.rows})
            some = f" (of {clips} of the {self.expected} clips)" if clips < self.expected else ""
            unknown = f"; nothing is published for {', '.join(self.left)}" if self.left else ""
            return f"verified: all {count} scores{some} agree with the published ones{unknown}"
        if count == len(self.rows):
            names = ", ".join(f"{name} (SRCC {self.order[name]:.3f})" for name in self.reversed)
            return (
                f"not verified: all {count} scores agree, but the order of the clips differs in {names}; use clips "
                "whose scores are further apart"
            )
        worst = max(self.rows, key=lambda row: abs(row.ours - row.published) if math.isfinite(row.ours) else math.inf)
        ordered = bool(self.order) and min(self.order.values()) > 0.999
        hint = "; the order is right, so look at precision or preprocessing" if ordered else ""
        return (
            f"not verified: {len(self.rows) - count} of {len(self.rows)} scores differ, most {worst.dimension} of "
            f"{worst.clip}: {worst.ours:.4f} instead of {worst.published:.4f}{hint}"
        )


def verify(rater: Rater, clips: Sequence[Clip], published: Published) -> Verification:
    """Score `clips` and compare the scores with those published for files of the same names.

    A score may differ by 1 % of itself plus 0.25 % of the dimension's range (4 % plus 1 % if the rater runs in
    bfloat16): published scores come from half precision. For a dimension without limits the largest published score
    (as an absolute value) stands for the range. The order of three or more clips counts too.

    Args:
        rater: the rater to verify.
        clips: files whose names start with a key of `published`.
        published: start of a file's name → dimension → score, such as `avreward.datasets.read_published` returns.

    Raises:
        ArgumentError: if no clip has published scores, or `published` names a dimension that the rater lacks.
    """
    known = [(clip, max((key for key in published if _names(clip, key)), key=len, default=None)) for clip in clips]
    matched = [(clip, published[key]) for clip, key in known if key is not None and published[key]]
    if not matched:
        got = Described(", ".join(clip.name for clip in clips))
        raise ArgumentError("clips", f"files whose names start with {' or '.join(published)}", got)
    names = [dimension.name for dimension in rater.dimensions]
    unknown = [name for _, expected in matched for name in expected if name not in names]
    if unknown:
        raise unknown_name(f"dimension of {rater.name}", unknown[0], names)
    with torch.no_grad():
        scores = rater([clip for clip, _ in matched])
    relative, share = TOLERANCES.get(rater.settings.get("dtype", ""), TOLERANCE)
    spans = {name: _span(rater.dimension(name), [expected.get(name, 0.0) for _, expected in matched]) for name in names}
    rows = [
        VerificationRow(clip.name, name, value, float(scores[name][i]), relative * abs(value) + share * spans[name])
        for i, (clip, expected) in enumerate(matched)
        for name, value in expected.items()
    ]
    left = tuple(clip.name for clip, key in known if key is None or not published[key])
    return Verification(tuple(rows), _order(rows), left, sum(bool(scores) for scores in published.values()))


def _span(dimension: Dimension, published: Sequence[float]) -> float:
    """Return the width of a dimension's range, or the largest absolute published score where it has no limits."""
    width = dimension.high - dimension.low
    return width if math.isfinite(width) else max(map(abs, published))


def _names(clip: Clip, key: str) -> bool:
    """Return whether a file's name starts with `key`, not followed by another digit: clip_1 does not match clip_10."""
    rest = clip.name.removeprefix(key)
    return clip.name.startswith(key) and not rest[:1].isdigit()


def _order(rows: Sequence[VerificationRow]) -> dict[str, float]:
    found = {}
    for dimension in dict.fromkeys(row.dimension for row in rows):
        own = [row for row in rows if row.dimension == dimension and math.isfinite(row.ours)]
        if len(own) >= 3:
            found[dimension] = srcc([row.published for row in own], [row.ours for row in own])
    return {dimension: value for dimension, value in found.items() if math.isfinite(value)}
