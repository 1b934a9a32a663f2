"""What the commands share: consoles, exit codes, opening files, progress, the rater and the reward asked for."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from avreward._printable import json_text, message, printable
from avreward.errors import AvrewardError, describe

if TYPE_CHECKING:
    from rich.console import Console

    from avreward.raters.base import Rater
    from avreward.rewards.base import Reward

SOME_FAILED = 1  # the rest was judged
USAGE = 2  # the command was called wrongly, as typer itself reports it
NOTHING = 3  # no file could be judged, or the result could not be written
LISTED = 10  # problems of single clips that are printed, each in a line
INTERRUPTED = 130  # as a shell reports Ctrl-C
PIPE_CLOSED = 141  # as a shell reports a process that wrote to one

RaterNames = Annotated[
    list[str] | None,
    typer.Option(
        "--rater",
        "-r",
        help="A rater: signals, a checkpoint's folder, its name on the Hugging Face hub, or FILE.py:NAME, a rater "
        "in a Python file (it is run). OWN=… calls it OWN. Once for each rater. Default: signals, or the raters that "
        "the reward's file names.",
        show_default=False,
    ),
]


class Step(Protocol):
    """Moves a progress bar on by one; the argument says what is being done."""

    def __call__(self, doing: str = "") -> None:
        """One step further."""


@dataclass
class Told:
    """How much is said on standard error besides warnings and errors.

    Attributes:
        quiet: no progress and no notes.
        verbose: the traceback of an error, too.
    """

    quiet: bool = False
    verbose: bool = False


RESOURCES = ExitStack()  # that the running command holds: locks on its outputs, processes that decode
TOLD = Told()  # set by `--quiet` and `--verbose` before a command runs


def stderr() -> Console:
    """For progress and notes: everything that is neither the result nor a problem; with `--quiet` nothing."""
    return _console(stderr=True, quiet=TOLD.quiet)


def stdout() -> Console:
    """Return the console for results. If it is not a terminal of known width, it is as wide as the table needs."""
    return _console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200)


def _console(**options: Any) -> Console:
    """Return a console that shows what is in a text as `printable` does, in tables and lines alike."""
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **how: Any) -> Text:
            return super().render_str(printable(text, keep="\n"), **how)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PlainConsole(highlight=False, emoji=False, **options)


def shown(path: Path) -> str:
    """Return a path as it can be printed: a file's name may be any bytes, also those that control a terminal."""
    return printable(str(path))


def cell(text: str) -> str:
    """Return a name or another text from data as rich markup that shows it as it is, on one line."""
    from rich.markup import escape

    return escape(printable(text))


def named(name: str, why: str) -> str:
    """Return a reason that begins with the name of its clip, once.

    >>> named("dubs/a.mp4", "a.mp4: the file is empty"), named("a.mp4", "no audio")
    ('dubs/a.mp4: the file is empty', 'a.mp4: no audio')
    """
    source, colon, rest = why.partition(": ")
    return f"{name}: {rest if colon and Path(source).name == Path(name).name else why}"


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"avreward: {message(' '.join(text.split()))}", file=sys.stderr)  # as it is: a file name is not markup


def print_json_text(told: Any) -> None:
    """Write JSON to standard output."""
    sys.stdout.write(json_text(told) + "\n")


class Complaints:
    """Print the first problems of single clips, and count the others."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: str) -> None:
        """Print a problem, if few were printed before."""
        self.count += 1
        if self.count <= LISTED:
            complain(problem)

    def end(self, where: str) -> None:
        """Print how many problems were not printed, and where they all are."""
        if self.count > LISTED:
            complain(f"{self.count - LISTED} more clips like these{where}")


@contextmanager
def progress(label: str, total: int) -> Iterator[Step]:
    """Show a progress bar on standard error if that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("[dim]{task.fields[doing]}[/dim]", markup=True),
    )
    console = stderr()
    hidden = TOLD.quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=total, doing="")

        def step(doing: str = "") -> None:
            bar.update(task, advance=1, doing=cell(doing))

        yield step


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """Say on standard error, if that is a terminal, what is waited for."""
    console = stderr()
    with console.status(cell(doing)) if console.is_terminal and not TOLD.quiet else nullcontext():
        yield


def rater_of(name: str, option: str = "--rater") -> Rater:
    """Return the rater called `name`; an unknown name is a usage error of `option`."""
    try:
        with waiting(f"Loading {name}"):
            from avreward.raters._user_file import names_code, rater_in_file
            from avreward.raters.hub import load_rater

            rater = rater_in_file(name) if names_code(name) else load_rater(name)
            _ = rater.name, rater.dimensions, rater.fingerprint  # one that lacks them fails here, not while rating
    except (KeyError, ValueError, AvrewardError) as error:
        raise typer.BadParameter(_text(error), param_hint=option) from error
    except Exception as error:  # the code of a user or of another package
        if TOLD.verbose:
            traceback.print_exc()
        problem = f"{name}: it cannot be made ({describe(error)}); correct it (avreward --verbose … shows where)"
        raise typer.BadParameter(problem, param_hint=option) from error
    return rater


def raters_of(names: list[str] | None) -> dict[str, Rater]:
    """Return the raters asked for, by the names that expressions know them by; none if there are none.

    ``NAME=FOLDER`` names a rater itself. A wrong one, or one name for two, is a usage error.
    """
    raters: dict[str, Rater] = {}
    for text in names or ():
        alias, _, source = text.partition("=")
        named = bool(source) and alias.isidentifier() and not Path(text).expanduser().is_dir()
        rater = rater_of(source if named else text)
        if named:
            rater.name = alias
        if rater.name in raters:
            problem = (
                f"two raters are called {rater.name}; name one of them yourself, as in {rater.name}2={source or text}"
            )
            raise typer.BadParameter(problem, param_hint="--rater")
        raters[rater.name] = rater
    return raters


def reward_of(text: str | None, raters: Mapping[str, Rater] | Rater, option: str = "--reward") -> Reward:
    """Return the reward in the file `text`, or of the expression `text`; a wrong one is a usage error.

    `option` is where the text comes from.

    Without raters an expression is over `signals`, and a file names its own. Without a text the reward is `overall`, or
    the only dimension of a single rater that has no such one.
    """
    from avreward.raters.base import Rater as Single
    from avreward.rewards.io import load_reward, reward_file

    given = {raters.name: raters} if isinstance(raters, Single) else dict(raters)
    if not given and (text is None or reward_file(text) is None):
        given = raters_of(["signals"])
    with _warnings_in_one_line(), waiting(f"Loading {'overall' if text is None else text}"):
        try:
            return load_reward(_what_counts(given) if text is None else text, given)
        except (AvrewardError, ValueError) as error:
            raise typer.BadParameter(_text(error), param_hint=option) from error


@contextmanager
def wrong_reward(text: str | None) -> Iterator[None]:
    """Turn an error of a reward over the scores of a table into a usage error, as for clips."""
    try:
        yield
    except AvrewardError as error:
        if text is None:
            raise
        raise typer.BadParameter(_text(error), param_hint="--reward") from error


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings(record=True) as told:
        yield
    for warning in told:
        if warning.category is UserWarning:
            complain(str(warning.message))
        else:  # meant for programmers
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _what_counts(raters: Mapping[str, Rater]) -> str:
    """Return the default reward."""
    names = [f"{alias}.{dimension.name}" for alias, rater in raters.items() for dimension in rater.dimensions]
    overall = [name for name in names if name.endswith(".overall")]
    if len(raters) > 1:
        problem = f"there are several raters; say what counts, such as {' + '.join(overall) or names[0]}"
        raise typer.BadParameter(problem, param_hint="--reward")
    if not overall and len(names) > 1:
        listed = ", ".join(name.partition(".")[2] for name in names)
        problem = f"{next(iter(raters))} has no overall score; say what counts, of {listed}"
        raise typer.BadParameter(problem, param_hint="--reward")
    return overall[0] if overall else names[0]


def hold(path: Path) -> None:
    """Let no other run write an output until the command ends."""
    from avreward._locks import claimed

    RESOURCES.enter_context(claimed(path))


def writable(path: Path | None, option: str, endings: tuple[str, ...]) -> None:
    """Check an output before the work that fills it, make its folder, and hold it until the command ends."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise typer.BadParameter(f"{path}: end the name in {' or '.join(dict.fromkeys(endings))}", param_hint=option)
    if path.is_dir():
        raise typer.BadParameter(f"{path}: this is a directory; name a file", param_hint=option)
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{path}: its folder can't be made ({error.strerror or error}); choose another place"
        raise typer.BadParameter(problem, param_hint=option) from error
    hold(path)


def _text(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
