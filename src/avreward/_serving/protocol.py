"""uvicorn's HTTP protocol, with an end for connections that never finish a request, or take none of an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from avreward._extras import extra

with extra("server"):
    from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS = 15.0  # seconds for the head of a request
STALLED = 60.0  # seconds in which a browser has to take some of an answer


class TimedProtocol(H11Protocol):
    """HTTP/1.1; a connection is closed if the head of a request isn't there in time, or an answer isn't taken."""

    headers_within = HEADERS
    stalled_after = STALLED
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request is there; start it with the first bytes of the next one."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_waiting()
        self._flows()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start a clock when no more of an answer goes out."""
        super().pause_writing()
        self._stuck = self._stuck or self.loop.call_later(self.stalled_after, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop it when the browser has taken some."""
        self._flows()
        super().resume_writing()

    def _flows(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _wait(self) -> None:
        if self._late is None:  # more bytes don't buy more time
            self._late = self.loop.call_later(self.headers_within, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
