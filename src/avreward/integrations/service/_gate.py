"""What each request to a reward service has to pass: its token, and room for its body."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, MutableMapping
from typing import Any

from avreward._extras import extra
from avreward._serving.guard import Application, Guard, Receive, RequestProblem, Send

with extra("server"):
    import msgspec

OPEN = frozenset({"/health"})  # what load balancers ask, without a token
POLICY = "default-src 'none'"
SECONDS = 900.0  # until an answer must begin
FULL = 5  # seconds after which a client that found no room may try again


class ServiceGuard(Guard):
    """A guard of a reward service: it asks for a token and bounds the bytes of all bodies that are held at a time.

    Args:
        inner: the application.
        local: whether only names of this machine may be asked for.
        token: that the header ``Authorization: Bearer …`` must hold (*optional*).
        most_bytes: of one body.
        held_bytes: of all bodies that are held at a time.
    """

    def __init__(self, inner: Application, *, local: bool, token: str | None, most_bytes: int, held_bytes: int) -> None:
        super().__init__(inner, POLICY, local=local, deadline=SECONDS, largest=most_bytes)
        self.token, self.held_bytes, self.held = token, held_bytes, 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.held -= scope.pop("avreward.held", 0)

    def check_access(self, scope: Mapping[str, Any], headers: Mapping[bytes, str], length: int) -> None:
        """Check the token, and reserve room for the body."""
        if self.token is not None and scope["path"] not in OPEN:
            kind, _, given = headers.get(b"authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self.token.encode()):
                raise RequestProblem(401, "token: expected the one of this server; send it as Authorization: Bearer …")
        if scope["method"] not in ("GET", "HEAD") and b"content-length" not in headers:
            raise RequestProblem(411, "Content-Length: expected the size of the body, got none; send it")
        if self.held and self.held + length > self.held_bytes:
            raise RequestProblem(429, "there is no room for this body now; send it again later", FULL)
        self.held += length
        scope["avreward.held"] = length  # type: ignore[index]  # the scope of one request is its own

    def problem_body(self, text: str) -> tuple[bytes, bytes]:
        """Return the JSON object that clients read."""
        return b"application/json", msgspec.json.encode({"error": text})
