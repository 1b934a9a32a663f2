"""What each request to a study's server has to pass: this host, this origin, the key, a small body, in time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
ENTRIES = frozenset({"/", "/start"})  # where people who have no address of their own yet come in
LARGEST = 10_000  # bytes of a form
DEADLINE = 30.0  # seconds until an answer begins
_DROPPED = (b"etag", b"last-modified")  # when and by whom a file was written is not for everyone

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class RequestProblem(Exception):
    """Ends a request with a status and one line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Gone(Exception):
    """The browser left before its form was there."""


class Guard:
    """An ASGI application around another one that refuses what does not belong to the study, and bounds the rest.

    Args:
        inner: the application.
        policy: the Content-Security-Policy of every answer.
        local: whether only names of this machine may be asked for: another site's name for its address is refused.
        key: what the query of the first pages must hold as ``key`` (*optional*).
        deadline: seconds until an answer begins.
    """

    def __init__(
        self, inner: Application, policy: str, *, local: bool, key: str | None = None, deadline: float = DEADLINE
    ) -> None:
        self.inner, self.local, self.key, self.deadline = inner, local, key, deadline
        self.headers = {
            b"content-security-policy": policy.encode(),
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"same-origin",  # with "no-referrer", browsers send no origin with a form
            b"cross-origin-resource-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cache-control": b"no-store",
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": self._with_headers(message.get("headers", ()))}
            await send(message)

        async def answer_in_time(message: Message) -> None:
            clock.reschedule(None)
            await answer(message)

        try:
            async with asyncio.timeout(self.deadline) as clock:
                self._check(scope)
                await self.inner(scope, _bounded(receive), answer_in_time)
            return
        except RequestProblem as problem:
            status, text = problem.status, str(problem)
        except TimeoutError:
            status, text = 408, "That took too long; try again."
        except _Gone:
            return
        except Exception:  # a bug: whoever runs the server sees it
            logging.getLogger(__name__).exception("%s %s failed", scope["method"], scope["path"])
            status, text = 500, "That didn't work."
        if not begun:  # else the server ends the connection
            await _send_text(answer, status, text)

    def _check(self, scope: Mapping[str, Any]) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self.local and _name(host) not in LOCAL:
            raise RequestProblem(403, "This page is for this machine alone.")
        if scope["method"] not in ("GET", "HEAD"):
            self._check_origin(headers, host)
        if self.key is not None and scope["path"] in ENTRIES:
            given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("key", [""])[0]
            if not secrets.compare_digest(given.encode(), self.key.encode()):
                raise RequestProblem(403, "Open the whole address that you were given; it ends in a key.")
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 18:
            raise RequestProblem(400, "A header holds no number where one belongs.")
        if int(length) > LARGEST:
            raise RequestProblem(413, "That is more than a form of this page.")

    def _check_origin(self, headers: Mapping[bytes, str], host: str) -> None:
        """Refuse what another site made a browser send; a browser says where a form is from."""
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        foreign_origin = origin is not None and _place(origin) != host.casefold()
        if foreign_origin or site not in (None, "same-origin", "none"):
            raise RequestProblem(403, "This form was sent by another site.")

    def _with_headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        kept = [(name.lower(), value) for name, value in given if name.lower() not in _DROPPED]
        there = {name for name, _ in kept}
        return [*kept, *((name, value) for name, value in self.headers.items() if name not in there)]


def _bounded(receive: Receive) -> Receive:
    """Refuse a body that is larger than its length said, or that said none; stop where none comes any more."""
    size, whole = 0, False

    async def received() -> Message:
        nonlocal size, whole
        message = await receive()
        if message["type"] == "http.disconnect" and not whole:
            raise _Gone
        size += len(message.get("body", b""))
        whole |= not message.get("more_body", False)
        if size > LARGEST:
            raise RequestProblem(413, "That is more than a form of this page.")
        return message

    return received


async def _send_text(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    # The end of the connection, too: what else was sent may not have been read.
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError as error:
        raise RequestProblem(400, "That is not an address.") from error


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return ""
