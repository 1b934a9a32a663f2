"""`avreward leaderboard`: rewards as what generators are chosen and trained by, side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import (
    SOME_FAILED,
    RaterNames,
    cell,
    complain,
    progress,
    raters_of,
    reward_of,
    shown,
    stderr,
    stdout,
    writable,
)
from avreward.cli._inputs import Isolate, decode_apart, keep_inputs, listed
from avreward.cli.people._generated import made_by

if TYPE_CHECKING:
    from avreward.audit import Leaderboard
    from avreward.clip import Clip
    from avreward.rewards.base import Reward

ENDINGS = (".html", ".htm", ".csv", ".json")


def leaderboard(
    rewards: Annotated[
        list[str],
        typer.Argument(help="Expressions or reward files, two or more; NAME=REWARD names one.", show_default=False),
    ],
    study: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="People's comparisons, such as avreward ask exports: the clips in it."),
    ] = None,
    verdict: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of TABLE that says first, second or tie.")
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(help="Instead of --study: candidates that a generator made, folders or manifests. Repeatable."),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="Instead of --study: what makes the candidates, generate(clip, seed) -> Clip, or a function that "
            "returns a generator, as for avreward tune. The file's code runs.",
        ),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(help="With --generator: .txt with a prompt a line, or clips, such as silent videos."),
    ] = None,
    candidates: Annotated[int, typer.Option("-n", help="With --generator: candidates of each condition.", min=2)] = 4,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --generator: keep what it makes here. Default: nowhere.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="What --clips of a group share: parent, prompt, video, stem, or a column.")
    ] = "parent",
    rater: RaterNames = None,
    attacked: Annotated[int, typer.Option(help="How many clips are attacked.", min=0)] = 4,
    out: Annotated[
        list[Path] | None, typer.Option(help="Write the leaderboard here: .html, .csv or .json. Repeatable.")
    ] = None,
    isolate: Isolate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
    seed: Annotated[int, typer.Option(help="Of the attacks.", min=0)] = 0,
) -> None:
    """Compare rewards: agreement with people, best-of-N, exploitability, stability, cost.

    A reward is held out from another one if they share no rater, so give rewards of different raters. Attacks run along
    the gradient, by random search, and by edits that a generator could make; what they gain is shown beside what the
    held-out rewards gain.
    """
    if sum((study is not None, bool(clips), generator is not None)) != 1:
        raise typer.BadParameter("give one of --study, --clips and --generator", param_hint="--study")
    if (generator is None) != (conditions is None) or (keep is not None and generator is None):
        raise typer.BadParameter(
            "--generator needs --conditions, and --keep needs --generator", param_hint="--generator"
        )
    for path in out or ():
        writable(path, "--out", ENDINGS)
        keep_inputs(path, [study, *(clips or ())])
    raters = raters_of(rater)
    chosen = {}
    for text in rewards:
        name, separator, expression = text.partition("=")
        name, expression = (name, expression) if separator and name.isidentifier() else (text, text)
        if name in chosen:
            raise typer.BadParameter(f"{name}: expected each reward once", param_hint="REWARDS")
        chosen[name] = reward_of(expression, raters, "REWARDS")
    with ExitStack() as stack:
        if generator is not None:
            place = stack.enter_context(_folder(keep))
            made, groups, failed = made_by(generator, str(conditions), candidates, place)
            found: Found = made, groups, [], failed
        else:
            found = _judged(study, verdict, isolate) if study else _made(clips or [], by, isolate)
        _compare(chosen, found, attacked, seed, out or (), as_json)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield a folder, which ends with the context unless it is to be kept."""
    if keep is None:
        with TemporaryDirectory(prefix="avreward-", ignore_cleanup_errors=True) as place:
            yield Path(place)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


Found = tuple[list["Clip"], list[str], list[tuple[int, int]], list[str]]


def _compare(
    chosen: dict[str, Reward], found: Found, attacked: int, seed: int, out: Sequence[Path], as_json: bool
) -> None:
    """Print the leaderboard, and write it where it was asked for."""
    from avreward.audit import leaderboard as compare
    from avreward.audit._leaderboard import pieces
    from avreward.errors import AvrewardError
    from avreward.report.leaderboard_page import leaderboard_json, write_leaderboard

    opened, groups, preferences, failed = found
    if not opened:
        raise AvrewardError(f"none of the {len(failed)} files can be opened; give at least one that can")
    with progress("Comparing", pieces(len(chosen), len(opened), attacked)) as step:
        board = compare(chosen, opened, groups, preferences=preferences, attacked=attacked, seed=seed, step=step)
    for name, why in board.failed:
        complain(f"{name}: {why}")
    if as_json:
        sys.stdout.write(leaderboard_json(board))
    else:
        _print(board)
    for path in out:
        write_leaderboard(board, path)
        stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)
    if board.failed or failed:
        raise typer.Exit(SOME_FAILED)


def _judged(study: Path, verdict: str | None, isolate: bool | None) -> Found:
    """Return the clips of a table of comparisons, their groups, the preferences, and the files that do not open."""
    from avreward.clip import Clip
    from avreward.errors import AvrewardError
    from avreward.studies._pair_rows import read_pair_rows

    rows = read_pair_rows(study, verdict)
    decode_apart({file for row in rows for file in row.files}, isolate)
    opened: list[Clip] = []
    groups: list[str] = []
    known: dict[Path, int | None] = {}
    preferences: list[tuple[int, int]] = []
    for row in rows:
        for file in row.files:
            if file in known:
                continue
            try:
                clip = Clip.open(file, prompt=row.prompt or None)
            except AvrewardError as error:
                known[file] = None
                complain(f"{shown(file)}: {error}")
                continue
            known[file] = len(opened)
            opened.append(clip)
            groups.append(row.group or row.prompt or " ".join(sorted(map(str, row.files))))
        first, second = (known[file] for file in row.files)
        if row.picked is not None and first is not None and second is not None:
            preferences.append((first, second) if row.picked == 0 else (second, first))
    return opened, groups, preferences, [str(file) for file, at in known.items() if at is None]


def _made(paths: list[Path], by: str, isolate: bool | None) -> Found:
    from avreward.clip import Clip
    from avreward.errors import MediaError
    from avreward.scoring._grouping import group_of

    found = listed(paths)
    decode_apart(found, isolate)
    opened: list[Clip] = []
    groups: list[str] = []
    failed: list[str] = []
    for one in found:
        try:
            clip = Clip.open(one.path, prompt=one.prompt, texts=one.texts)
            group = group_of(one, by, clip)
        except MediaError as error:
            failed.append(str(one.path))
            complain(f"{shown(one.path)}: {error}")
            continue
        opened.append(clip)
        groups.append(group if group is not None else str(one.path))
    return opened, groups, [], failed


def _print(board: Leaderboard) -> None:
    from rich import box
    from rich.table import Table

    from avreward.report.page import ABSENT, number

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Reward", overflow="fold")
    titles = ("Agreement", "Best of N", "Gradient", "Search", "Edits", "Shift", "Seconds")
    for title in titles:
        table.add_column(title, justify="right")
    for row in board.records():
        cells = [_with_interval(row, name) for name in ("agreement", "best_of_n")]
        for kind in ("gradient", "search", "edits"):
            gain, held = row[f"{kind}_gain"], row[f"{kind}_held_out"]
            beside = "" if held is None else f" (held out {number(held)})"
            cells.append(ABSENT if gain is None else f"{number(gain)}{beside}")
        cells += [ABSENT if row[name] is None else number(row[name]) for name in ("shift", "seconds")]
        table.add_row(cell(row["reward"]), *cells)
    console = stdout()
    console.print(table)
    console.print("Gains and shifts are in standard deviations of each reward over the clips.", soft_wrap=True)
    for note in board.notes:
        console.print(cell(note), style="yellow", soft_wrap=True)


def _with_interval(row: dict[str, object], name: str) -> str:
    from avreward.report.page import ABSENT, number

    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if not isinstance(value, float):
        return ABSENT
    ends = f" ({number(low)} to {number(high)})" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{number(value)}{ends}"
