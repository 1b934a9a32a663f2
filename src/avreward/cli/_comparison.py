"""What `avreward compare` prints: tables, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from avreward._display import counted
from avreward.cli._common import cell, print_json_text, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from avreward.evaluation._system_dimension import SystemDifference
    from avreward.evaluation.fine_tune import FineTuneVerdict
    from avreward.evaluation.systems import SystemComparison

ACROSS = 4
"""More scores than these are printed as rows, since their names do not fit beside each other."""


def print_comparison(found: SystemComparison, verdicts: list[FineTuneVerdict]) -> None:
    """Print what was found on standard output."""
    from avreward.report.compare_page import size_of

    out = stdout()

    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=True)

    say(f"{size_of(found)}.")
    for verdict in verdicts:
        say(f"{verdict.after}: {verdict.text}." if len(verdicts) > 1 else f"{verdict.text}.")
    for sentence in () if verdicts else found.verdicts:
        say(f"{sentence}.")
    out.print(_means(found))
    first = found.dimensions[0]
    chosen = [found.difference(name, v.after, v.before) for v in verdicts for name in found.dimensions]
    pairs = [one for one in chosen if one is not None] or [
        one for one in found.differences if one.dimension == first or found.differs(one)
    ]
    out.print(_differences(pairs))
    if len(found.systems) > 2:
        out.print(_wins(found, first))
    if found.categories:
        out.print(_categories(found))
    hidden = len(found.differences) - len(pairs)
    if hidden and not verdicts:
        say(f"{counted(hidden, 'difference')} in other scores not shown; --differences FILE.csv has them all.")
    say(f"Brackets: {found.level:.0%} intervals over groups. Corrected: for all pairs and scores.")
    for note in found.notes:
        say(note)


def _means(found: SystemComparison) -> Table:
    """Return the means: a row a system, or a row a score where there are many."""
    from avreward.evaluation._system_words import amount

    def shown(dimension: str, system: str) -> str:
        one = found.score(dimension, system)
        return f"{amount(one.mean)} [{amount(one.low)}, {amount(one.high)}]"

    heads = {name: f"{name} ↓" if name in found.lower else name for name in found.dimensions}
    if len(heads) > ACROSS:
        rows = _table("Score", *found.systems)
        for name, head in heads.items():
            rows.add_row(cell(head), *(shown(name, system) for system in found.systems))
        return rows
    rows = _table("System", *heads.values())
    for system in found.systems:
        rows.add_row(cell(system), *(shown(name, system) for name in heads))
    return rows


def _categories(found: SystemComparison) -> Table:
    """Return the means by category: a row a system, or a row a score where there are many."""
    from avreward.evaluation._system_words import amount

    if len(found.dimensions) > ACROSS:
        rows = _table("Category", "Score", *found.systems)
        cells = {(one.category, one.dimension, one.system): one for one in found.categories}
        for category in sorted({one.category for one in found.categories}):
            for name in found.dimensions:
                means = [amount(cells[category, name, system].mean) for system in found.systems]
                rows.add_row(*map(cell, (category, name, *means)))
        return rows
    rows = _table("Category", "System", "Groups", *found.dimensions)
    for row in found.category_rows():
        rows.add_row(cell(row[0].category), cell(row[0].system), str(row[0].groups), *(amount(c.mean) for c in row))
    return rows


def _differences(pairs: Sequence[SystemDifference]) -> Table:
    from avreward.evaluation._system_words import amount, p_text, span
    from avreward.report.compare_page import percent

    rows = _table("Difference", "Score", "Groups", "[interval]", "Wins", "p", "p, corrected", "Smallest shown")
    for one in pairs:
        least = f"needs {one.needed} groups" if one.groups < one.needed else amount(one.smallest)
        cells = (str(one.groups), span(one), percent(one.wins), p_text(one.p), p_text(one.corrected), least)
        rows.add_row(*map(cell, (f"{one.first} − {one.second}", one.dimension, *cells)))
    return rows


def _wins(found: SystemComparison, dimension: str) -> Table:
    """Return the win matrix of a dimension, with strengths."""
    from avreward.evaluation._system_words import amount, signed
    from avreward.report.compare_page import percent

    rows = _table(f"{dimension}: row beats column", *found.systems, "Strength")
    for system in found.systems:
        pairs = [None if other == system else found.difference(dimension, system, other) for other in found.systems]
        score = found.score(dimension, system)
        strength = f"{signed(score.strength)} [{amount(score.strength_low)}, {amount(score.strength_high)}]"
        rows.add_row(cell(system), *(percent(one.wins) if one else "" for one in pairs), cell(strength))
    return rows


def _table(first: str, *heads: str) -> Table:
    from rich import box
    from rich.table import Table

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column(cell(first), no_wrap=True)
    for head in heads:
        rows.add_column(cell(head), justify="right")
    return rows


def print_json(found: SystemComparison, verdicts: list[FineTuneVerdict], source: str) -> None:
    """Print everything as JSON."""
    from dataclasses import asdict

    parts = ("scores", "differences", "categories", "left_out")
    told = {
        "table": source,
        "systems": found.systems,
        "dimensions": found.dimensions,
        "lower": sorted(found.lower),
        "clips": found.clips,
        "groups": found.groups,
        "rule": found.rule,
        "level": found.level,
        "verdicts": found.verdicts,
        "notes": found.notes,
        "fine_tunes": [
            {"before": v.before, "after": v.after, "outcome": v.outcome, "text": v.text, "trained": v.trained,
             "held_out": v.held_out, "changes": dict(v.changes)}
            for v in verdicts
        ],
        **{part: [asdict(one) for one in getattr(found, part)] for part in parts},
    }  # fmt: skip
    print_json_text(told)
