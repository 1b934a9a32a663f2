"""A server in this process: uvicorn on a socket that listens before it starts."""

from __future__ import annotations

import errno
import secrets
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from avreward._extras import extra
from avreward._serving.guard import LOCAL
from avreward.errors import ArgumentError, Described

if TYPE_CHECKING:
    from avreward._serving.guard import Application

BACKLOG = 1024  # connections that wait to be accepted
CONNECTIONS = 800  # open at a time; more are told to come again
GRACE = 2  # seconds that an answer may still take when the server ends
_HOST = "name this machine: 127.0.0.1, or 0.0.0.0 for a network"
_PORT = "name another one, of 1024 to 65535, or 0 for any that is free"
ANY = ("", "0.0.0.0", "::")  # noqa: S104 - to compare with


class LocalServer:
    """A server on this machine unless another `host` is named; on any other one it has a `key`.

    Args:
        application: makes the ASGI application, given whether the server is for this machine alone, and the key.
        host: to listen on.
        port: 0 for any free one.
        key: for a host that others can reach; default: a new one.
        grace: seconds that an answer may still take when the server ends.

    Raises:
        AvrewardError: where that can't be listened on, or the extra ``server`` isn't installed.
    """

    def __init__(
        self,
        application: Callable[[bool, str | None], Application],
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        *,
        grace: int = GRACE,
    ) -> None:
        with extra("server"):
            import uvicorn
        self.local = host in LOCAL
        self.key = self.checked_key(key)
        self._socket = listening(host, port)
        self._server = uvicorn.Server(config_of(application(self.local, self.key), grace))
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def checked_key(self, key: str | None) -> str | None:
        """Return what those who ask must know: nothing on this machine, else the key given or a new one."""
        return None if self.local else key or secrets.token_urlsafe(16)

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address
        host = socket.gethostname() if host in ANY else f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}/"

    def serve_forever(self) -> None:
        """Serve until `shutdown`, or until Ctrl-C, which is a `KeyboardInterrupt`."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()

    def shutdown(self) -> None:
        """End `serve_forever`, which runs in another thread, and wait for its end."""
        self._server.should_exit = True
        self._ended.wait()

    def server_close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()


def config_of(application: Any, grace: int, **options: Any) -> Any:
    """Return uvicorn's configuration: HTTP/1.1 with time limits, no logs, no header that names the software."""
    with extra("server"):
        import uvicorn
    from avreward._serving.protocol import TimedProtocol

    return uvicorn.Config(
        application, http=TimedProtocol, ws="none", lifespan="off", interface="asgi3",
        log_config=None, log_level="critical", access_log=False, server_header=False, date_header=True,
        backlog=BACKLOG, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=grace, **options,
    )  # fmt: skip


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise `ArgumentError` where it can't."""
    made: Any = None
    if not 0 <= port <= 65535:
        raise ArgumentError("port", "a free port", Described(f"{port} at {host} (ports are 0 to 65535)"), _PORT)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
        return made
    except (OSError, UnicodeError) as error:
        if made is not None:
            made.close()
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, socket.gaierror | UnicodeError):
            got = Described(f"{host!r} ({why})")
            raise ArgumentError("host", "an address of this machine", got, _HOST) from error
        wrong_host = getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        got = Described(f"{port} at {host} ({why})")
        raise ArgumentError("port", "a free port", got, _HOST if wrong_host else _PORT) from error
