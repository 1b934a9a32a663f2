"""Write a leaderboard of rewards: a page, a table, JSON."""

from __future__ import annotations

import json
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from avreward._csv_cells import csv_of
from avreward.audit._leaderboard_rows import Leaderboard
from avreward.audit.ascent import STEPS
from avreward.report.page import HERE, environment, write_whole

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_leaderboard(board: Leaderboard, path: str | PathLike[str], title: str = "Leaderboard of rewards") -> Path:
    """Write the leaderboard atomically, as CSV or JSON if the name ends so, else as an HTML page; return the path."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        return write_whole(path, leaderboard_json(board))
    if path.suffix.lower() == ".csv":
        import pandas

        return write_whole(path, csv_of(pandas.DataFrame(board.records())))
    return write_whole(path, _page(board, title))


def leaderboard_json(board: Leaderboard) -> str:
    """Return the leaderboard as JSON; a number that is not known is null."""
    failed = [{"clip": name, "reason": why} for name, why in board.failed]
    content = {"rewards": board.records(), "clips": board.clips, "groups": board.groups, "failed": failed}
    return json.dumps({**content, "notes": list(board.notes)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _page(board: Leaderboard, title: str) -> str:
    from markupsafe import Markup

    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "leaderboard.css"))
    return (
        environment()
        .get_template("leaderboard.html.j2")
        .render(
            board=board,
            rows=board.records(),
            title=title,
            steps=STEPS,
            policy=_POLICY,
            version=version("avreward"),
            style=Markup(style),  # noqa: S704  # our own two files go in as they are
        )
    )
