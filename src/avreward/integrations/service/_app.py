"""The routes of a reward service."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import torch

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.errors import ArgumentError, AvrewardError
from avreward.integrations.service._gate import ServiceGuard
from avreward.integrations.service._metrics import TYPE
from avreward.integrations.service._requests import RequestHandler
from avreward.integrations.service._unirl import UniRlRoutes
from avreward.integrations.service._verl_omni import VerlOmniRoutes
from avreward.raters.remote._bodies import ClipAnswer, ClipBody, CompareAnswer, PairAnswer, ScoreAnswer

with extra("server"):
    import msgspec
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

Handler = Callable[[Request], Awaitable[object]]


def service_app(handler: RequestHandler, *, local: bool, token: str | None) -> ServiceGuard:
    """Return the application of a reward service behind its guard.

    Args:
        handler: what answers.
        local: whether it is for this machine alone.
        token: that clients must send (*optional*).
    """
    limits = handler.limits

    async def describe(request: Request) -> object:
        return handler.served.described(limits.clips, limits.bytes, bool(handler.roots))

    async def score(request: Request) -> object:
        bodies, parts = await handler.clips_of(request)
        return ScoreAnswer(handler.served.fingerprint, await handler.answers(bodies, parts))

    async def upload(request: Request) -> object:
        query = request.query_params
        name = query.get("name", "upload")
        texts = {key.removeprefix("texts."): value for key, value in query.items() if key.startswith("texts.")}
        suffix = name.rpartition(".")[2] if "." in name else ""
        part = f"0.file.{suffix}" if suffix else "0.file"
        content = bytearray(await request.body())
        if not content:
            raise RequestProblem(400, "body: expected the bytes of a media file, got none")
        body = ClipBody(name=unquote(name), prompt=query.get("prompt"), texts=texts, whole=part)
        answers = await handler.answers([body], {part: torch.frombuffer(content, dtype=torch.uint8)})
        return ScoreAnswer(handler.served.fingerprint, answers)

    async def compare(request: Request) -> object:
        bodies, parts = await handler.clips_of(request)
        if len(bodies) % 2:
            raise RequestProblem(400, f"clips: expected pairs, one clip after the other, got {len(bodies)} clips")
        found = await handler.answers(bodies, parts)
        pairs = [_pair(first, second) for first, second in zip(found[::2], found[1::2], strict=True)]
        return CompareAnswer(handler.served.fingerprint, pairs, found)

    async def health(request: Request) -> object:
        names = ["reward", *handler.served.raters]
        return {"status": "ok", "waiting": handler.batches.admitted, "rewards": {name: ["ready"] for name in names}}

    async def metrics(request: Request) -> object:
        return Response(handler.metrics.text(), media_type=TYPE)

    unirl, verl_omni = UniRlRoutes(handler), VerlOmniRoutes(handler)
    routes = [
        _route("/v1/describe", "GET", describe, handler), _route("/v1/score", "POST", score, handler),
        _route("/v1/upload", "POST", upload, handler), _route("/v1/compare", "POST", compare, handler),
        _route("/health", "GET", health, handler), _route("/metrics", "GET", metrics, handler),
        _route("/score", "POST", unirl.score, handler), _route("/rewards", "GET", unirl.rewards, handler),
        _route("/verl-omni/audio", "POST", verl_omni.audio, handler),
        _route("/verl-omni/image", "POST", verl_omni.image, handler),
    ]  # fmt: skip
    problems = {HTTPException: _refused, RequestProblem: _refused, AvrewardError: _refused}
    app = Starlette(routes=routes, exception_handlers=problems)
    app.router.redirect_slashes = False
    return ServiceGuard(app, local=local, token=token, most_bytes=limits.bytes, held_bytes=limits.held_bytes)


def _route(path: str, method: str, answer: Handler, handler: RequestHandler) -> Route:
    async def endpoint(request: Request) -> Response:
        started, status = time.monotonic(), 500
        try:
            found = await answer(request)
            response = found if isinstance(found, Response) else json_response(found)
            status = response.status_code
            return response
        except RequestProblem as problem:
            status = problem.status
            raise
        except AvrewardError:
            status = 400
            raise
        finally:
            handler.observed(path, status, started)

    return Route(path, endpoint, methods=[method])


async def _refused(request: Request, error: Exception) -> Response:
    headers = {"Connection": "close"}
    if isinstance(error, RequestProblem):
        status, text = error.status, str(error)
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, HTTPException):
        status, text = (
            error.status_code,
            f"{request.method} {request.url.path}: {error.detail}; see docs/guides/scale.md",
        )
    else:
        status, text = (400 if isinstance(error, ArgumentError) else 503), str(error)
    return json_response({"error": text}, status, headers)


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def _pair(first: ClipAnswer, second: ClipAnswer) -> PairAnswer:
    if first.reward is None or second.reward is None:
        named = (("first", first), ("second", second))
        why = [f"{name}: {one.reason}" for name, one in named if one.reward is None]
        return PairAnswer(None, None, "; ".join(why))
    margin = first.reward - second.reward
    return PairAnswer("first" if margin > 0 else "second" if margin < 0 else "tie", margin)
