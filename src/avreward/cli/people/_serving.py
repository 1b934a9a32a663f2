"""Serve the pages of a study until Ctrl-C."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from avreward.cli._common import shown

if TYPE_CHECKING:
    from avreward.studies.server import StudyServer


def serve(server: StudyServer, verb: str, folder: Path) -> None:
    """Say where people `verb` and where their answers are kept, and serve until Ctrl-C."""
    typer.echo(f"People {verb} at {server.url} (Ctrl-C ends it; answers are kept in {shown(folder)})", err=True)
    try:
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    finally:
        server.server_close()
