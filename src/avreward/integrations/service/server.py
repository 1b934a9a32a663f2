"""A reward as an HTTP service in this process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from types import TracebackType

from avreward._extras import extra
from avreward._serving.server import LocalServer
from avreward.errors import ArgumentError
from avreward.integrations.service._app import service_app
from avreward.integrations.service._rating import ServedReward
from avreward.integrations.service._requests import RequestHandler, ServiceLimits
from avreward.media._isolated.workers import isolated_for
from avreward.raters.base import Rater
from avreward.rewards._as_reward import RewardLike
from avreward.scoring.store.store import Store

DRAIN = 30  # seconds that requests may still take when the server ends
DECODING = 120.0  # seconds that a decoder may be silent


class RewardServer(LocalServer):
    """Serve a reward over HTTP, for `RemoteRater` and any other client.

    Clips of several requests are rated together; each has its own answer, with reasons where something is missing.
    Media files are decoded in processes of their own. On this machine's own address no token is needed; on any other
    one a request must hold the `token`. Leaving the context answers the requests that were admitted, and ends.

    ===================  ============================================================================================
    ``POST /v1/score``   clips by path (JSON) or as tensors and files (safetensors); rewards, scores, reasons
    ``POST /v1/upload``  one media file; ``?name=``, ``?prompt=``, ``?texts.NAME=``
    ``POST /v1/compare`` pairs of clips, as for ``score``; which is better, and by how much
    ``GET /v1/describe`` dimensions, directions, needs, fingerprints, limits
    ``GET /health``      whether it serves; needs no token
    ``GET /metrics``     counts for Prometheus
    ``POST /score``      UniRL's contract; ``POST /verl-omni/audio`` verl-omni's
    ===================  ============================================================================================

    Args:
        reward: a reward, an expression over `signals`, or a reward's file or folder.
        also: more raters to serve, besides those that the reward reads.
        roots: folders whose files requests may name; without one they may name none.
        limits: sizes of batches, queue and bodies (*optional*).
        store: where scores are kept (*optional*).
        host: to listen on.
        port: 0 for any free one.
        token: for clients (*optional*; a new one on an address that others can reach).

    Raises:
        ArgumentError: for a wrong argument, a host or port that can't be listened on, or a root that is not a folder.
        AvrewardError: if the extra ``server`` isn't installed.

    Example:
        >>> with RewardServer("audio_quality") as server:
        ...     rater = load_rater(server.url)
        ...     rater(clips[:1]).present
        tensor([[True]])
    """

    def __init__(
        self,
        reward: RewardLike,
        *,
        also: Sequence[Rater] = (),
        roots: Sequence[str | PathLike[str]] = (),
        limits: ServiceLimits | None = None,
        store: Store | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
    ) -> None:
        with extra("server"):
            import starlette  # noqa: F401
        self._handler = RequestHandler(
            ServedReward(reward, also, store), checked_roots(roots), limits or ServiceLimits()
        )
        super().__init__(
            lambda local, key: service_app(self._handler, local=local, token=key), host, port, token, grace=DRAIN
        )

    def checked_key(self, key: str | None) -> str | None:
        """Return the token: the one given, or a new one on an address that others can reach."""
        return token_for(self.local, key)

    @property
    def token(self) -> str | None:
        """What clients must send; `None` where nothing is asked for."""
        return self.key

    def serve_forever(self) -> None:
        """Serve until `shutdown`, or until Ctrl-C, which is a `KeyboardInterrupt`; what was admitted is answered."""
        with decoding_apart():
            super().serve_forever()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, where)
        self._handler.batches.close()


def token_for(local: bool, given: str | None) -> str | None:
    """Return the token that clients must send: the one given, or a new one on an address that others can reach."""
    return given or (None if local else secrets.token_urlsafe(24))


def checked_roots(roots: Sequence[str | PathLike[str]]) -> list[Path]:
    """Return the folders whose files may be named; raise `ArgumentError` for what is not a folder."""
    if isinstance(roots, str | PathLike):
        raise ArgumentError("roots", "a list of folders", roots, f"pass [{str(roots)!r}]")
    for root in roots:
        if not os.path.isdir(root):
            raise ArgumentError("roots", "folders that exist", str(root), "correct the path")
    return [Path(root) for root in roots]


def decoding_apart() -> ExitStack:
    """Decode media in processes of their own within the context, where the system can fork."""
    stack = ExitStack()
    stack.enter_context(isolated_for((), True, DECODING))
    return stack
