"""Ratings by people: who gave which clip which number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward.errors import ArgumentError, Described, unknown_name

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Ratings(ShownAsTable):
    """Ratings of one dimension, one entry a rating, so that anything may be missing or rated twice.

    Attributes:
        clips: their names, each once.
        people: their names, each once.
        clip: int64 (ratings,), the index in `clips`.
        person: int64 (ratings,), the index in `people`.
        values: float64 (ratings,).
    """

    clips: tuple[str, ...]
    people: tuple[str, ...]
    clip: Whole
    person: Whole
    values: Floats

    @classmethod
    def from_array(
        cls,
        values: ArrayLike,
        clips: Sequence[str] | None = None,
        people: Sequence[str] | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> Ratings:
        """Return ratings from an array (clips, people), or (repetitions, clips, people), with NaN where one is missing.

        Args:
            values: the ratings.
            clips: names. Default: ``clip 1``, ``clip 2``, ….
            people: names. Default: ``person 1``, ….
            low: the lowest rating that people could give.
            high: the highest one.

        Raises:
            ArgumentError: for another shape, names that do not fit or are not different, infinite ratings and ratings
                out of range.

        Example:
            >>> Ratings.from_array([[5, 4], [1, float("nan")]], ["a.mp4", "b.mp4"], low=1, high=5).people
            ('person 1', 'person 2')
        """
        array = np.asarray(values, dtype=np.float64)
        if array.ndim not in (2, 3):
            raise ArgumentError("values", "an array (clips, people)", Described(f"shape {array.shape}"))
        names = _names("clips", clips, array.shape[-2], "clip"), _names("people", people, array.shape[-1], "person")
        at = np.argwhere(~np.isnan(array))
        return cls(*names, at[:, -2], at[:, -1], _checked(array[~np.isnan(array)], low, high))

    @classmethod
    def from_rows(
        cls,
        clips: Sequence[str],
        people: Sequence[str],
        values: Sequence[float | None],
        *,
        repetitions: Sequence[Any] | None = None,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> Ratings:
        """Return ratings from three sequences of one length: a clip, a person and a number, or `None` where none is.

        Args:
            clips: the clip of each rating.
            people: who rated it.
            values: the rating.
            repetitions: tells the ratings apart that one person gave one clip (*optional*).
            low: the lowest rating that people could give.
            high: the highest one.

        Raises:
            ArgumentError: for other lengths, two ratings of one clip by one person, and as in `from_array`.
        """
        if not len(clips) == len(people) == len(values):
            got = Described(f"{len(clips)}, {len(people)} and {len(values)}")
            raise ArgumentError("ratings", "as many clips as people and values", got)
        seen = set[tuple[Any, ...]]()
        for row in zip(clips, people, repetitions if repetitions is not None else [None] * len(clips), strict=True):
            if row in seen:
                remedy = "keep one of them, or number them in a column repetition"
                raise ArgumentError(
                    "ratings", "one rating of a clip by a person", Described(f"two of {row[0]} by {row[1]}"), remedy
                )
            seen.add(row)
        of_clip, of_person = dict.fromkeys(clips), dict.fromkeys(people)
        clip_at, person_at = ({name: i for i, name in enumerate(names)} for names in (of_clip, of_person))
        array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        kept = ~np.isnan(array)
        return cls(
            tuple(of_clip),
            tuple(of_person),
            np.array([clip_at[name] for name in clips], dtype=np.int64)[kept],
            np.array([person_at[name] for name in people], dtype=np.int64)[kept],
            _checked(array[kept], low, high),
        )

    def __len__(self) -> int:
        return len(self.values)

    def kept(self, keep: NDArray[np.bool_]) -> Ratings:
        """Return the ratings (of all, with the same names) where `keep` (ratings,) is true."""
        return Ratings(self.clips, self.people, self.clip[keep], self.person[keep], self.values[keep])

    def with_values(self, values: Floats) -> Ratings:
        """Return the same ratings with other numbers."""
        return Ratings(self.clips, self.people, self.clip, self.person, values)

    def table(self) -> Floats:
        """Return an array (clips, people) with NaN where there is no rating; repeated ratings are averaged."""
        shape = (len(self.clips), len(self.people))
        total, count = np.zeros(shape), np.zeros(shape)
        np.add.at(total, (self.clip, self.person), self.values)
        np.add.at(count, (self.clip, self.person), 1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _shown(self) -> Shown:
        rows = ((self.clips[c], self.people[p], v) for c, p, v in zip(self.clip, self.person, self.values, strict=True))
        title = f"{counted(len(self), 'rating')} of {counted(len(self.clips), 'clip')} by {len(self.people)} people"
        return title, ["clip", "person", "rating"], (row for row, _ in zip(rows, range(SHOWN), strict=False)), len(self)


def read_ratings(
    path: str | PathLike[str],
    dimension: str = "overall",
    *,
    clip: str = "clip",
    person: str = "person",
    low: float = -math.inf,
    high: float = math.inf,
) -> Ratings:
    r"""Read ratings from a table with a row a rating: CSV, TSV, JSON lines, JSON or Parquet.

    Rows of one clip and person are told apart by a column ``repetition``, if there is one.

    Args:
        path: the file.
        dimension: the column with the ratings; an empty value is a missing rating.
        clip: the column with the clip.
        person: the column with the person.
        low: the lowest rating that people could give.
        high: the highest one.

    Raises:
        ArgumentError: if a column is missing (it lists those found), a rating is not a number or out of range, or one
            person rated a clip twice.
        AvrewardError: if the file can't be read.

    Example:
        >>> _ = Path("ratings.csv").write_text("clip,person,overall\na.mp4,ann,4\na.mp4,bob,2\nb.mp4,ann,5\n")
        >>> len(read_ratings("ratings.csv", low=1, high=5))
        3
    """
    from avreward.scoring._manifest import columns_of

    columns = columns_of(Path(path))
    for name in (clip, person, dimension):
        if name not in columns:
            raise unknown_name(f"column of {path}", name, columns, "name the columns: clip=…, person=…, dimension")
    values = [_number(path, row, value) for row, value in enumerate(columns[dimension], 1)]
    clips, people = ([_named(path, row, name, v) for row, v in enumerate(columns[name], 1)] for name in (clip, person))
    try:
        return Ratings.from_rows(clips, people, values, repetitions=columns.get("repetition"), low=low, high=high)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error.name}", error.expected, Described(error.got), error.remedy) from error


def _number(path: str | PathLike[str], row: int, value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{path}, row {row}", "a number as a rating", value, "leave it empty if missing") from error


def _named(path: str | PathLike[str], row: int, column: str, value: Any) -> str:
    if value is None or value != value or not str(value).strip():  # NaN is what Parquet has for nothing
        remedy = "name it, or leave the row out"
        raise ArgumentError(f"{path}, row {row}", f"a name in the column {column}", Described("none"), remedy)
    return str(value)


def _names(kind: str, names: Sequence[str] | None, count: int, default: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{default} {i}" for i in range(1, count + 1))
    if len(names) != count:
        raise ArgumentError(kind, f"{count} names", Described(str(len(names))))
    twice = next((name for name in names if list(names).count(name) > 1), None) if len(set(names)) < count else None
    if twice is not None:
        raise ArgumentError(kind, "different names", Described(f"{twice!r} twice"))
    return tuple(map(str, names))


def _checked(values: Floats, low: float, high: float) -> Floats:
    wrong = values[~np.isfinite(values) | (values < low) | (values > high)]
    if len(wrong):
        expected = "finite ratings" if math.isinf(low) and math.isinf(high) else f"ratings from {low:g} to {high:g}"
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ArgumentError("ratings", expected, Described(f"{wrong[0]:g}{more}"), "correct them or the range")
    if not len(values):
        raise ArgumentError("ratings", "at least one rating", Described("none"))
    return values
