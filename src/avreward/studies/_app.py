"""The application that a study's server runs: routes behind a guard, and what handlers answer with."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs

from avreward._extras import extra
from avreward._serving.guard import Application, RequestProblem
from avreward.errors import AvrewardError
from avreward.studies._experiment import Experiment
from avreward.studies._guard import StudyGuard

with extra("server"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import BaseRoute

_HANDLED = (HTTPException, RequestProblem, AvrewardError)
FIELDS = 300  # of a form
_TOLD = {404: "There is no such page.", 405: "That can't be done with this page."}


def study_app(routes: Sequence[BaseRoute], policy: str, *, local: bool, key: str | None = None) -> Application:
    """Return the application of a study: its routes behind a `StudyGuard`.

    Args:
        routes: of the pages; a handler may raise `RequestProblem`, or an `AvrewardError` where it can't store.
        policy: the Content-Security-Policy.
        local: whether it is for this machine alone.
        key: what the first pages ask for (*optional*).
    """

    async def told(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            status, text = error.status_code, _TOLD.get(error.status_code, "That didn't work.")
        elif isinstance(error, RequestProblem):
            status, text = error.status, str(error)
        else:  # the disk is full, say
            status, text = 503, f"{error}. Your last answer may not be stored; go back and try again."
        return PlainTextResponse(text, status, headers={"Connection": "close"})

    app = Starlette(routes=list(routes), exception_handlers=dict.fromkeys(_HANDLED, told))
    app.router.redirect_slashes = False
    return StudyGuard(app, policy, local=local, key=key)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, the first value of each."""
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=FIELDS).items()}
    except ValueError as error:
        raise RequestProblem(400, "That is not a form of this page.") from error


def whole(text: str) -> int:
    """Return a whole number in an address or a form; −1 for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1


def seconds_of(form: Mapping[str, str]) -> float | None:
    """Return how long an answer took, where the form says so."""
    text = form.get("seconds", "")
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None


def person_of(request: Request, study: Experiment) -> tuple[str, str]:
    """Return the token in an address, and the name of the person whom it belongs to."""
    token = request.path_params["token"]
    name = study.name_of(token)
    if name is None:
        raise RequestProblem(404, "Nobody is known by this address; begin at the first page.")
    return token, name


def page(html: str, status: int = 200) -> Response:
    """Return a page."""
    return HTMLResponse(html, status)


def go_to(path: str) -> Response:
    """Send the browser to another page, after a form or to where somebody stopped."""
    return RedirectResponse(path, 303)


def media(path: Path, folder: Path) -> Response:
    """Return a media file, or the part of it that a player asks for; only regular files within `folder` are served."""
    try:
        real, root = path.resolve(), folder.resolve()
        if not (real.is_relative_to(root) and real.is_file()):
            raise FileNotFoundError(path)
        status = real.stat()
    except OSError as error:
        raise RequestProblem(404, "The clip isn't there any more.") from error
    kind = mimetypes.guess_type(real.name)[0] or ""
    if not kind.startswith(("video/", "audio/")):
        raise RequestProblem(404, "There is no such clip.")
    return FileResponse(real, media_type=kind, stat_result=status)
