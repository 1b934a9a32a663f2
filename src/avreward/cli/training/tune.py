"""`avreward tune`: fine-tune a generator on a reward."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import SOME_FAILED, TOLD, complain, print_json_text, progress, shown, stderr, stdout
from avreward.cli._inputs import Isolate, decode_apart
from avreward.errors import AvrewardError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping


def tune(
    config: Annotated[
        Path, typer.Argument(help="The configuration (YAML): generator, conditions, reward, loop, settings.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for everything that is written. Default: that of CONFIG.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change an entry, such as settings.learning_rate=1e-4 or updates=50; repeatable."),
    ] = None,
    variant: Annotated[str | None, typer.Option(help="One of the variants that CONFIG names.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Refuse to go on from an earlier run in the folder.")] = False,
    clips_of: Annotated[
        str | None,
        typer.Option(
            "--clips-of",
            metavar="CONDITIONS",
            help="Train nothing: make a clip of each of these held-out conditions without and with the trained LoRA, "
            "for avreward compare.",
        ),
    ] = None,
    isolate: Isolate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print how the run ended as JSON.")] = False,
) -> None:
    """Fine-tune a generator on a reward: a LoRA, with guards against reward hacking.

    `OUT` holds `lora.safetensors`, `curves.csv`, `run.json`, `samples/` and `report.html`, which is renewed at each
    checkpoint. The same command again goes on after an interruption. A Python file that CONFIG names is run. For
    several processes: `torchrun --nproc-per-node 8 -m avreward tune CONFIG`.
    """
    from avreward.training.tuning.config import read_tuning

    own = os.environ.get("RANK", "0") == "0"  # of several processes the first one speaks
    TOLD.quiet |= not own
    named = [] if out is None else [f"output={json.dumps(str(out))}"]
    run = read_tuning(config, [*(changes or ()), *named], variant)
    from avreward.training.tuning._parts import condition_clips, read_conditions

    decode_apart(condition_clips(clips_of or run.conditions), isolate)
    if clips_of is not None:
        from avreward.training.tuning._samples import before_and_after

        with progress("Making clips", 2 * len(read_conditions(clips_of, run.arguments))) as step, _failures():
            table = before_and_after(run, clips_of, step=step)
        if as_json:
            print_json_text({"clips": str(table)})
        else:
            typer.echo(shown(table))
        return

    from avreward.training.tuning.trainer import tune as train

    with progress("Tuning", run.updates) as step, _failures():
        record = train(run, resume=not fresh, say=complain, step=step)
    summary = record.summary()
    if not own:
        return
    if as_json:
        print_json_text(summary)
    else:
        _print(summary)
    if record.status == "stopped":
        complain(f"stopped after {summary['updates']} updates: {record.reason}")
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _failures() -> Iterator[None]:
    """Within, what a generator, a rater or another library raises is an error of one line: 1 means a guard."""
    try:
        yield
    except (AvrewardError, OSError):
        raise
    except Exception as error:
        problem = f"the run failed ({describe(error)}); correct it (avreward --verbose … shows where)"
        raise AvrewardError(problem) from error


def _print(summary: Mapping[str, Any]) -> None:
    """Print the last update's numbers, and where everything is."""
    from rich.table import Table

    table = Table("number", "last update", title=f"{summary['status']} after {summary['updates']} updates")
    for name, value in summary["last"].items():
        table.add_row(name, "–" if value is None else f"{value:.4g}")
    stdout().print(table)
    stderr().print(f"{summary['output']}: lora.safetensors, curves.csv, report.html", markup=False, soft_wrap=True)
