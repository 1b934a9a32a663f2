"""The page on which people choose between two clips of one video, without being told which one a rater picked."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from avreward.report.page import HERE as REPORT
from avreward.report.page import environment
from avreward.studies.choices import StudyQuestion

HERE = Path(__file__).parent


def render_start(total: int, trouble: str = "") -> str:
    """Return the first page: it explains the task and asks for a name.

    >>> "You will see 12 pairs" in render_start(12)
    True
    """
    return _render("Which sound goes better?", total=total, trouble=trouble)


def render_question(question: StudyQuestion, token: str, done: int, total: int) -> str:
    """Return the page of one question."""
    return _render(f"{done + 1} of {total}", question=question, token=token, done=done, total=total)


def render_thanks(name: str, token: str, total: int) -> str:
    """Return the last page."""
    return _render("Thank you", name=name, token=token, total=total)


@cache
def policy() -> str:
    """Return the Content-Security-Policy of the pages: media and this one script from here, nothing else."""
    digest = base64.b64encode(hashlib.sha256(_own("choice.js").encode()).digest()).decode()
    sources = f"media-src 'self'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def _render(title: str, **given: object) -> str:
    from markupsafe import Markup

    style = (REPORT / "page.css").read_text(encoding="utf-8") + _own("choice.css")
    script = _own("choice.js")
    empty = {"question": None, "token": "", "name": "", "trouble": "", "total": 0, "done": 0}
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return environment(HERE).get_template("choice.html.j2").render(title=title, **(empty | given | own))


@cache
def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
