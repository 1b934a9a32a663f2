"""A reward service in several processes that listen on one socket; one that ends is started again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avreward._extras import extra
from avreward._serving.guard import LOCAL
from avreward._serving.server import config_of, listening
from avreward.raters.base import Rater
from avreward.rewards.base import Reward
from avreward.scoring.store.store import Store

SILENT = 120  # seconds after which a process that does not answer is replaced; importing and loading take some
_for_good: list[ExitStack] = []  # contexts of this process that end with it
Loaded = tuple[Reward, Sequence[Rater], Store | None]


@dataclass(frozen=True)
class ServedProcess:
    """What each process runs; it is pickled, so `load` must be a function of a module.

    Attributes:
        load: returns the reward, more raters, and the store.
        roots: folders whose files may be named.
        limits: `ServiceLimits`.
        local: whether the service is for this machine alone.
        token: that clients must send.
    """

    load: Callable[[], Loaded]
    roots: tuple[Path, ...]
    limits: Any
    local: bool
    token: str | None

    def __call__(self, replica: str | None = None) -> Any:
        """Load the reward and return the application; its counts name the `replica`, if there is one."""
        from avreward.integrations.service._app import service_app
        from avreward.integrations.service._rating import ServedReward
        from avreward.integrations.service._requests import RequestHandler
        from avreward.integrations.service.server import decoding_apart

        _for_good.append(decoding_apart())
        handler = RequestHandler(ServedReward(*self.load()), self.roots, self.limits, replica)
        return service_app(handler, local=self.local, token=self.token)


class ServedProcesses:
    """Serve from several processes.

    Args:
        load: returns the reward, more raters, and the store; called in each process.
        processes: how many.
        roots, limits: as for `RewardServer`.
        host, port: to listen on.
        token: that clients must send (*optional*, a new one on an address that others can reach).
    """

    def __init__(
        self, load: Callable[[], Loaded], processes: int, roots: Sequence[Path], limits: Any, host: str, port: int,
        token: str | None,
    ) -> None:  # fmt: skip
        from avreward.integrations.service.server import DRAIN, token_for

        self.token = token_for(host in LOCAL, token)
        self.socket: socket.socket = listening(host, port)
        app = ServedProcess(load, tuple(roots), limits, host in LOCAL, self.token)
        self._config = config_of(app, DRAIN, factory=True, workers=processes, timeout_worker_healthcheck=SILENT)

    def serve_forever(self) -> None:
        """Serve until Ctrl-C or SIGTERM; what was admitted is answered."""
        with extra("server"):
            from uvicorn.supervisors import Multiprocess
        from avreward.integrations.service._metrics import SHARED

        with ExitStack() as stack:
            os.environ[SHARED] = stack.enter_context(TemporaryDirectory(prefix="avreward-counts-"))
            stack.callback(os.environ.pop, SHARED, None)
            stack.callback(self.socket.close)
            Multiprocess(self._config, sockets=[self.socket]).run()
