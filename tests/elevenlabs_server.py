"""A local server that speaks ElevenLabs' protocol of sound effects, and misbehaves on demand."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np

KEY = "sk_test"
RATE = 44100


def mp3(seconds: float, pitch: float = 440.0) -> bytes:
    """A tone as an MP3 file."""
    wave = (0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=RATE, layout="mono")
        stream.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


class SoundServer(ThreadingHTTPServer):
    """Answers requests by `script`, one word each; when it is used up, all is well.

    Words: ``ok``; ``cut`` (the connection ends early), ``short`` (a whole but shorter sound), ``garbage``, ``slow``,
    ``huge`` (it never ends), ``drip`` (a byte at a time); a number is a status, with ``429:0.3`` for a ``Retry-After``.
    """

    daemon_threads = True
    request_queue_size = 64  # a busy machine may accept late

    def __init__(self, script: list[str] | None = None, cost: float = 60.0, hold: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.cost, self.hold = list(script or []), cost, hold
        self.requests: list[dict[str, Any]] = []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: SoundServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            path, _, query = self.path.partition("?")
            server.requests.append({"path": path, "query": query, "at": time.monotonic(), **body})
            number = len(server.requests)
            word = server.script.pop(0) if server.script else "ok"
            server.busy += 1
            server.busiest = max(server.busy, server.busiest)
        try:
            time.sleep(server.hold)
            self.answer(word, body, number)
        finally:
            with server.lock:
                server.busy -= 1

    def answer(self, word: str, body: dict[str, Any], number: int) -> None:
        status, _, wait = word.partition(":")
        if self.headers.get("xi-api-key") != KEY:
            status = "401"
        if status.isdigit():
            detail = {"detail": {"status": "told", "message": f"the server says {status}"}}
            headers = {"Retry-After": wait} if wait else {}
            if status == "307":
                headers["Location"] = f"{self.server.url}/elsewhere"
            return self.send(int(status), json.dumps(detail).encode(), "application/json", headers)
        seconds = body.get("duration_seconds") or 3.0
        data = {"short": lambda: mp3(0.4 * seconds), "garbage": lambda: b"<html>no sound</html>" * 90}.get(
            word, lambda: mp3(seconds, 300 + 50 * number)
        )()
        headers = {"request-id": f"r{number}", "character-cost": str(self.server.cost)}
        if word == "slow":
            time.sleep(1.5)
        if word in ("huge", "drip"):
            return self.pour(headers, b"\xff" * 65536 if word == "huge" else b"\xff")
        return self.send(200, data, "audio/mpeg", headers, cut=word == "cut")

    def pour(self, headers: dict[str, str], piece: bytes) -> None:
        """Send pieces until the client leaves."""
        self.close_connection = True
        self.send_response(200)
        for name, value in {"Content-Type": "audio/mpeg", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(2_000):
                self.wfile.write(piece)
                if len(piece) == 1:
                    time.sleep(0.02)

    def send(self, status: int, data: bytes, kind: str, headers: dict[str, str], cut: bool = False) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        if cut:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def sound_server(*script: str, **options: Any) -> Iterator[SoundServer]:
    """A running server."""
    server = SoundServer(list(script), **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
