"""The page on which people choose between two clips, without being told which one a rater picked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from avreward.report.page import HERE as REPORT
from avreward.report.page import environment
from avreward.studies._questions import StudyQuestion

HERE = Path(__file__).parent
ASKED = {
    "sound": "Which sound goes better with the video?",
    "clip": "Which clip is better?",
    "video": "Which video is better?",
    "audio": "Which sound is better?",
}
JUDGE = {
    "sound": "Judge how well the sound fits what you see, and how good it is.",
    "clip": "Judge how good it looks and sounds, and how well both fit.",
    "video": "Judge how good it looks.",
    "audio": "Judge how good it sounds.",
}


def render_start(asked: Mapping[str, str], key: str = "", trouble: str = "") -> str:
    """Return the first page: it explains the task and asks for a name.

    Args:
        asked: see `Choices.asked`.
        key: that the address of the form must hold, or empty.
        trouble: what was wrong with the last name, or empty.

    Example:
        >>> "You will see 1 pair of" in render_start({"rain": "sound"})
        True
    """
    kinds = sorted(set(asked.values()))
    title = ASKED[kinds[0]] if len(kinds) == 1 else "Which one is better?"
    return _render(title, total=len(asked), kinds=kinds, trouble=trouble, key=key)


def render_question(question: StudyQuestion, token: str, place: int, total: int, chosen: str = "") -> str:
    """Return the page of one question.

    Args:
        question: what is asked.
        token: of the person.
        place: of the question in the person's order, from 1.
        total: number of questions.
        chosen: the answer that was given before, or empty.
    """
    kind = question.video.kind
    given = {"asked": ASKED[kind], "judge": JUDGE[kind], "chosen": chosen}
    return _render(f"{place} of {total}", question=question, token=token, place=place, total=total, **given)


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
    empty: dict[str, object] = {
        "question": None,
        "token": "",
        "name": "",
        "trouble": "",
        "total": 0,
        "place": 0,
        "key": "",
        "kinds": [],
    }
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return environment(HERE).get_template("choice.html.j2").render(title=title, **(empty | given | own))


@cache
def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
