"""Connect to a Ray cluster, or start one on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError, Described

with extra("ray"):
    import ray

LOCAL = "local"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what fails is raised, and told by this package
}
AS_USUAL = {"RAY_worker_niceness": "0"}  # Ray itself starts workers at nice 15: beside other programs they get little


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Use the Ray of this process, or connect to one, or start one on this machine; end what was started here."""
    if not isinstance(address, str) or not address:
        raise ArgumentError("address", "local, or the address of a Ray cluster", Described(repr(address)))
    mine = not ray.is_initialized()
    if mine:
        for name, value in (QUIET | (AS_USUAL if address == LOCAL else {})).items():
            os.environ.setdefault(name, value)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        if address == LOCAL:
            quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        else:
            quiet |= {"address": address}
        try:
            ray.init(**quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            why = " ".join(str(error).split())[:200]
            raise AvrewardError(
                f"{address}: expected a Ray cluster, got none ({why}); start it, or use local"
            ) from error
    try:
        yield
    finally:
        if mine:
            ray.shutdown()
