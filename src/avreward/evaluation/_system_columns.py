"""Which columns of a scored table a comparison of systems is about, and which end of them is better."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.raters.registry import card_of
from avreward.scoring.table_reader import ScoredTable


def chosen_columns(
    table: ScoredTable, asked: Sequence[str] | None, lower: Sequence[str], used: Collection[str | None]
) -> tuple[tuple[str, ...], frozenset[str], list[str]]:
    """Return the columns to compare, those of which lower is better, and remarks.

    Args:
        table: the table.
        asked: the columns asked for, or `None` for the reward and the main dimensions.
        lower: columns that the user says are better when lower.
        used: columns that have another purpose.

    Raises:
        ArgumentError: for unknown or repeated columns, and if there is none with a number.
    """
    remarks: list[str] = []
    if asked is None:
        names = [name for name in _main(table) if name not in used and np.isfinite(table.numbers(name)).any()]
        for name in [name for name in names[1:] if names[0] == "reward" and _equal(table, name)]:
            names.remove(name)
            remarks.append(f"reward equals {name}, which is not shown again.")
    else:
        names = list(asked)
        twice = next((name for name in names if names.count(name) > 1), None)
        if isinstance(asked, str) or twice is not None:
            raise ArgumentError("columns", "a list of different columns", asked if twice is None else twice)
    if not names:
        got = Described(f"none in {table.path}")
        raise ArgumentError("columns", "at least one column of scores", got, "score the clips first")
    for name in names:
        table.numbers(name)
    unknown = [name for name in lower if name not in names]
    if unknown:
        raise unknown_name("lower", unknown[0], names)
    return tuple(names), frozenset(lower) | {name for name in names if _downward(name)}, remarks


def _main(table: ScoredTable) -> list[str]:
    """Return the reward and the scores that are not measurements behind a rater's dimensions."""
    names = ["reward"] if table.has("reward") and np.isfinite(table.numbers("reward")).any() else []
    raters = table.metadata.get("raters") or {}
    for name in table.scores:
        rater, _, dimension = name.partition(".")
        if raters and rater not in raters:
            continue  # a number from a manifest
        card = card_of(rater) if dimension else None
        known = () if card is None else card.dimensions
        if not known or any(one.name == dimension and not one.detail for one in known):
            names.append(name)
    return names


def _downward(name: str) -> bool:
    rater, _, dimension = name.partition(".")
    card = card_of(rater) if dimension else None
    return card is not None and any(d.name == dimension and d.higher_is_better is False for d in card.dimensions)


def _equal(table: ScoredTable, name: str) -> bool:
    return bool(np.array_equal(table.numbers("reward"), table.numbers(name), equal_nan=True))
