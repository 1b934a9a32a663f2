"""A reward as an application of Ray Serve: that of `avreward serve`, in replicas on many machines."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from avreward._extras import extra
from avreward._serving.guard import LOCAL as THIS_MACHINE
from avreward._serving.server import ANY, listening
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.integrations.ray._cluster import LOCAL, connected
from avreward.integrations.service._processes import SILENT, Loaded, ServedProcess
from avreward.integrations.service._requests import ServiceLimits
from avreward.integrations.service.server import DRAIN, checked_roots, token_for
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward

with extra("ray"):
    import ray
    from ray import serve
    from ray.exceptions import RayActorError, RayError
with extra("server"):
    import urllib3

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "avreward"
_LOGS = {"log_level": "WARNING", "enable_access_log": False}
_STARTS, _LISTENS = 3, 120  # how often Serve is started; seconds in which its proxy must then answer


def reward_application(
    reward: RewardLike | Callable[[], Loaded],
    *,
    replicas: int | tuple[int, int] = 2,
    cpus: float = 1.0,
    gpus: float = 0.0,
    roots: Sequence[str | PathLike[str]] = (),
    limits: ServiceLimits | None = None,
    token: str | None = None,
) -> Application:
    """Return a reward as an application of Ray Serve, for `ray.serve.run` or a file that deploys it.

    Each replica loads the reward once and answers as `RewardServer` does: the same endpoints, limits, reasons and
    batches. It must be deployed at ``/``. Its counts at ``/metrics`` are those of the replica that answers, which is
    the label ``replica``.

    Args:
        reward: a reward, an expression, a reward's file or folder, or a function that returns (reward, more raters,
            store or `None`); it is called in each replica.
        replicas: how many, or (least, most) for a number that follows the requests.
        cpus: cores of each.
        gpus: GPUs of each; a fraction lets several share one.
        roots: see `RewardServer`; each machine reads its own.
        limits: see `RewardServer`; of each replica.
        token: that requests must hold. Without one only requests to a name of this machine are answered: pass one
            wherever Serve listens on a network.

    Raises:
        ArgumentError: for a wrong argument.
        AvrewardError: if the extras ``ray`` and ``server`` aren't installed.

    Example:
        >>> app = reward_application("overall", replicas=16, gpus=0.5, token="…")  # doctest: +SKIP
        >>> ray.serve.run(app)  # doctest: +SKIP
    """
    return _application(reward, replicas, (cpus, gpus), roots, limits, token is None, token)


def _application(
    reward: RewardLike | Callable[[], Loaded], replicas: int | tuple[int, int], each: tuple[float, float],
    roots: Sequence[str | PathLike[str]], limits: ServiceLimits | None, local: bool, token: str | None,
) -> Application:  # fmt: skip
    counts: tuple[int, ...] = replicas if isinstance(replicas, tuple) else (replicas,)
    wrong = any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in counts)
    if wrong or list(counts) != sorted(counts) or len(counts) > 2:
        raise ArgumentError("replicas", "a positive integer, or two of them: least and most", replicas)
    limits = limits or ServiceLimits()
    process = ServedProcess(_loading(reward), tuple(checked_roots(roots)), limits, local, token)

    def build() -> Any:
        return process(serve.get_replica_context().replica_id.unique_id)

    admitted = 2 * limits.queue  # so that the application itself refuses what is too much, with a time to come again
    scaled = (
        {"num_replicas": replicas}
        if isinstance(replicas, int)
        else {
            "autoscaling_config": {
                "min_replicas": counts[0], "max_replicas": counts[-1], "target_ongoing_requests": 2 * limits.batch,
            }
        }
    )  # fmt: skip
    deployment = serve.deployment(
        name=NAME, ray_actor_options={"num_cpus": each[0], "num_gpus": each[1]}, max_ongoing_requests=admitted,
        graceful_shutdown_timeout_s=DRAIN, health_check_timeout_s=SILENT, logging_config=_LOGS, **scaled,
    )  # fmt: skip
    return deployment(serve.ingress(build)()).bind()


class RayRewardServer:
    """Serve a reward from replicas on a Ray cluster, or on this machine, within a context.

    See `reward_application`. Leaving the context answers what was admitted, and ends what was started here: the
    application, Serve where nothing else uses it, and a local Ray.

    Args:
        reward, replicas, cpus, gpus, roots, limits: see `reward_application`.
        host: where Serve's proxies listen, on each machine with a replica.
        port: of them; 0 for any that is free on this machine.
        token: for clients (*optional*; a new one on an address that others can reach).
        address: of the cluster; ``"local"`` starts Ray on this machine, for itself alone.

    Raises:
        ArgumentError: for a wrong argument.
        AvrewardError: where the application can't be deployed, or the extras ``ray`` and ``server`` aren't installed.

    Example:
        >>> with RayRewardServer("overall", replicas=2) as server:  # doctest: +SKIP
        ...     rater = load_rater(server.url)
    """

    def __init__(
        self,
        reward: RewardLike | Callable[[], Loaded],
        *,
        replicas: int | tuple[int, int] = 2,
        cpus: float = 1.0,
        gpus: float = 0.0,
        roots: Sequence[str | PathLike[str]] = (),
        limits: ServiceLimits | None = None,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str | None = None,
        address: str = LOCAL,
    ) -> None:
        self.host, self.address, self.token = host, address, token_for(host in THIS_MACHINE, token)
        with listening(host, port) as free:  # Serve tells nobody why it can't listen
            self.port: int = free.getsockname()[1]
        self._least = replicas[0] if isinstance(replicas, tuple) else replicas
        self._load, self._cpus, self._gpus = _loading(reward), cpus, gpus
        self._application = _application(
            reward, replicas, (cpus, gpus), roots, limits, host in THIS_MACHINE, self.token
        )
        self._running = ExitStack()

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """Where it is."""
        host = socket.gethostname() if self.host in ANY else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def serve_forever(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until Ctrl-C, which is a `KeyboardInterrupt`; `ready` is called once it answers."""
        with self:
            ready()
            threading.Event().wait()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            own = self.address == LOCAL and not ray.is_initialized()  # a Ray that ends takes Serve with it
            stack.enter_context(connected(self.address))
            if not own:
                stack.callback(_end_unused)
            self._check_room()
            check = ray.remote(_check).options(num_cpus=self._cpus, num_gpus=self._gpus)
            ray.get(check.remote(self._load))  # what is wrong with the reward is told here, once
            self._deploy(stack)
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._running.close()

    def _check_room(self) -> None:
        """Refuse more replicas than this machine holds; on a cluster they may wait for machines to come."""
        there = ray.cluster_resources()
        asked = {"CPU": self._cpus * self._least, "GPU": self._gpus * self._least}
        for kind, count in asked.items():
            if self.address == LOCAL and count > there.get(kind, 0):
                got = Described(f"{self._least}, which need {count:g} {kind}s")
                raise ArgumentError("replicas", f"as many as {there.get(kind, 0):g} {kind}s of this machine hold", got)

    def _deploy(self, stack: ExitStack) -> None:
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        try:
            self._start()
            if NAME in serve.status().applications:
                raise AvrewardError(f"{self.address}: a reward is served there already; end it with serve.delete")
            stack.callback(serve.delete, NAME)
            serve.run(self._application, name=NAME, route_prefix="/")
        except (RuntimeError, ValueError, serve.exceptions.RayServeException, RayError) as error:
            raise AvrewardError(f"{self.address}: Ray Serve can't deploy the reward ({error})") from error
        if ray.get_runtime_context().get_node_id() in serve.status().proxies:
            self._check_listens()

    def _start(self) -> None:
        """Start Serve; where a proxy takes so long that Serve replaces it, wait for the next one."""
        for left in range(_STARTS, 0, -1):
            try:
                serve.start(http_options={"host": self.host, "port": self.port}, logging_config=_LOGS)
                return
            except RayActorError:
                if left == 1:
                    raise

    def _check_listens(self) -> None:
        host = "127.0.0.1" if self.host in ANY else self.host
        end = time.monotonic() + _LISTENS
        while time.monotonic() < end:
            try:
                answer = urllib3.request("GET", f"http://{host}:{self.port}/health", retries=False, timeout=_LISTENS)
                if answer.status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.2)
        got = Described(f"{self.port} at {self.host}, where nothing answers")
        remedy = "Serve on this cluster listens elsewhere since it was started; pass its host and port"
        raise ArgumentError("port", "the one of Ray Serve", got, remedy)


class _Given:
    """Load a reward that was passed, or named by an expression or a file."""

    def __init__(self, reward: RewardLike) -> None:
        if not isinstance(reward, Reward | str | PathLike):
            as_reward(reward)  # says what a reward is
        named = isinstance(reward, str | PathLike) and os.path.exists(reward)
        self.reward = os.path.abspath(reward) if named else reward  # type: ignore[arg-type]

    def __call__(self) -> Loaded:
        return as_reward(self.reward), (), None


def _loading(reward: RewardLike | Callable[[], Loaded]) -> Callable[[], Loaded]:
    return reward if callable(reward) and not isinstance(reward, Reward) else _Given(reward)


def _check(load: Callable[[], Loaded]) -> None:
    load()


def _end_unused() -> None:
    if not serve.status().applications:
        serve.shutdown()
