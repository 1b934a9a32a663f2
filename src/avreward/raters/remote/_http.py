"""Requests to a reward service: connections that are kept, retries that can't count twice, one line for an error."""

from __future__ import annotations

import os
from typing import Any, TypeVar
from urllib.parse import urlsplit

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError, Described

with extra("server"):
    import msgspec
    import urllib3

T = TypeVar("T")

TOKENS = "AVREWARD_SERVER_TOKENS"
"""The environment variable with tokens: ``HOST:PORT=TOKEN``, several separated by commas."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # an answer that another try may change
_REMEDY = "check that avreward serve runs there"


class Connection:
    """Ask a reward service.

    A request that broke off, was refused as too many (429) or met a server that restarts is sent again, after the time
    that the server named or after a growing pause: scoring a clip twice gives the same scores, so nothing is counted
    twice. Redirections are not followed, and proxies of the environment not used.

    Args:
        address: of the server, without a path.
        token: that the server asks for (*optional*, the one for this host and port in ``AVREWARD_SERVER_TOKENS``).
        retries: how often a request is sent again.
        timeout: seconds until an answer must begin.
    """

    def __init__(self, address: str, token: str | None, retries: int, timeout: float) -> None:
        self.address = address
        token = token or token_for(address)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._retries, self._down = retries, False
        wait = urllib3.Timeout(connect=10.0, read=timeout)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=8, timeout=wait)

    def ask(self, method: str, path: str, kind: type[T], body: bytes | None = None, content_type: str = "") -> T:
        """Return the answer to a request.

        Raises:
            AvrewardError: where there is none, or the server refuses; it names the server and the reason.
        """
        # A server that did not answer at all is not waited for once more with each clip.
        retries = urllib3.Retry(
            total=0 if self._down else self._retries, redirect=0, status_forcelist=_AGAIN, allowed_methods=None,
            backoff_factor=0.25, backoff_max=10.0, raise_on_status=False, respect_retry_after_header=True,
        )  # fmt: skip
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        try:
            answer = self._pool.request(method, self.address + path, body=body, headers=headers, retries=retries)
        except urllib3.exceptions.HTTPError as error:
            self._down = True
            reason = getattr(error, "reason", None) or error
            raise AvrewardError(f"{self.address}: expected an answer, got none ({reason}); {_REMEDY}") from error
        self._down = False
        if answer.status != 200:
            raise AvrewardError(f"{self.address}: {_told(answer.data)} (status {answer.status})")
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except msgspec.MsgspecError as error:
            what = f"expected the answer of a reward service, got something else ({error})"
            raise AvrewardError(f"{self.address}: {what}; {_REMEDY}, of the same version") from error


def _told(body: bytes) -> str:
    """Return the reason in an answer that refuses."""
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        found = None
    text = found.get("error") if isinstance(found, dict) else None
    return str(text or body[:200].decode("utf-8", "replace") or "the server refused the request")


def token_for(address: str) -> str | None:
    """Return the token of the environment for this host and port: it is sent nowhere else."""
    place = urlsplit(address).netloc.lower()
    for one in os.environ.get(TOKENS, "").split(","):
        where, equals, token = one.strip().partition("=")
        if equals and where.lower() == place:
            return token
    return None


def parts_of(address: object) -> tuple[str, str]:
    """Return scheme, host and port of an address, and the name of a rater after ``#``, which may be empty.

    Raises:
        ArgumentError: for anything else.

    Example:
        >>> parts_of("http://127.0.0.1:8000/#signals")
        ('http://127.0.0.1:8000', 'signals')
    """
    expected = "an address such as http://127.0.0.1:8000, or http://127.0.0.1:8000/#signals for one of its raters"
    if not isinstance(address, str):
        raise ArgumentError("address", expected, address)
    try:
        found = urlsplit(address)
        host, _ = found.hostname, found.port
    except ValueError as error:
        raise ArgumentError("address", expected, address) from error
    if found.scheme not in ("http", "https") or not host or found.path not in ("", "/") or found.query:
        raise ArgumentError("address", expected, address)
    if "@" in found.netloc:
        got = Described("one with a password")
        raise ArgumentError("address", expected, got, f"pass token=, or set {TOKENS}=HOST:PORT=TOKEN")
    return f"{found.scheme}://{found.netloc}", found.fragment
