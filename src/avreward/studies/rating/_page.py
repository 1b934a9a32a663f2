"""The page on which people rate: sliders, two clips, or the soundtracks of one video."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from avreward.studies._html import content_policy, own_file, rendered
from avreward.studies.rating._tasks import RatingProgress, RatingTask
from avreward.studies.rating.study import RatingStudy

HERE = Path(__file__).parent
SCRIPTS = (HERE.parent / "heard.js", HERE / "study.js")
STYLES = (HERE.parent / "choice.css", HERE / "study.css")
TITLES = {
    "scores": "Rate clips",
    "pairs": "Which one is better?",
    "soundtracks": "Compare sounds",
}


def render_start(study: RatingStudy, key: str = "", trouble: str = "") -> str:
    """Return the first page: it explains the task and asks for a name.

    Args:
        study: what is asked.
        key: that the address of the form must hold, or empty.
        trouble: what was wrong with the last name, or empty.
    """
    counts = [clips[0].training for clips in study.questions().values()]
    return _render(
        TITLES[study.mode], study, practice=sum(counts), total=len(counts) - sum(counts), key=key, trouble=trouble
    )


def render_task(study: RatingStudy, task: RatingTask, token: str, progress: RatingProgress) -> str:
    """Return the page of one question."""
    number = study.number_of(token, task)
    title = "Practice" if task.training else TITLES[study.mode] if study.adaptive else f"{number} of {progress.total}"
    return _render(title, study, task=task, token=token, progress=progress, number=number)


def render_rest(study: RatingStudy, name: str, token: str, progress: RatingProgress) -> str:
    """Return the page for somebody who is done, for today or altogether."""
    title = "Enough for today" if progress.resting else "Thank you"
    return _render(title, study, part="rest", name=name, token=token, progress=progress, place=progress.asked)


@cache
def policy() -> str:
    """Return the Content-Security-Policy of the pages."""
    return content_policy(_script())


def _script() -> str:
    return "\n".join(own_file(path) for path in SCRIPTS)


def _render(title: str, study: RatingStudy, **given: object) -> str:
    empty: dict[str, object] = {"task": None, "token": "", "name": "", "trouble": "", "key": "", "part": ""}
    empty |= {"progress": None, "practice": 0, "total": 0, "place": 0, "number": 0}
    about = {"mode": study.mode, "dimensions": study.dimensions, "limit": study.daily_limit}
    about["open_ended"] = study.adaptive
    return rendered(HERE / "study.html.j2", _script(), STYLES, title=title, **(empty | about | given))
