"""Answer the requests of a reward service: bodies in, JSON out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.errors import ArgumentError
from avreward.integrations.service._batches import DynamicBatches
from avreward.integrations.service._metrics import Metrics
from avreward.integrations.service._rating import ServedReward
from avreward.integrations.service._sources import OpenedClip, open_clip
from avreward.raters.remote._bodies import JSON, TENSORS, ClipAnswer, ClipBody, ScoreBody
from avreward.raters.remote._parts import unpacked
from avreward.scoring._torch_threads import cores

with extra("server"):
    import msgspec
    from starlette.requests import Request


@dataclass(frozen=True)
class ServiceLimits:
    """What a reward service takes.

    Attributes:
        batch: clips that are rated together.
        wait: seconds that the first clip of a batch waits for others: the latency that batching may cost.
        queue: clips that are admitted at a time; more requests are refused with status 429 and a time to come again.
        clips: that one request may hold.
        bytes: of one request's body.
        held_bytes: of all bodies at a time.
    """

    batch: int = 8
    wait: float = 0.01
    queue: int = 512
    clips: int = 64
    bytes: int = 256 << 20
    held_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "clips", "bytes", "held_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(name, "a positive integer", value)
        if not 0 <= self.wait <= 60:
            raise ArgumentError("wait", "seconds, from 0 to 60", self.wait)


class RequestHandler:
    """Turn requests into clips, clips into batches, and scores into answers."""

    def __init__(
        self, served: ServedReward, roots: Sequence[Path], limits: ServiceLimits, replica: str | None = None
    ) -> None:
        self.served, self.limits, self.metrics = served, limits, Metrics(replica)
        self.roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self.batches: DynamicBatches[OpenedClip, ClipAnswer] = DynamicBatches(
            served.rate, limits.batch, limits.wait, limits.queue, self.metrics.batch.observe
        )
        self._openers = asyncio.Semaphore(cores())

    async def clips_of(self, request: Request) -> tuple[list[ClipBody], dict[str, Tensor]]:
        """Return the clips that a body names or holds, and its parts."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await request.body()
        if kind == TENSORS:
            return await asyncio.to_thread(unpacked, body)
        if kind != JSON:
            raise RequestProblem(415, f"Content-Type: expected {JSON} or {TENSORS}, got {kind or 'none'}")
        return decoded(body, ScoreBody).clips, {}

    async def answers(self, bodies: Sequence[ClipBody], parts: Mapping[str, Tensor]) -> list[ClipAnswer]:
        """Return the answers for clips, in order."""
        if not bodies:
            raise RequestProblem(400, "clips: expected at least one, got none")
        if len(bodies) > self.limits.clips:
            problem = f"clips: expected at most {self.limits.clips}, got {len(bodies)}; send them in several requests"
            raise RequestProblem(413, problem)
        with self.batches.room(len(bodies)), TemporaryDirectory(prefix="avreward-", ignore_cleanup_errors=True) as made:
            self.metrics.waiting.inc(len(bodies))
            try:
                folder = Path(made) if parts else None
                opened = await asyncio.gather(*(self._opened(body, parts, folder) for body in bodies))
                found = await self.batches.results(opened)
            finally:
                self.metrics.waiting.dec(len(bodies))
        for one in found:
            outcome = "unusable" if one.error is not None else "missing" if one.reward is None else "scored"
            self.metrics.clips.labels(outcome).inc()
        return found

    async def _opened(self, body: ClipBody, parts: Mapping[str, Tensor], folder: Path | None) -> OpenedClip:
        async with self._openers:
            return await asyncio.to_thread(open_clip, body, parts, folder, self.roots)

    def observed(self, endpoint: str, status: int, started: float) -> None:
        """Count a request that was answered."""
        self.metrics.requests.labels(endpoint, str(status)).inc()
        self.metrics.seconds.labels(endpoint).observe(time.monotonic() - started)


def from_base64(text: str, name: str) -> Tensor:
    """Return the bytes that a field holds, uint8 (n,).

    Raises:
        RequestProblem: if they are none, or not base64; it names the field.
    """
    try:
        content = bytearray(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise RequestProblem(400, f"{name}: expected base64, got something else ({error})") from error
    if not content:
        raise RequestProblem(400, f"{name}: expected the bytes of media, got none")
    return torch.frombuffer(content, dtype=torch.uint8)


def decoded(body: bytes, kind: Any) -> Any:
    """Return a JSON body of a kind.

    Raises:
        RequestProblem: with the place of the mistake in it.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise RequestProblem(
            400, f"body: expected JSON as docs/guides/scale.md describes, got another ({error})"
        ) from error
