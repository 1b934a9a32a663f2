"""`avreward evaluate`: how far a rater agrees with people, on a corpus or on judgments of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import LISTED, SOME_FAILED, complain, shown, writable
from avreward.cli._inputs import Isolate, keep_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from avreward.datasets.readers.corpus import JudgedTable
    from avreward.raters.base import Rater
    from avreward.scoring.table_reader import ScoredTable


def evaluate(
    rater: Annotated[
        str,
        typer.Argument(
            help="A rater: signals, a checkpoint's folder, its name on the hub, FILE.py:NAME; or a scored table "
            "(.parquet, .jsonl, .csv) with the scores.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        Path, typer.Argument(help="The label file, or the corpus's folder.", show_default=False)
    ],
    corpus: Annotated[
        str, typer.Option(metavar="NAME", help="How it is laid out: agavqa_mos, text_to_audio, aigvqa_db, q_eval, "
                          "t2vqa_db, videogen_rewardbench, …; table or pairs for tables of your own.")
    ] = "table",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="A column or dimension of another name. Repeatable."),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where clips' paths start. Default: the labels' folder.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="DIMENSION=SCORE", help="Judge this dimension by this score. Repeatable. "
                     "Default: the score of the same name, else the rater's overall or only one."),
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option(metavar="SCORE", help="A score of which less is better. Repeatable.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="KEY", help="Also by category, system, … of the labels.")
    ] = None,
    low: Annotated[float | None, typer.Option(help="The lowest rating that people could give.")] = None,
    high: Annotated[float | None, typer.Option(help="The highest one.")] = None,
    multi_input: Annotated[
        bool,
        typer.Option("--multi-input", help="Also ask a language-model rater for the best clip of each group, with "
                     "every clip at every position."),
    ] = False,
    isolate: Isolate = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers: .csv, or .tex (LaTeX).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:  # fmt: skip
    """Compare a rater's scores with people's judgments: correlations, pair accuracy, best of a group.

    Of clips with scores by people: SRCC, KRCC and PLCC, PLCC and RMSE after a fitted logistic curve, pairs within a
    prompt or video in the right order, the best clip of each chosen. Of pairs: accuracy with and without ties.
    Intervals are bootstrapped by prompt or video; published results stand beside them. A clip that is missing is named
    and left out.
    """
    writable(out, "--out", (".csv", ".tex"))
    keep_inputs(out, [dataset, Path(rater), clips])
    from avreward.cli.people._evaluation import (
        chosen_scores,
        multi_input_rows,
        print_evaluation,
        print_json,
        write_evaluation,
    )
    from avreward.datasets.readers.corpus import read_corpus
    from avreward.datasets.readers.published_scores import published_results
    from avreward.evaluation.judgments import evaluate_judgments

    judged = read_corpus(corpus, dataset, columns=_pairs(columns, "--column"), clips=clips, low=low, high=high)
    if by is None and any(row.get("category") for row in judged.rows):
        by = "category"
    judge, table = _scores(rater, judged, isolate)
    chosen, downward = chosen_scores(judged, judge, table, _pairs(against, "--against"))
    found = evaluate_judgments(
        judged, _lookup(table), chosen, lower=[*downward, *(lower or ())], by=by, level=level, seed=seed
    )
    more = multi_input_rows(judge, judged, chosen) if multi_input else []
    published = [one for one in published_results(corpus) if one.dimension in chosen]
    if out is not None:
        write_evaluation(found, published, rater, out)
    tell = print_json if as_json else print_evaluation
    tell(found, published, more, rater, judged)
    for clip in found.left_out[:LISTED]:
        complain(f"left out: {shown(Path(clip))}: no score")
    if len(found.left_out) > LISTED:
        complain(f"left out: {len(found.left_out) - LISTED} more; --json names all")
    if found.left_out:
        raise typer.Exit(SOME_FAILED)


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts or ())
    for text, (ours, theirs) in zip(texts or (), found.items(), strict=False):
        if not ours or not theirs:
            raise typer.BadParameter(f"expected NAME=COLUMN, got {text!r}", param_hint=option)
    return found


def _scores(rater: str, judged: JudgedTable, isolate: bool | None) -> tuple[Rater | None, ScoredTable]:
    """Return the rater and the scores of the judged clips, or the scores in a table."""
    from avreward.cli._common import rater_of
    from avreward.cli._scored import table_of_clips
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.table_reader import read_table
    from avreward.scoring.table_writer import ENDINGS

    if Path(rater).suffix.lower() in ENDINGS:
        return None, read_table(rater)
    judge = rater_of(rater, "RATER")
    prompts: dict[str, str | None] = {}
    for row in judged.rows:
        for name in ("clip", "first", "second"):
            if name in row:
                prompts.setdefault(str(row[name]), row.get("prompt"))
    listed = [ListedClip(Path(clip), prompt) for clip, prompt in prompts.items()]
    return judge, table_of_clips(judged.path, {judge.name: judge}, listed, isolate)


def _lookup(table: ScoredTable) -> Callable[[str, str], float | None]:
    """Return (clip, column) → score. A clip is known by its path, or by its name if only one clip has it."""
    from collections import Counter

    paths = [Path(clip) for clip in table.column("clip").to_pylist()]
    names = Counter(path.name for path in paths)
    rows = {path.name: row for row, path in enumerate(paths) if names[path.name] == 1}
    rows |= {str(path.absolute()): row for row, path in enumerate(paths)}
    columns: dict[str, Mapping[int, float] | list[float]] = {}

    def score(clip: str, column: str) -> float | None:
        values = columns.setdefault(column, table.numbers(column).tolist())
        row = rows.get(str(Path(clip).absolute()), rows.get(Path(clip).name))
        return None if row is None else values[row]

    return score
