"""The page on which people choose between two clips, without being told which one a rater picked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from avreward.studies._html import content_policy, own_file, rendered
from avreward.studies._questions import StudyQuestion

HERE = Path(__file__).parent
SCRIPTS = (HERE / "heard.js", HERE / "choice.js")
STYLES = (HERE / "choice.css",)
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
    """Return the Content-Security-Policy of the pages."""
    return content_policy(_script())


def _script() -> str:
    return "\n".join(own_file(path) for path in SCRIPTS)


def _render(title: str, **given: object) -> str:
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
    return rendered(HERE / "choice.html.j2", _script(), STYLES, title=title, **(empty | given))
