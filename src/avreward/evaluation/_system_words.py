"""Sentences about a comparison of systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from avreward._display import counted

if TYPE_CHECKING:
    from avreward.evaluation._system_dimension import SystemDifference
    from avreward.evaluation.systems import SystemComparison

FEW = 10  # groups, below which intervals are wide
LISTED = 4


def verdict_of(found: SystemComparison, dimension: str) -> str:
    """Return which system is best on a dimension, or what cannot be told apart."""
    ranked = [one for one in found.scores if one.dimension == dimension and one.groups]
    if len(ranked) < 2:
        return f"{dimension}: fewer than two systems have a score"
    best = str(found.best(dimension))
    against = {one.system: found.difference(dimension, best, one.system) for one in ranked if one.system != best}
    close = [name for name, one in against.items() if one is None or not ahead(found, one)]
    if not close:
        others = f"all {len(against)} others" if len(against) > 1 else next(iter(against))
        return f"{dimension}: {best} is best, ahead of {others}"
    pairs = [one for one in against.values() if one is not None]
    if len(ranked) == 2:
        text = f"no evidence of a difference between {best} and {close[0]}"
        return f"{dimension}: {text}{''.join(f' ({span(one)})' for one in pairs)}{_can_show(pairs)}"
    if all(one.difference == 0 and one.low == one.high == 0 for one in pairs) and len(pairs) == len(ranked) - 1:
        return f"{dimension}: all {len(ranked)} systems are equal in every group"
    which = f"the {len(close)} others" if len(close) == len(ranked) - 1 and len(close) > 2 else listed(close)
    compared = [one for name, one in against.items() if name in close and one is not None]
    return f"{dimension}: {best} leads, but {which} cannot be told apart from it{_can_show(compared)}"


def ahead(found: SystemComparison, one: SystemDifference) -> bool:
    """Return whether a difference is shown and in favour of its first system."""
    return found.differs(one) and (one.difference < 0) == (one.dimension in found.lower) and one.difference != 0


def _can_show(pairs: Sequence[SystemDifference]) -> str:
    """Return what so few groups can show."""
    if not pairs:
        return "; no group has both"
    least = min(one.groups for one in pairs)
    few = next((one for one in pairs if one.groups < one.needed), None)
    if few is not None:
        return f"; {counted(least, 'group')} cannot show any difference: at least {few.needed} are needed"
    smallest = max(one.smallest for one in pairs)
    return f"; {counted(least, 'group')} can show differences from {amount(smallest)} on" if smallest else ""


def notes_of(found: SystemComparison) -> list[str]:
    """Return remarks on the numbers, one sentence each."""
    lines = []
    needed = max((one.needed for one in found.differences), default=0)
    if found.groups < needed:
        lines.append(
            f"{counted(found.groups, 'group')} cannot show any difference at the level of {found.level:.0%}; at least "
            f"{needed} are needed. Intervals without an end are shown as ∞."
        )
        if len(found.dimensions) > 1:
            lines.append("Fewer groups are needed for fewer scores: name the one that counts (--score COLUMN).")
    elif found.groups < FEW:
        lines.append(f"Only {found.groups} groups: the intervals are wide.")
    unequal = sorted({one.system for one in found.scores if 0 < one.groups < found.groups})
    if unequal:
        lines.append(
            f"{listed(unequal)} {'lacks' if len(unequal) == 1 else 'lack'} some groups: means are over different "
            "groups, differences over shared ones."
        )
    absent = sorted({f"{one.system} has no {one.dimension}" for one in found.scores if not one.groups})
    lines += [f"{text}, so it is not compared there." for text in absent]
    apart = sorted({one.dimension for one in found.scores if one.groups and math.isnan(one.strength)})
    if apart and not absent:
        lines.append(f"No strengths for {listed(apart)}: the systems fall into sets that share no group.")
    return lines


def listed(names: Sequence[str]) -> str:
    """Return names as a list in words.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    shown = [*names] if len(names) <= LISTED else [*names[: LISTED - 1], f"{len(names) - LISTED + 1} others"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def span(one: SystemDifference) -> str:
    """Return a difference and its interval: ``+0.4 [−1, 2]``."""
    return f"{signed(one.difference)} [{amount(one.low)}, {amount(one.high)}]"


def signed(value: float) -> str:
    """Return a number with its sign.

    >>> signed(0.4), signed(-2), signed(0.0)
    ('+0.4', '−2', '0')
    """
    return f"+{amount(value)}" if value > 0 else amount(value)


def amount(value: float) -> str:
    """Return a number with three significant digits and a true minus.

    >>> amount(-12.345), amount(float("-inf")), amount(0.01234), amount(float("nan"))
    ('−12.3', '−∞', '0.0123', '–')
    """
    if math.isnan(value):
        return "–"
    text = "∞" if math.isinf(value) else f"{abs(value):.0f}" if abs(value) >= 1000 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 and text != "0" else text


def p_text(p: float) -> str:
    """Return a p-value.

    >>> p_text(0.03125), p_text(0.00002), p_text(1.0)
    ('0.031', '< 0.001', '1')
    """
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
