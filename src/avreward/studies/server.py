"""Serves the page on which people choose, and writes down what they choose.

Addresses name a person and a question by random-looking keys, and a clip by its place, 0 or 1. None holds the
name of a file, so none can lead out of the folder.
"""

from __future__ import annotations

import errno
import re
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.studies._page import policy, render_question, render_start, render_thanks
from avreward.studies.choices import Choices

LARGEST = 10_000  # bytes of a form
_HOST = "name this machine: 127.0.0.1, or 0.0.0.0 for a network"
_PORT = "name another one, of 1024 to 65535, or 0 for any that is free"
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class ChoiceServer(ThreadingHTTPServer):
    """The page of an experiment, on this machine unless another `host` is named.

    Who can reach the address can answer, under any name: there is no password. On this machine's own address, requests
    that a browser sends for another site's name are refused.

    Args:
        choices: the experiment.
        host: to listen on.
        port: 0 for any free one.

    Raises `AvrewardError` where that can't be listened on.

    >>> server = ChoiceServer(Choices("experiment"), port=8000)      # doctest: +SKIP
    >>> server.serve_forever()                                       # doctest: +SKIP
    """

    daemon_threads = True

    def __init__(self, choices: Choices, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            super().__init__((host, port), _StudyHandler)
        except socket.gaierror as error:
            raise ArgumentError(
                "host", "an address of this machine", Described(f"{host!r} ({error.strerror})"), _HOST
            ) from error
        except (OSError, OverflowError) as error:
            why = f"{port} at {host} ({getattr(error, 'strerror', None) or 'ports are 0 to 65535'})"
            wrong_host = getattr(error, "errno", None) == errno.EADDRNOTAVAIL
            raise ArgumentError("port", "a free port", Described(why), _HOST if wrong_host else _PORT) from error
        self.choices, self.local = choices, host in LOCAL

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}/"


class _RequestProblem(Exception):
    """Ends a request with a status and one line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _StudyHandler(BaseHTTPRequestHandler):
    server: ChoiceServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def handle(self) -> None:
        with suppress(ConnectionError):  # somebody who has enough
            super().handle()

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        try:
            self._check_host()
            handle([part for part in _url(self.path).path.split("/") if part])
        except _RequestProblem as problem:
            self._text(str(problem), problem.status)
        except AvrewardError as error:  # the disk is full, say
            self._text(f"{error}. Your last answer may not be stored; go back and try again.", 503)

    def _check_host(self) -> None:
        """Refuses another site's name for this machine's address, which a browser could be made to use."""
        name = _url(f"//{self.headers.get('Host', '')}").hostname
        if self.server.local and name not in LOCAL:
            raise _RequestProblem(403, "This page is for this machine alone.")

    def _get(self, parts: list[str]) -> None:
        match parts:
            case []:
                self._page(render_start(self._total()))
            case ["ask", token]:
                self._ask(token, self._known(token))
            case ["media", token, key, ("0" | "1") as place]:
                self._known(token)
                question = self.server.choices.question(token, key)
                if question is None:
                    raise _RequestProblem(404, "There is no such clip.")
                self._file(self.server.choices.folder / question.file(int(place)))
            case _:
                raise _RequestProblem(404, "There is no such page.")

    def _post(self, parts: list[str]) -> None:
        form = self._form()
        match parts:
            case ["start"]:
                try:
                    token = self.server.choices.person(form.get("name", ""))
                except AvrewardError as error:
                    self._page(render_start(self._total(), str(error)), 400)
                    return
            case ["answer", token]:
                self._known(token)
                try:
                    self.server.choices.record(token, form.get("question", ""), form.get("choice", ""), _seconds(form))
                except AvrewardError as error:
                    raise _RequestProblem(400 if str(error).startswith("answer:") else 503, str(error)) from error
            case _:
                raise _RequestProblem(404, "There is no such page.")
        self._send(303, b"", {"Location": f"/ask/{token}"})

    def _ask(self, token: str, name: str) -> None:
        questions, answered = self.server.choices.questions(token), self.server.choices.answered(token)
        left = [question for question in questions if question.key not in answered]
        done = len(questions) - len(left)
        self._page(render_question(left[0], token, done, len(questions)) if left else render_thanks(name, token, done))

    def _known(self, token: str) -> str:
        name = self.server.choices.name_of(token)
        if name is None:
            raise _RequestProblem(404, "Nobody is known by this address; begin at the first page.")
        return name

    def _total(self) -> int:
        return len(self.server.choices.questions("nobody"))

    def _form(self) -> dict[str, str]:
        length = _whole(self.headers.get("Content-Length", ""))
        if length > LARGEST:
            raise _RequestProblem(413, "That is more than a form of this page.")
        text = self.rfile.read(length).decode("utf-8", "replace")
        try:
            return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
        except ValueError as error:
            raise _RequestProblem(400, "That is not a form of this page.") from error

    def _page(self, html: str, status: int = 200) -> None:
        self._send(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _text(self, text: str, status: int) -> None:
        # The end of the connection, too: what else was sent may not have been read.
        self._send(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def _file(self, path: Path) -> None:
        """Return a clip, or the part of it that the player asks for."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise _RequestProblem(404, "The clip isn't there any more.") from error
        with file:
            size = path.stat().st_size
            start, stop = _span(self.headers.get("Range"), size)
            headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
            if start >= stop:
                self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            part = (start, stop) != (0, size)
            if part:
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            self._head(206 if part else 200, {**headers, "Content-Length": str(stop - start)})
            file.seek(start)
            left = stop - start
            while left and (piece := file.read(min(left, 2**18))):
                self.wfile.write(piece)
                left -= len(piece)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        common = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        for name, value in {**common, "Content-Security-Policy": policy(), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def version_string(self) -> str:
        return "avreward"

    def log_message(self, *_: Any) -> None:
        """Nothing: the answers are in the database."""


def _span(header: str | None, size: int) -> tuple[int, int]:
    """Return the bytes that a ``Range`` header asks for, [start, stop); all for none, or one that isn't understood."""
    asked = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", (header or "").strip())
    if asked is None or not any(asked.groups()):
        return 0, size
    first, last = asked.groups()
    if not first:  # the last so many
        return (max(0, size - _whole(last)), size) if _whole(last) else (size, size)
    return _whole(first), min(size, _whole(last) + 1 if last else size)


def _whole(text: str) -> int:
    """Return a number that a header holds."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise _RequestProblem(400, "A header holds no number where one belongs.")
    return int(text)


def _url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise _RequestProblem(400, "That is not an address.") from error


def _seconds(form: dict[str, str]) -> float | None:
    text = form.get("seconds", "")
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None
