"""`avreward`: the commands, and what all of them have in common when something goes wrong."""

from __future__ import annotations

import errno
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from avreward.cli import convert, curve, demo, pairs, probe, rank, raters, score, verify
from avreward.cli._common import INTERRUPTED, NOTHING, TOLD, complain
from avreward.errors import EVERY_CLIP, AvrewardError, describe

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # such errors name no file, least of all standard output


class Commands(TyperGroup):
    """Turn a wrong input or rater into one line and an exit code; anything else is a bug, with its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AvrewardError as error:
            if TOLD.verbose:
                traceback.print_exc()
            complain(str(error))
            raise typer.Exit(NOTHING) from error
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
            broken = next((note for note in getattr(error, "__notes__", ()) if note.endswith(EVERY_CLIP)), None)
            if broken is None:
                raise
            if TOLD.verbose:
                traceback.print_exc()
            complain(f"{broken} ({describe(error)}); correct it (avreward --verbose … shows where)")
            raise typer.Exit(NOTHING) from error


EXIT_CODES = (
    "Exit codes: 0 all went well; 1 some files failed and the others were judged (demo: the original did not win); "
    "2 the command was called wrongly; 3 nothing could be judged or written; 130 interrupted."
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
    score.score,
    curve.curve,
    pairs.pairs,
    probe.probe,
    raters.raters,
    convert.convert,
    verify.verify,
):
    app.command(epilog=EXIT_CODES)(command)


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
    and `--verbose` come before the command: `avreward --quiet rank …`.
    """
    TOLD.quiet, TOLD.verbose = quiet, verbose
    if version:
        from importlib.metadata import version as of

        typer.echo(of("avreward"))
        raise typer.Exit
