"""The routes of the page on which people rate.

Addresses name a person and a question by random keys, and a clip by its place among those shown. None holds the name of
a file, so none can lead out of the folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.errors import ArgumentError, AvrewardError
from avreward.studies._app import form_of, go_to, media, page, person_of, seconds_of, whole
from avreward.studies.rating._page import render_rest, render_start, render_task
from avreward.studies.rating._tasks import BEST, NONE, RatingTask
from avreward.studies.rating.study import RatingStudy

with extra("server"):
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route


def rating_routes(study: RatingStudy) -> list[BaseRoute]:
    """Return the routes; handlers that touch the disk run in threads."""

    def start(request: Request) -> Response:
        return page(render_start(study, request.query_params.get("key", "")))

    async def enter(request: Request) -> Response:
        form = await form_of(request)

        def entered() -> Response:
            try:
                return go_to(f"/rate/{study.person(form.get('name', ''))}")
            except AvrewardError as error:
                if not str(error).startswith("name:"):
                    raise
                return page(render_start(study, request.query_params.get("key", ""), str(error)), 400)

        return await run_in_threadpool(entered)

    def where_they_were(request: Request) -> Response:
        token, _ = person_of(request, study)
        return go_to(f"/rate/{token}/{study.progress(token).place or 'rest'}")

    def rate(request: Request) -> Response:
        token, _ = person_of(request, study)
        task = study.task(token, whole(request.path_params["place"]))
        if task is None:
            return go_to(f"/rate/{token}")
        return page(render_task(study, task, token, study.progress(token)))

    def rest(request: Request) -> Response:
        token, name = person_of(request, study)
        progress = study.progress(token)
        if progress.place is not None:
            return go_to(f"/rate/{token}")
        return page(render_rest(study, name, token, progress))

    async def answer(request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(stored, request, form)

    def stored(request: Request, form: Mapping[str, str]) -> Response:
        token, _ = person_of(request, study)
        try:
            task = study.task_of(token, form.get("question", ""))
            study.record(token, task.key, answer_in(task, form), seconds_of(form))
        except ArgumentError as error:
            raise RequestProblem(400, str(error)) from error
        # After a change of an earlier answer, the one that comes next; else where the person stopped.
        return go_to(f"/rate/{token}/{task.place + 1}" if task.answer else f"/rate/{token}")

    def clip(request: Request) -> Response:
        token, _ = person_of(request, study)
        place = whole(request.path_params["place"])
        try:
            clips = study.task_of(token, request.path_params["key"]).clips
        except ArgumentError as error:
            raise RequestProblem(404, "There is no such clip.") from error
        if not 0 <= place < len(clips):
            raise RequestProblem(404, "There is no such clip.")
        return media(study.folder / str(clips[place].file), study.folder)

    return [
        Route("/", start),
        Route("/start", enter, methods=["POST"]),
        Route("/rate/{token}", where_they_were),
        Route("/rate/{token}/rest", rest),
        Route("/rate/{token}/{place}", rate),
        Route("/answer/{token}", answer, methods=["POST"]),
        Route("/media/{token}/{key}/{place}", clip),
    ]


def answer_in(task: RatingTask, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer that a form holds, as `RatingStudy.record` takes it."""
    found: dict[str, Any] = {}
    for field, value in form.items():
        kind, _, rest = field.partition(".")
        place, _, dimension = rest.partition(".")
        if kind == "vote":
            found[rest] = value
        elif kind == "score" and 0 <= whole(place) < len(task.clips):
            found.setdefault(task.clips[whole(place)].name, {})[dimension] = _number(value)
        elif kind == BEST and value == NONE:
            found[BEST] = None
        elif kind == BEST and 0 <= whole(value) < len(task.clips):
            found[BEST] = task.clips[whole(value)].name
    return found


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9](\.[0-9]{1,3})?", text) else None
