"""What each request to a server has to pass: this host, this origin, who asks, a bounded body, in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
LARGEST = 10_000  # bytes of a form
DEADLINE = 30.0  # seconds until an answer begins
_DROPPED = (b"etag", b"last-modified")  # when and by whom a file was written is not for everyone

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class RequestProblem(Exception):
    """Ends a request with a status and one line.

    Args:
        status: of HTTP.
        text: what is wrong, and what to do.
        retry_after: seconds after which the same request may succeed (*optional*).
    """

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


class _Gone(Exception):
    """The browser left before its form was there."""


class Guard:
    """An ASGI application around another one that refuses what does not belong to it, and bounds the rest.

    Args:
        inner: the application.
        policy: the Content-Security-Policy of every answer.
        local: whether only names of this machine may be asked for: another site's name for its address is refused.
        deadline: seconds until an answer begins.
        largest: bytes of a body.
    """

    def __init__(
        self, inner: Application, policy: str, *, local: bool, deadline: float = DEADLINE, largest: int = LARGEST
    ) -> None:
        self.inner, self.local, self.deadline, self.largest = inner, local, deadline, largest
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
        later: int | None = None

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
                await self.inner(scope, self._bounded(receive), answer_in_time)
            return
        except RequestProblem as problem:
            status, text, later = problem.status, str(problem), problem.retry_after
        except TimeoutError:
            status, text = 408, "That took too long; try again."
        except _Gone:
            return
        except Exception:  # a bug: whoever runs the server sees it
            logging.getLogger(__name__).exception("%s %s failed", scope["method"], scope["path"])
            status, text = 500, "That didn't work."
        if not begun:  # else the server ends the connection
            await self._send_problem(answer, status, text, later)

    def check_access(self, scope: Mapping[str, Any], headers: Mapping[bytes, str], length: int) -> None:
        """Raise `RequestProblem` unless the client may; `length` is what the header says of the body."""

    def problem_body(self, text: str) -> tuple[bytes, bytes]:
        """Return the content type and the body of an answer that refuses."""
        return b"text/plain; charset=utf-8", text.encode()

    def _check(self, scope: Mapping[str, Any]) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self.local and _name(host) not in LOCAL:
            raise RequestProblem(403, "This page is for this machine alone.")
        if scope["method"] not in ("GET", "HEAD"):
            self._check_origin(headers, host)
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 18:
            raise RequestProblem(400, "A header holds no number where one belongs.")
        if int(length) > self.largest:
            raise self._too_large()
        self.check_access(scope, headers, int(length))

    def _too_large(self) -> RequestProblem:
        return RequestProblem(413, f"That is more than the {self.largest} bytes that are taken here.")

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

    def _bounded(self, receive: Receive) -> Receive:
        """Refuse a body that is larger than its length said, or that said none; stop where none comes any more."""
        size, whole = 0, False

        async def received() -> Message:
            nonlocal size, whole
            message = await receive()
            if message["type"] == "http.disconnect" and not whole:
                raise _Gone
            size += len(message.get("body", b""))
            whole |= not message.get("more_body", False)
            if size > self.largest:
                raise self._too_large()
            return message

        return received

    async def _send_problem(self, send: Send, status: int, text: str, retry_after: int | None) -> None:
        kind, body = self.problem_body(text)
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        if retry_after is not None:
            headers.append((b"retry-after", str(retry_after).encode()))
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
