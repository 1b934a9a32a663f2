"""`avreward train`: fit a rater to people's judgments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import cell, print_json_text, stderr, stdout
from avreward.cli._inputs import Isolate

if TYPE_CHECKING:
    from rich.table import Table


def train(
    config: Annotated[Path, typer.Argument(help="The configuration (YAML): rater, tables, stages, settings.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for checkpoints and the rater. Default: that of CONFIG.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change an entry, such as settings.learning_rate=1e-4 or stages.0.loss=l1; repeatable."
        ),
    ] = None,
    ablation: Annotated[str | None, typer.Option(help="One of the ablations that CONFIG names.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Refuse to go on from an earlier run in the folder.")] = False,
    isolate: Isolate = None,
    push: Annotated[
        str | None,
        typer.Option("--push-to-hub", metavar="[OWNER/]NAME", help="Also upload the rater, to a private repository."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the last metrics as JSON.")] = False,
) -> None:
    """Train a rater on ratings, level words or choices of people.

    Each stage evaluates after each epoch and keeps the best checkpoint. The finished rater is in `OUT/rater` with its
    calibration, uncertainty and model card: `avreward rank --rater OUT/rater` uses it. The same command again goes on
    after an interruption.
    """
    from avreward.training.rater.run import read_run, train_rater

    named = [] if out is None else [f"output={json.dumps(str(out))}"]
    run = read_run(config, [*(changes or ()), *named], ablation)
    console = stderr()
    trained = train_rater(
        run, resume=not fresh, say=lambda line: console.print(line, markup=False, soft_wrap=True), isolate=isolate
    )
    metrics = best_metrics(trained.record["stages"])
    folder = Path(run.output) / "rater"
    if as_json:
        print_json_text({"rater": str(folder), "stages": metrics})
    else:
        stdout().print(_table(metrics))
    console.print(f"{folder}: {trained.name}, {trained.fingerprint}", markup=False, soft_wrap=True)
    if push is not None:
        console.print(trained.push_to_hub(push), markup=False, soft_wrap=True)


def best_metrics(stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each stage with the metrics of its best evaluation, whose weights were kept."""
    found = []
    for number, stage in enumerate(stages, 1):
        settings = stage["settings"]
        key = "eval_pair_accuracy" if settings["stage"] == "pairs" else "eval_srcc"
        tested = [curve for curve in stage["curves"] if key in curve]
        best: Mapping[str, Any] = max(tested, key=lambda curve: (not math.isnan(curve[key]), curve[key]), default={})
        row = {"stage": number, "kind": settings["stage"], "loss": settings["loss"]}
        found.append(row | {name: best[name] for name in ("epoch",) if name in best} | _shortened(best))
    return found


def _shortened(curve: Mapping[str, Any]) -> dict[str, float | None]:
    numbers = {name.removeprefix("eval_"): value for name, value in curve.items() if name.startswith("eval_")}
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def _table(metrics: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    names = list(dict.fromkeys(name for row in metrics for name in row if "/" not in name))
    table = Table(*map(cell, names), title="Held-out metrics of the weights that were kept")
    for row in metrics:
        table.add_row(*(_cell(row.get(name)) for name in names))
    return table


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else cell(str(value))
