"""What a reward service counts, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator

from avreward._extras import extra

with extra("server"):
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
    from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the folder in which several processes keep their counts
TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of one service; with several processes, of all of them together.

    Args:
        replica: that the counts are of, as a label of each (*optional*).
    """

    def __init__(self, replica: str | None = None) -> None:
        self.replica = replica
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("avreward_requests", "Requests.", ["endpoint", "status"], registry=own)
        self.seconds = Histogram(
            "avreward_request_seconds", "Seconds until an answer.", ["endpoint"], buckets=_SECONDS, registry=own
        )
        outcomes = "Clips: scored, missing (no reward) or unusable (the clip is wrong)."
        self.clips = Counter("avreward_clips", outcomes, ["outcome"], registry=own)
        self.batch = Histogram("avreward_batch_clips", "Clips rated together.", buckets=_SIZES, registry=own)
        self.waiting = Gauge(
            "avreward_waiting_clips", "Clips without an answer yet.", multiprocess_mode="livesum", registry=own
        )

    def text(self) -> bytes:
        """Return the counts in the text format of Prometheus."""
        if os.environ.get(SHARED):
            together = CollectorRegistry()
            MultiProcessCollector(together)
            return bytes(generate_latest(together))
        return bytes(generate_latest(self if self.replica else self.registry))

    def collect(self) -> Iterator[Metric]:
        """Yield the counts with the label of the replica."""
        label = {"replica": self.replica or ""}
        for family in self.registry.collect():
            family.samples = [one._replace(labels={**one.labels, **label}) for one in family.samples]
            yield family
