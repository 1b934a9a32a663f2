"""A served toy reward, and requests to it without the client."""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from toy_raters import Toy

from avreward.clip import Clip
from avreward.raters.base import Sample, Work
from avreward.raters.scores import Scores


@pytest.fixture
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the start of processes that decode."""
    monkeypatch.setattr("avreward.integrations.service.server.decoding_apart", ExitStack)


class Fussy(Toy):
    """A toy that fails on loud clips, and whose scores are float64."""

    def __init__(self, name: str = "fussy") -> None:
        super().__init__(name, per_clip=False)

    def rate(self, samples: Any, work: Work | None = None) -> Scores:
        self.calls.append(len(samples))
        return Scores.collect([self.doubled(sample) for sample in samples], self.dimensions)

    def doubled(self, sample: Sample) -> Any:
        if "audio" in sample.tracks and float(sample.tracks["audio"].abs().max()) > 0.9:
            raise RuntimeError("too loud")
        values, reasons, basis = self.row(sample)
        return {name: value.double() / 3 for name, value in values.items()}, reasons, basis


def sound(level: float, prompt: str | None = None) -> Clip:
    return Clip(audio=torch.full((1, 800), level), sample_rate=8000, prompt=prompt)


def ask(
    server: Any, method: str, path: str, body: bytes | dict | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers, JSON."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=60)
    try:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        given = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, content, given)
        answer = connection.getresponse()
        text = answer.read()
        found = json.loads(text) if answer.getheader("content-type", "").startswith("application/json") else text
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, found
    finally:
        connection.close()
