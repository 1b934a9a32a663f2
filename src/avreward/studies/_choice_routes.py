"""The routes of the page on which people choose.

Addresses name a person and a question by random keys, and a clip by its place, 0 or 1. None holds the name of a file,
so none can lead out of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.errors import AvrewardError
from avreward.studies._app import form_of, go_to, media, page, person_of, seconds_of, whole
from avreward.studies._page import render_question, render_start, render_thanks
from avreward.studies.choices import Choices

with extra("server"):
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route


def choice_routes(choices: Choices) -> list[BaseRoute]:
    """Return the routes; handlers that touch the disk run in threads."""

    def start(request: Request) -> Response:
        return page(render_start(choices.asked(), request.query_params.get("key", "")))

    async def enter(request: Request) -> Response:
        form = await form_of(request)

        def entered() -> Response:
            try:
                return go_to(f"/ask/{choices.person(form.get('name', ''))}")
            except AvrewardError as error:
                if not str(error).startswith("name:"):
                    raise
                return page(render_start(choices.asked(), request.query_params.get("key", ""), str(error)), 400)

        return await run_in_threadpool(entered)

    def where_they_were(request: Request) -> Response:
        token, _ = person_of(request, choices)
        answered = choices.answered(token)
        left = (place for place, key in enumerate(choices.order(token), 1) if key not in answered)
        return go_to(f"/ask/{token}/{next(left, 'done')}")

    def ask(request: Request) -> Response:
        token, _ = person_of(request, choices)
        order, answered, place = choices.order(token), choices.answered(token), whole(request.path_params["place"])
        question = choices.question(token, order[place - 1]) if 0 < place <= len(order) else None
        if question is None:
            return go_to(f"/ask/{token}")
        return page(render_question(question, token, place, len(order), answered.get(question.key, "")))

    def thank(request: Request) -> Response:
        token, name = person_of(request, choices)
        order, answered = choices.order(token), choices.answered(token)
        if any(key not in answered for key in order):
            return go_to(f"/ask/{token}")
        return page(render_thanks(name, token, len(order)))

    async def answer(request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(stored, request, form)

    def stored(request: Request, form: Mapping[str, str]) -> Response:
        token, _ = person_of(request, choices)
        key = form.get("question", "")
        try:
            choices.record(token, key, form.get("choice", ""), seconds_of(form))
        except AvrewardError as error:
            if not str(error).startswith("answer:"):
                raise
            raise RequestProblem(400, str(error)) from error
        order = choices.order(token)
        place = order.index(key) + 1
        return go_to(f"/ask/{token}/{place + 1}" if place < len(order) else f"/ask/{token}")

    def clip(request: Request) -> Response:
        token, _ = person_of(request, choices)
        question = choices.question(token, request.path_params["key"])
        place = whole(request.path_params["place"])
        if question is None or place not in (0, 1):
            raise RequestProblem(404, "There is no such clip.")
        return media(choices.folder / question.file(place), choices.folder)

    return [
        Route("/", start),
        Route("/start", enter, methods=["POST"]),
        Route("/ask/{token}", where_they_were),
        Route("/ask/{token}/done", thank),
        Route("/ask/{token}/{place}", ask),
        Route("/answer/{token}", answer, methods=["POST"]),
        Route("/media/{token}/{key}/{place}", clip),
    ]
