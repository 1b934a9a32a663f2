"""What `avreward evaluate` chooses, prints and writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from avreward._display import counted
from avreward.cli._common import cell, print_json_text, stderr, stdout
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name

if TYPE_CHECKING:
    from avreward.datasets.readers.corpus import JudgedTable
    from avreward.datasets.readers.published_scores import PublishedResult
    from avreward.evaluation.judgments import RaterEvaluation
    from avreward.raters.base import Rater
    from avreward.scoring.table_reader import ScoredTable

HEADINGS = {
    "srcc": "SRCC", "krcc": "KRCC", "plcc": "PLCC", "plcc_fitted": "PLCC, fitted", "rmse_fitted": "RMSE, fitted",
    "pair_accuracy": "Pairs", "best_of_group": "Best of group",
    "accuracy_with_ties": "With ties", "accuracy_without_ties": "Without ties",
}  # fmt: skip
MOST = 9  # clips that a language model compares in one prompt


def chosen_scores(
    judged: JudgedTable, rater: Rater | None, table: ScoredTable, asked: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return dimension of the judgments → column of scores, and the columns of which less is better."""
    columns = list(table.scores) if rater is None else [f"{rater.name}.{one.name}" for one in rater.dimensions]
    downward = [] if rater is None else [
        f"{rater.name}.{one.name}" for one in rater.dimensions if one.higher_is_better is False
    ]  # fmt: skip
    short: dict[str, str] = {}
    for column in columns:
        short.setdefault(column.rpartition(".")[2], column)
    chosen = {}
    for dimension in asked or judged.dimensions:
        if dimension not in judged.dimensions:
            raise unknown_name("against", dimension, judged.dimensions)
        name = asked.get(dimension, dimension)
        if name in columns or name in short:
            chosen[dimension] = name if name in columns else short[name]
        elif asked:
            raise unknown_name("against", name, [*columns, *short])
        elif "overall" in short or len(columns) == 1:
            chosen[dimension] = short.get("overall", columns[0])
    if not chosen:
        got = Described(", ".join(columns[:8]) or "none")
        remedy = "say which score judges which dimension: --against DIMENSION=SCORE"
        raise ArgumentError("against", f"a score for {' or '.join(judged.dimensions)}", got, remedy)
    return chosen, downward


def multi_input_rows(rater: Rater | None, judged: JudgedTable, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how often a language model that sees all clips of a group names the best one, with chance and interval."""
    import torch

    from avreward.clip import Clip
    from avreward.evaluation.intervals import wilson
    from avreward.raters.lmm.rater import LmmRater

    if not isinstance(rater, LmmRater) or judged.kind != "scores":
        problem = "only a language-model rater compares several clips, on judgments of clips; leave it out"
        raise typer.BadParameter(problem, param_hint="--multi-input")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in judged.rows:
        groups.setdefault(str(row.get("group") or row["clip"]), []).append(row)
    found = []
    for dimension in chosen:
        right, chance = [], []
        for rows in groups.values():
            known = [row for row in rows if row.get(dimension) is not None]
            truth = [row[dimension] for row in known]
            if not 2 <= len(known) <= MOST or min(truth) == max(truth):
                continue
            with torch.no_grad():
                chances = rater.compare([Clip.open(row["clip"], prompt=row.get("prompt")) for row in known])
            right.append(truth[int(chances.argmax())] == max(truth))
            chance.append(truth.count(max(truth)) / len(truth))
        low, high = wilson(sum(right), len(right))
        share = sum(right) / len(right) if right else math.nan
        found.append({"dimension": dimension, "metric": "multi_input", "value": share, "low": low, "high": high,
                      "groups": len(right), "chance": sum(chance) / len(chance) if chance else math.nan})  # fmt: skip
    return found


def print_evaluation(
    found: RaterEvaluation,
    published: Sequence[PublishedResult],
    more: Sequence[Mapping[str, Any]],
    rater: str,
    judged: JudgedTable,
) -> None:
    """Print a table a dimension, with published results below ours, and one by category."""
    out = stdout()

    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=True)

    what = "pair" if judged.kind == "pairs" else "clip"
    say(f"{counted(len(judged), what)} of {judged.corpus}.")
    dimensions = dict.fromkeys(one.dimension for one in found.metrics)
    for dimension in dimensions:
        _print_dimension(found, dimension, [one for one in published if one.dimension == dimension], rater)
        if dimension in found.chance:
            say(f"Guessing the best of a group is right in {100 * found.chance[dimension]:.0f} %.")
    for row in more:
        share, low, high, chance = (f"{100 * row[name]:.0f} %" for name in ("value", "low", "high", "chance"))
        counts = f"guessing {chance}, {counted(row['groups'], 'group')}"
        say(f"{row['dimension']}: multi-input accuracy {share} [{low}, {high}], {counts}.")
    _print_categories(found)
    say(f"Brackets: {found.level:.0%} intervals, bootstrapped by prompt or video.")
    for note in found.notes:
        say(f"{note}.")
    if published:
        say("Published results: methods that were mostly trained on the rest of the corpus.")


def _print_dimension(found: RaterEvaluation, dimension: str, published: Sequence[PublishedResult], rater: str) -> None:
    ours = {one.metric: one for one in found.metrics if one.dimension == dimension and not one.category}
    names = [name for name in HEADINGS if name in ours or any(name in one.metrics for one in published)]
    score = next(iter(ours.values())).score
    rows = _table(dimension, *(HEADINGS[name] for name in names))
    cells = ["" if name not in ours else f"{_text(ours[name].value)} {_ends(ours[name])}" for name in names]
    rows.add_row(cell(score if score.partition(".")[0] in rater else f"{score} of {rater}"), *map(cell, cells))
    for one in published:
        rows.add_row(cell(f"{one.method} ({one.note})"), *(_text(one.metrics.get(name)) for name in names))
    stdout().print(rows)


def _print_categories(found: RaterEvaluation) -> None:
    categories = sorted({one.category for one in found.metrics} - {""})
    names = [name for name in HEADINGS if any(one.metric == name and one.category for one in found.metrics)]
    if not categories:
        return
    rows = _table("Category", "Dimension", *(HEADINGS[name] for name in names))
    for category in categories:
        for dimension in dict.fromkeys(one.dimension for one in found.metrics):
            ones = [found.get(dimension, name, category) for name in names]
            if any(ones):
                cells = [cell(f"{_text(one.value)} {_ends(one)}") if one else "" for one in ones]
                rows.add_row(cell(category), cell(dimension), *cells)
    stdout().print(rows)


def _text(value: float | None) -> str:
    return "" if value is None else "–" if not math.isfinite(value) else f"{value:.3f}"


def _ends(one: Any) -> str:
    return "" if not math.isfinite(one.low) else f"[{one.low:.3f}, {one.high:.3f}]"


def _table(first: str, *heads: str) -> Any:
    from rich import box
    from rich.table import Table

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column(cell(first), overflow="fold")
    for head in heads:
        rows.add_column(cell(head), justify="right")
    return rows


def print_json(
    found: RaterEvaluation,
    published: Sequence[PublishedResult],
    more: Sequence[Mapping[str, Any]],
    rater: str,
    judged: JudgedTable,
) -> None:
    """Print everything as JSON."""
    told = {
        "rater": rater,
        "dataset": str(judged.path),
        "corpus": judged.corpus,
        "kind": found.kind,
        "rows": len(judged),
        "level": found.level,
        "metrics": [asdict(one) for one in found.metrics],
        "multi_input": list(more),
        "chance": dict(found.chance),
        "published": [{**asdict(one), "metrics": dict(one.metrics)} for one in published],
        "left_out": list(found.left_out),
        "notes": list(found.notes),
    }
    print_json_text(told)


def write_evaluation(found: RaterEvaluation, published: Sequence[PublishedResult], rater: str, out: Path) -> None:
    """Write the numbers as CSV, or a LaTeX table."""
    from avreward.report._evaluation_files import evaluation_csv, evaluation_latex
    from avreward.report.page import write_whole

    rows = [(one.dimension, one.method, one.metrics) for one in published]
    text = evaluation_latex(found, rows, rater) if out.suffix.lower() == ".tex" else evaluation_csv(found, rows, rater)
    try:
        write_whole(out, text)
    except OSError as error:
        raise AvrewardError(f"{out}: can't be written ({error.strerror or error}); choose another place") from error
    stderr().print(f"wrote {out}", style="dim", markup=False, soft_wrap=True)
