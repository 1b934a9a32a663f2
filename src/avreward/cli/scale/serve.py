"""`avreward serve`: a reward over HTTP, for trainers and jobs in other processes and on other machines."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward._extras import extra
from avreward.cli._common import RaterNames, complain, raters_of, reward_of
from avreward.errors import ArgumentError

if TYPE_CHECKING:
    from avreward.integrations.service._processes import Loaded

TOKEN = "AVREWARD_TOKEN"  # noqa: S105  # the name of the variable


def serve(
    reward: Annotated[
        str,
        typer.Argument(
            help="An expression, such as overall, or the YAML file or folder of a reward.", show_default=False
        ),
    ],
    rater: RaterNames = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="A folder whose files requests may name. Once for each folder.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="This machine alone by default. 0.0.0.0: a network; requests then need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN, help="What requests must hold. Default on a network: a new one.", show_default=False
        ),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="How many load the reward; one that ends is replaced.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Clips that are rated together.")] = 8,
    wait: Annotated[float, typer.Option(min=0, help="Milliseconds that a clip waits for others.")] = 10,
    queue: Annotated[int, typer.Option(min=1, help="Clips that may wait; more are told to come later.")] = 512,
    max_megabytes: Annotated[int, typer.Option(min=1, help="That one request may hold.")] = 256,
    store: Annotated[Path | None, typer.Option(help="Keep scores here. Default: nowhere.", show_default=False)] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Serve from replicas of Ray Serve, as many as --processes: local, auto, or HOST:PORT of a cluster.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="With --ray: GPUs of each replica, or a fraction of one.")] = 0,
) -> None:
    """Serve a reward over HTTP until Ctrl-C; what was admitted by then is answered.

    Use it as `--rater http://HOST:PORT`, in a reward's file, or as `load_rater("http://HOST:PORT")`; one of its raters
    is `http://HOST:PORT/#NAME`. Needs the extra `server`, and `ray` for `--ray`.
    """
    with extra("server"):
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    from avreward.integrations.service._requests import ServiceLimits
    from avreward.integrations.service.server import RewardServer, checked_roots

    limits = ServiceLimits(batch=batch, wait=wait / 1000, queue=queue, bytes=max_megabytes << 20)
    folders = checked_roots(root or [])
    load = partial(_loaded, reward, rater, store)
    if gpus and ray is None:
        raise ArgumentError("--gpus", "--ray with it", gpus, "without Ray, each process sees all GPUs")
    if ray is not None:
        from avreward.integrations.ray.serve import RayRewardServer

        replicas = RayRewardServer(
            load, replicas=processes, gpus=gpus, roots=folders, limits=limits, host=host, port=port, token=token,
            address=ray,
        )  # fmt: skip
        with suppress(KeyboardInterrupt):
            replicas.serve_forever(partial(_ready, reward, replicas.url, replicas.token))
        return
    if processes == 1:
        served, also, kept = load()
        server: Any = RewardServer(
            served, also=also, roots=folders, limits=limits, store=kept, host=host, port=port, token=token
        )
        where, token = server.url, server.token
    else:
        from avreward.integrations.service._processes import ServedProcesses

        load()  # what is wrong with the reward is told here, once
        server = ServedProcesses(load, processes, folders, limits, host, port, token)
        where, token = f"http://{host}:{server.socket.getsockname()[1]}/", server.token
    _ready(reward, where, token)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


def _ready(reward: str, where: str, token: str | None) -> None:
    typer.echo(f"Serving {reward} at {where} (Ctrl-C ends it)", err=True)
    if token is not None:
        place = where.removeprefix("http://").rstrip("/")
        complain(f"requests need the token; clients set AVREWARD_SERVER_TOKENS={place}={token}")
    signal.signal(signal.SIGTERM, _as_interrupt)


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _loaded(reward: str, names: list[str] | None, store: Path | None) -> Loaded:
    """Load the reward and the raters, in each process."""
    from avreward.cli._store import store_of

    raters = raters_of(names)
    chosen = reward_of(reward, raters, "REWARD")
    kept = None if store is None else store_of(store, False, chosen.raters)
    behind = {one.name for one in chosen.raters}
    return chosen, [one for one in raters.values() if one.name not in behind], kept
