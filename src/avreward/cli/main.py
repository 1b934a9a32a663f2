"""`avreward`: the commands, and what all of them have in common when something goes wrong."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from avreward._printable import message
from avreward.cli import (
    compare,
    convert,
    curve,
    demo,
    dub,
    explain,
    filter,
    pairs,
    probe,
    rank,
    raters,
    score,
    train,
    verify,
)
from avreward.cli._common import INTERRUPTED, NOTHING, PIPE_CLOSED, RESOURCES, TOLD, USAGE, complain
from avreward.cli.people import ask, evaluate, leaderboard, study
from avreward.cli.scale import serve
from avreward.cli.training import distill, perturb, teach, tune
from avreward.errors import EVERY_CLIP, ArgumentError, AvrewardError, describe

_USAGE_ERROR: Any = typer.BadParameter.__mro__[2]  # the base of all that typer prints
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # such errors name no file, least of all standard output


class Command(TyperCommand):
    """Accepts `--quiet` and `--verbose` after the command, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the two flags out of the arguments."""
        end = args.index("--") if "--" in args else len(args)
        TOLD.quiet |= not {"--quiet", "-q"}.isdisjoint(args[:end])
        TOLD.verbose |= not {"--verbose", "-v"}.isdisjoint(args[:end])
        flags = ("--quiet", "-q", "--verbose", "-v")
        return super().parse_args(ctx, [text for text in args[:end] if text not in flags] + args[end:])


class Commands(TyperGroup):
    """Turn a wrong input or rater into one line and an exit code; anything else is a bug, with its traceback."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the arguments before the command."""
        with _usage_errors_shown_plainly():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _usage_errors_shown_plainly(), RESOURCES:
                result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except AvrewardError as error:
            if TOLD.verbose:
                traceback.print_exc()
            called_wrongly = isinstance(error, ArgumentError | KeyError) and _broken(error) is None  # KeyError: a name
            complain(self._in_options(ctx, error) if called_wrongly else str(error))
            raise typer.Exit(USAGE if called_wrongly else NOTHING) from error
        except BrokenPipeError:  # whoever reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that nothing is said when Python flushes at the end
            raise typer.Exit(PIPE_CLOSED) from None
        except OSError as error:  # a full disk, a folder that can't be written
            if TOLD.verbose:
                traceback.print_exc()
            where = f"{error.filename}: " if error.filename else "the output: " if error.errno in FULL else ""
            complain(f"{where}{error.strerror or error}; check the path, its permissions and the space left")
            raise typer.Exit(NOTHING) from error
        except KeyboardInterrupt as error:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            broken = _broken(error)
            if broken is None:
                raise
            if TOLD.verbose:
                traceback.print_exc()
            complain(f"{broken} ({describe(error)}); correct it (avreward --verbose … shows where)")
            raise typer.Exit(NOTHING) from error

    def _in_options(self, ctx: Any, error: AvrewardError) -> str:
        """Return an error's text with the command's option in the place of the argument of that name, if it has one."""
        command, name = self.get_command(ctx, ctx.invoked_subcommand or ""), getattr(error, "name", None)
        options = {parameter.name: parameter.opts[0] for parameter in (command.params if command else ())}
        return str(error).replace(str(name), options[name], 1) if name in options else str(error)


@contextmanager
def _usage_errors_shown_plainly() -> Iterator[None]:
    """Escape what an error of usage quotes, and cut it: typer prints it as it is."""
    try:
        yield
    except _USAGE_ERROR as error:
        error.message = message(str(error.message))
        raise


def _plain_warning(text: Warning | str, category: type[Warning], *where: Any) -> str:
    """Return a warning as it is printed: meant for users, in one line without a line of source."""
    if issubclass(category, UserWarning):
        return f"avreward: {message(' '.join(str(text).split()))}\n"
    return message(_PYTHONS_FORMAT(text, category, *where))


_PYTHONS_FORMAT = warnings.formatwarning


def _broken(error: Exception) -> str | None:
    """Return the note on the error of a rater that failed on every clip."""
    return next((note for note in getattr(error, "__notes__", ()) if note.endswith(EVERY_CLIP)), None)


EXIT_CODES = (
    "Exit codes: 0 all went well; 1 some files failed and the others were judged (demo: the original did not win; "
    "tune: a guard stopped the run); 2 the command was called wrongly; 3 nothing could be judged or written; "
    "130 interrupted; 141 output that nobody reads."
)

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
for command in (
    demo.demo,
    rank.rank,
    explain.explain,
    score.score,
    filter.filter,
    curve.curve,
    compare.compare,
    evaluate.evaluate,
    pairs.pairs,
    perturb.perturb,
    ask.ask,
    study.study,
    dub.dub,
    probe.probe,
    leaderboard.leaderboard,
    raters.raters,
    train.train,
    tune.tune,
    convert.convert,
    teach.teach,
    distill.distill,
    verify.verify,
    serve.serve,
):
    app.command(cls=Command, epilog=EXIT_CODES)(command)


@app.callback(invoke_without_command=True)
def avreward(
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True),
    quiet: bool = typer.Option(
        False, "--quiet", "-q", help="Show no progress and no notes; warnings and errors are still shown."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show the traceback of an error, too."),
) -> None:
    """Rate generated video and sound, and find the best of several candidates.

    Measured with the built-in rater **signals**, which needs no download, or judged by a checkpoint (`--rater FOLDER`
    or a name on the Hugging Face hub). Results go to standard output, everything else to standard error. `--quiet`
    and `--verbose` stand before or after the command.
    """
    TOLD.quiet, TOLD.verbose = quiet, verbose
    warnings.formatwarning = _plain_warning  # type: ignore[assignment]  # its parameters have other names
    if version:
        from importlib.metadata import version as of

        typer.echo(of("avreward"))
        raise typer.Exit
