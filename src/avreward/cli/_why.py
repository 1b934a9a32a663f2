"""Why the best one won, for `rank --why`: differences on the terminal and in JSON, moments and regions on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from avreward.cli._common import cell, complain, progress, stdout

if TYPE_CHECKING:
    from avreward.audit.attribution import Attribution
    from avreward.cli._ranking import Ranking
    from avreward.report._why import Contrast, Why

EXPLAINED = 2  # candidates of a ranking whose moments and regions are drawn: the best and the runner-up
LISTED = 8  # measurements in the table


def why_of(ranking: Ranking) -> Why | None:
    """Return what sets the best one of a ranking apart; `None` if it is the only one."""
    from avreward.cli._ranking import short_names
    from avreward.report._why import measurements_of, why_it_won

    picked, reward = ranking.picked, ranking.reward
    if len(picked.order) < 2:
        return None
    names = short_names(ranking.names)
    found = {}
    with progress("Comparing", len(picked.order)) as step:
        for i in picked.order:
            step(names[i])
            found[i] = measurements_of(picked, reward, i)
    return why_it_won(picked, reward, names, found)


def attributions_of(ranking: Ranking) -> dict[int, Attribution]:
    """Return the attributions of the first candidates of a ranking, by index; a clip that fails costs a line."""
    from avreward.audit._attribute import attribute, steps_of
    from avreward.cli._ranking import short_names
    from avreward.errors import AvrewardError

    picked = ranking.picked
    clips = {i: picked.clip(i) for i in picked.order[:EXPLAINED]}
    names = short_names(ranking.names)
    found = {}
    with progress("Explaining", sum(steps_of(ranking.reward, clip) for clip in clips.values())) as step:
        for i, clip in clips.items():
            try:
                found[i] = attribute(ranking.reward, clip, name=names[i], step=step)
            except AvrewardError as error:
                complain(f"{names[i]}: not explained: {error}")
    return found


def print_sentences(labels: Mapping[str, str], whys: Mapping[str, Why | None]) -> None:
    """Print a sentence for each group: name → what sets its best one apart."""
    for group, why in whys.items():
        if why is not None:
            stdout().print(cell(f"{labels[group]}: {why.sentence()}"), soft_wrap=True)


def print_why(why: Why | None) -> None:
    """Print the differences to the runner-up and to the mean for a person; nothing for a single candidate."""
    if why is None:
        return
    from rich import box
    from rich.table import Table

    from avreward.report.page import lower_first, words

    out = stdout()
    out.print(cell(why.sentence()), style="bold", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Difference", overflow="fold")
    for title in ("Best", "Runner-up", "Mean", "Over runner-up", "Over mean"):
        table.add_column(title, justify="right")
    for rows in (why.dimensions, why.measurements[:LISTED]):
        for row in rows:
            table.add_row(*map(cell, _cells(row)), style="dim" if row.kind == "measurement" else None)
        table.add_section()
    if why.rows:
        out.print(table)
    if why.measurements:
        out.print("Measurements: differences in points of their dimension", style="dim")
    if why.equal:
        equal = ", ".join(lower_first(words(name)) for name in why.equal)
        out.print(cell(f"Equal for all: {equal}"), style="dim", soft_wrap=True)


def _cells(row: Contrast) -> list[str]:
    from avreward.report.page import ABSENT, number, signed, words

    values = [ABSENT if value is None else f"{number(value)} {row.unit}".strip() for value in _values(row)]
    overs = []
    for value, part in ((row.over_runner_up, row.of_reward), (row.over_mean, row.of_reward_mean)):
        overs.append(signed(value) if part is None else f"{signed(value)} ({signed(part)} of the reward)")
    return [words(row.name), *values, *overs]


def _values(row: Contrast) -> Sequence[float | None]:
    return row.best, row.runner_up, row.mean


def told(whys: Mapping[str, Why | None], group: str) -> dict[str, object]:
    """Return what JSON says about one ranking; nothing if it was not asked for."""
    if group not in whys:
        return {}
    why = whys[group]
    return {"why": None if why is None else why.to_json()}
