"""Judge a fine-tune: does a generator score higher than before, and on more than what it was trained on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from avreward._display import Shown, ShownAsTable, counted
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.evaluation._system_words import ahead, amount, listed, p_text, span
from avreward.evaluation.systems import SystemComparison, reverse

Outcome = Literal["helps", "no evidence", "mixed", "hurts", "overfitted"]
Change = Literal["rose", "unchanged", "fell", "not compared"]


@dataclass(frozen=True, repr=False)
class FineTuneVerdict(ShownAsTable):
    """The result of `judge_fine_tune`.

    Attributes:
        before, after: the systems.
        outcome: ``"helps"``, ``"no evidence"``, ``"mixed"``, ``"hurts"`` or ``"overfitted"``.
        text: the verdict in words.
        trained: the columns that it was trained on.
        held_out: the other columns.
        changes: column → whether it became better (``"rose"``), worse (``"fell"``), or neither was shown.
        comparison: the numbers.
    """

    before: str
    after: str
    outcome: Outcome
    text: str
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    changes: Mapping[str, Change]
    comparison: SystemComparison

    def _shown(self) -> Shown:
        found = {name: self.comparison.difference(name, self.after, self.before) for name in self.changes}
        rows = (
            [name, "trained" if name in self.trained else "held out", change]
            + (["–", "–"] if (one := found[name]) is None else [span(one), p_text(one.corrected)])
            for name, change in self.changes.items()
        )
        columns = ["score", "use", "change", f"{self.after} − {self.before}", "p, corrected"]
        return self.text, columns, rows, len(self.changes)


def judge_fine_tune(
    found: SystemComparison, before: str, trained: Sequence[str] = (), after: str | None = None
) -> FineTuneVerdict:
    """Return whether a fine-tune helps, in words.

    A change counts if its corrected p-value is at most 1 − level. Without `trained`, all columns count alike. A score
    that is not shown to change may still have changed by less than these groups can show.

    | held-out scores | trained score | outcome |
    |---|---|---|
    | some rose, none fell | | helps |
    | some fell | rose | overfitted |
    | some fell, none rose | not shown to rise | hurts |
    | some fell, some rose | not shown to rise | mixed |
    | none changed | fell | hurts |
    | none changed | rose or unchanged | no evidence |

    Args:
        found: a comparison of systems, with clips for the same prompts (and seeds).
        before: the system before the fine-tune.
        trained: the columns that it was trained on (*optional*).
        after: the system after it. Default: the only other one.

    Raises:
        ArgumentError: for an unknown name, if `after` is missing among several, and if all columns were trained on.

    Example:
        >>> from avreward.evaluation import compare_systems
        >>> found = compare_systems("scores.parquet", "seed", columns=["signals.overall", "signals.audio_quality"])
        >>> judge_fine_tune(found, before="0", after="3", trained=["signals.overall"]).outcome
        'no evidence'
    """
    others = [name for name in found.systems if name != before]
    if len(others) == len(found.systems):
        raise unknown_name("before", before, found.systems)
    if after is None and len(others) > 1:
        raise ArgumentError("after", f"one of {', '.join(others)}", None, "name the system after the fine-tune")
    after = others[0] if after is None else after
    if after not in others:
        raise unknown_name("after", after, others)
    for name in trained:
        if name not in found.dimensions:
            raise unknown_name("trained", name, found.dimensions)
    held = tuple(name for name in found.dimensions if name not in trained)
    if not held:
        remedy = "compare further columns, of raters that it was not trained on"
        raise ArgumentError("trained", "not all of the compared columns", Described(listed(trained)), remedy)
    changes = {name: _change(found, name, after, before) for name in found.dimensions}
    outcome, text = _judged(changes, tuple(trained), held, _limit(found, held, before, after))
    return FineTuneVerdict(before, after, outcome, text, tuple(trained), held, changes, found)


def _change(found: SystemComparison, name: str, after: str, before: str) -> Change:
    one = found.difference(name, after, before)
    if one is None:
        return "not compared"
    return "rose" if ahead(found, one) else "fell" if ahead(found, reverse(one)) else "unchanged"


def _judged(
    changes: Mapping[str, Change], trained: tuple[str, ...], held: tuple[str, ...], limit: str
) -> tuple[Outcome, str]:
    rose, fell = ([name for name in held if changes[name] == change] for change in ("rose", "fell"))
    up = [name for name in trained if changes[name] == "rose"]
    down = [name for name in trained if changes[name] == "fell"]
    kind = "held-out " if trained else ""
    if fell and up:
        return "overfitted", f"overfitted: the trained {listed(up)} rose, {kind}{listed(fell)} fell"
    if fell and rose:
        return "mixed", f"mixed: {kind}{listed(rose)} rose, {listed(fell)} fell"
    if fell:
        return "hurts", f"hurts: {kind}{listed(fell)} fell"
    if rose:
        also = f", and the trained {listed(up)} too" if up else f", but the trained {listed(down)} fell" if down else ""
        return "helps", f"helps: {kind}{listed(rose)} rose{also}"
    if down:
        return "hurts", f"hurts: the trained {listed(down)} fell, and no held-out score is shown to change"
    nothing = f"no {kind}score is shown to change{limit}"
    if up:
        return "no evidence", f"no evidence that it helps beyond what it was trained on: {listed(up)} rose, {nothing}"
    return "no evidence", f"no evidence that it helps or hurts: {nothing}"


def _limit(found: SystemComparison, names: Sequence[str], before: str, after: str) -> str:
    """Return how small a change so many groups can show."""
    pairs = [one for name in names if (one := found.difference(name, after, before)) is not None]
    if not any(one.smallest for one in pairs):
        return ""
    least, needed = min(one.groups for one in pairs), max(one.needed for one in pairs)
    if least < needed:
        return f" ({counted(least, 'shared group')} cannot show any; at least {needed} are needed)"
    limits = listed([f"{amount(one.smallest)} in {one.dimension}" for one in pairs if one.smallest])
    return f" ({counted(least, 'shared group')} can show changes from {limits} on)"
