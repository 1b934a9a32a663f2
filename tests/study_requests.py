"""Requests to the page on which people choose, without a browser, and an experiment to ask about."""

from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from avreward.studies import Choices, ShownClip, StudyVideo

CLIP = bytes(range(256)) * 40


def experiment(folder: Path, picked: int = 0, videos: int = 6) -> Choices:
    choices = Choices(folder, {"seed": 0})
    media = choices.folder / "clips_files"
    media.mkdir()
    for i in range(videos):
        for number in (0, 1):
            (media / f"{i}{number}.mp4").write_bytes(bytes([i, number]) + CLIP)
        shown = [
            ShownClip(n, f"SOURCE{n}", 98.765 if n == picked else 12.345, file=f"clips_files/{i}{n}.mp4")
            for n in (0, 1)
        ]
        choices.add(StudyVideo(f"NAME{i}", shown, picked, category="CATEGORY"))
    return choices


def ask(
    server: Any, method: str, path: str, form: dict | None = None, headers: dict | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, body."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        body = urlencode(form).encode() if form is not None else b""
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = {name.title(): value for name, value in answer.getheaders() if name.lower() != "date"}
        return answer.status, told, answer.read()
    finally:
        connection.close()


def started(server: Any, name: str = "Anna") -> str:
    status, headers, _ = ask(server, "POST", "/start", {"name": name})
    assert status == 303
    return headers["Location"]


def key_in(page: bytes) -> str:
    return re.search(rb'name="question" value="(\w+)"', page)[1].decode()


def question_at(server: Any, where: str) -> tuple[str, bytes]:
    """Where the browser is sent, and the page there."""
    status, headers, _ = ask(server, "GET", where)
    assert status == 303
    return headers["Location"], ask(server, "GET", headers["Location"])[2]


def answered(server: Any, where: str, key: str, choice: str, **more: str) -> str:
    """Where an answer leads."""
    form = {"question": key, "choice": choice, **more}
    status, headers, _ = ask(server, "POST", where.replace("ask", "answer"), form)
    assert status == 303
    return headers["Location"]
