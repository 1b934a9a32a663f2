"""How many actors rate, and what each takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from avreward._extras import extra
from avreward.errors import ArgumentError

with extra("ray"):
    import ray
    import ray.data

BATCHES, TURNS = (32, 256), 16  # clips of a batch, least and most; batches that each actor of a long list gets at least


@dataclass(frozen=True)
class RayActors:
    """The actors that rate.

    Args:
        count: how many, or (least, most) for a pool that grows and shrinks with the work (*optional*: one for each GPU
            that they may use, or for each two cores).
        cpus: cores of each.
        gpus: GPUs of each; a fraction lets several share one.
        batch: clips that an actor takes at a time, and loses at most when it is killed (*optional*: 32, and of a long
            list up to 256, since a batch itself takes time).
    """

    count: int | tuple[int, int] | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    batch: int | None = None

    def __post_init__(self) -> None:
        counts = self.count if isinstance(self.count, tuple) else (1 if self.count is None else self.count,)
        batch = BATCHES[0] if self.batch is None else self.batch
        if not all(isinstance(n, int) and n >= 1 for n in (*counts, batch)) or list(counts) != sorted(counts):
            raise ArgumentError("actors", "positive numbers of actors and clips", self)

    @property
    def least(self) -> int:
        """How many there are at least."""
        return self.count[0] if isinstance(self.count, tuple) else self.count or 1

    def taking(self, rows: int | None = None) -> int:
        """Return how many clips an actor takes at a time, of a list of so many."""
        if rows is None:
            return self.batch or BATCHES[0]
        batch = self.batch or min(max(rows // (TURNS * self.least), BATCHES[0]), BATCHES[1])
        return max(1, min(batch, math.ceil(rows / self.least)))  # work for each

    def pool(self) -> Any:
        """Return Ray Data's strategy."""
        if isinstance(self.count, tuple):
            return ray.data.ActorPoolStrategy(min_size=self.count[0], max_size=self.count[1])
        return ray.data.ActorPoolStrategy(size=self.most())

    def most(self) -> int:
        """Return how many there are at most."""
        if self.count is not None:
            return self.count[1] if isinstance(self.count, tuple) else self.count
        there = ray.cluster_resources()
        return max(1, int(there.get("GPU", 0) / self.gpus if self.gpus else there.get("CPU", 2) / 2))

    def threads(self) -> int:
        """Return how many clips each decodes at a time: the cluster's cores for each."""
        return max(1, int(ray.cluster_resources().get("CPU", 2) / self.most()))
