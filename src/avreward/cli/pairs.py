"""`avreward pairs`: preference data from a table of scored candidates."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import RaterNames, progress, stderr, stdout, writable
from avreward.cli._inputs import Isolate, PromptsFile, TableOrClips
from avreward.cli._scored import table_of
from avreward.cli.curve import GroupColumn, RewardColumn, print_missing

if TYPE_CHECKING:
    from avreward.selection.pairs.make import PreferencePairs


class WhichPairs(StrEnum):
    """Which pairs are made."""

    BEST_WORST = "best-worst"
    ALL = "all"


class ConflictRule(StrEnum):
    """What happens to a pair whose chosen clip is worse in a named dimension."""

    KEEP = "keep"
    DROP = "drop"


class ExportTarget(StrEnum):
    """Formats."""

    DATASETS = "datasets"
    TRL = "trl"
    KTO = "kto"
    DIFFUSION_DPO = "diffusion-dpo"
    VIDEO_ALIGN = "video-align"
    TANGO_FLUX = "tango-flux"
    AV_DPO = "av-dpo"


MATCH = (
    "Both are alike in seconds, loudness, motion, size, or all; NAME=TOLERANCE (a share; for loudness LU). Repeatable."
)
DIMENSION = "A column in which the chosen clip should not be worse (larger is better). Repeatable."


def pairs(
    inputs: TableOrClips,
    out: Annotated[Path, typer.Option(help="The folder to write: new or empty.", show_default=False)],
    to: Annotated[
        ExportTarget, typer.Option("--format", help="datasets loses nothing; the others have a sidecar.")
    ] = ExportTarget.DATASETS,
    reward: RewardColumn = None,
    rater: RaterNames = None,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    group_by: GroupColumn = None,
    which: Annotated[WhichPairs, typer.Option("--pairs", help="One a group, or every one.")] = WhichPairs.BEST_WORST,
    margin: Annotated[float, typer.Option(help="The rewards differ by more than this.")] = 0.0,
    sigmas: Annotated[float | None, typer.Option(help="… and by more than this many standard errors.")] = None,
    match: Annotated[list[str] | None, typer.Option(metavar="NAME[=TOLERANCE]", help=MATCH)] = None,
    dimension: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help=DIMENSION)] = None,
    conflicts: Annotated[ConflictRule, typer.Option(help="Pairs that contradict a --dimension.")] = ConflictRule.KEEP,
    test: Annotated[float, typer.Option(help="Share of the groups that are for testing.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the media's bytes into the rows (datasets only).")
    ] = False,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the clips to media/ in the folder, so that it can be moved.")
    ] = False,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the trainer will find the exported folder (with --copy), or else the current folder.",
        ),
    ] = None,
    completion: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="For trl and kto: the text that made each clip, instead of its path."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option("--push-to-hub", metavar="[OWNER/]NAME", help="Also upload the folder, to a private dataset."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="… to a public one.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="Of the data, for the card, such as cc-by-4.0.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write a page with the pairs to look at: .html.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="VQ|MQ|TA=COLUMN", help="Which columns VideoAlign's labels come from. Repeatable."),
    ] = None,
) -> None:
    """Preference pairs from scored candidates, in a folder with a data card.

    Candidates are compared within their group: `--group-by`, or as the table was grouped. The folder appears when it is
    complete.
    """
    writable(report, "--report", (".html", ".htm"))

    from avreward.selection.candidates import candidates_of
    from avreward.selection.pairs import PairRule
    from avreward.selection.pairs.make import make_pairs as made

    rule = PairRule(
        "best_worst" if which is WhichPairs.BEST_WORST else "all", margin, sigmas, _matched(match or []),
        tuple(dimension or ()), conflicts.value, test, seed,
    )  # fmt: skip
    labels = dict(_split(text, "--label") for text in label or ())
    table, reward, group_by = table_of(inputs, reward, rater, prompts, group_by, isolate)
    found = made(candidates_of(table, reward, group_by), rule)
    _warn(to, completion, push, embed or copy)
    written = _written(
        found, out, to.value, embed=embed, copy=copy, root=root, labels=labels, completion=completion, licence=licence
    )
    _print(written, out, to)
    if report is not None:
        _write_page(report, written)
    if push:
        from avreward.selection.pairs import push_pairs

        stdout().print(push_pairs(out, push, private=not public), markup=False, soft_wrap=True)


def _warn(to: ExportTarget, completion: str | None, push: str | None, movable: bool) -> None:
    """Refuse to push rows that name local files, and tell that a trainer of text would read paths."""
    texts = to in (ExportTarget.TRL, ExportTarget.KTO)
    if push and not movable and completion is None and to is not ExportTarget.DIFFUSION_DPO:
        message = "the rows would name files of this machine; add --embed or --copy"
        raise typer.BadParameter(message, param_hint="--push-to-hub")
    if texts and completion is None:
        text = "Clips are given by their paths, as text; --completion COLUMN writes the text that made each clip."
        stderr().print(text, markup=False, soft_wrap=True)


def _written(found: PreferencePairs, out: Path, to: str, **options: Any) -> PreferencePairs:
    from avreward.selection.pairs.export import export_pairs

    done = 0
    with progress("Writing", 100) as step:

        def percent(count: int) -> None:
            nonlocal done
            before, done = done, done + count
            for _ in range(100 * done // len(found) - 100 * before // len(found)):
                step()

        return export_pairs(found, out, to, step=percent, **options)


def _write_page(path: Path, found: PreferencePairs) -> None:
    from avreward.report.pairs_page import clips_to_prepare, write_pairs_page

    with progress("Preparing the page", clips_to_prepare(found)) as step:
        write_pairs_page(path, found, step=step)
    stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def _matched(texts: list[str]) -> dict[str, float | None]:
    from avreward.selection.pairs.matching import TOLERANCES

    found: dict[str, float | None] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            tolerance = float(value) if value else None
        except ValueError as error:
            raise typer.BadParameter(f"{text}: expected a number, got {value}", param_hint="--match") from error
        found |= dict.fromkeys(TOLERANCES if name == "all" else [name], tolerance)
    return found


def _split(text: str, option: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or not column:
        raise typer.BadParameter(f"{text}: write NAME=COLUMN", param_hint=option)
    return name, column


def _print(found: PreferencePairs, out: Path, to: ExportTarget) -> None:
    from avreward.selection.pairs._card import rule_in_words
    from avreward.selection.pairs.formats.base import prompted

    console = stdout()
    for sentence in rule_in_words(found):
        console.print(sentence, markup=False, soft_wrap=True)
    tested = int(found.test.sum())
    split = f" ({len(found) - tested} for training, {tested} for testing)" if found.rule.test else ""
    console.print(f"{len(found)} pairs{split} in {out}", markup=False, soft_wrap=True)
    for name, (before, after) in found.leaks.items():
        who = "all of them tell" if name == "together" else f"{name} alone tells"
        text = f"{who} the chosen one in {_share(before)} without matching, {_share(after)} here."
        console.print(text, markup=False, soft_wrap=True)
    lone = int((~prompted(found)).sum())
    if lone and to is not ExportTarget.DATASETS:
        text = (
            f"{lone} of the pairs have no common prompt: their text is empty. avreward score --prompts FILE gives one."
        )
        stderr().print(text, markup=False, soft_wrap=True)
    print_missing(found.pool.missing)
    for why, count in found.dropped.items():
        stderr().print(f"no pair: {count} × {why}", markup=False, soft_wrap=True)


def _share(value: float) -> str:
    return "no pair" if value != value else f"{value:.1%}"
