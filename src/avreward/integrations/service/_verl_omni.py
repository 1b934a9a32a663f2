"""The HTTP contract of verl-omni's audio scorers, answered by a reward of ours.

As in verl-project/verl-omni, ``verl_omni/utils/reward_score/audio_http_scorer_client.py`` at commit 3d52255: one
waveform a request, as JSON; ``score`` and other finite numbers in the answer. Its scorers of images talk in pickles
(``docs/start/http_scorer.md`` at commit 16f9152), which can run code and are never read here.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.integrations.service._requests import RequestHandler, decoded, from_base64
from avreward.raters.remote._bodies import ClipBody

with extra("server"):
    from msgspec import Struct
    from starlette.requests import Request

VERSION = "1"


class VerlOmniAudio(Struct):
    """The body: a mono waveform as little-endian float32, and its prompt. Metadata are not read."""

    waveform_f32_base64: str
    num_samples: int
    sample_rate: int
    prompt: str
    protocol_version: str = VERSION
    metadata: dict[str, Any] = {}


class VerlOmniRoutes:
    """Answer verl-omni's ``audio_http_scorer_client``; the reason for a missing score is an error with status 422."""

    def __init__(self, handler: RequestHandler) -> None:
        self.handler = handler

    async def audio(self, request: Request) -> object:
        """Return the reward as ``score``, and each rater's scores by their names."""
        body: VerlOmniAudio = decoded(await request.body(), VerlOmniAudio)
        if body.protocol_version != VERSION:
            raise RequestProblem(400, f"protocol_version: expected {VERSION!r}, got {body.protocol_version!r}")
        content = from_base64(body.waveform_f32_base64, "waveform_f32_base64")
        if len(content) != 4 * body.num_samples:
            got = f"expected {body.num_samples} samples of 4 bytes, got {len(content)} bytes"
            raise RequestProblem(400, f"waveform_f32_base64: {got}")
        parts = {"0.tensor": content.view(torch.float32)[None]}
        clip = ClipBody(name="waveform", prompt=body.prompt, audio="0.tensor", sample_rate=body.sample_rate)
        (answer,) = await self.handler.answers([clip], parts)
        if answer.reward is None:
            raise RequestProblem(422, answer.error or answer.reason or "the reward is missing")
        named = {f"{name}.{dimension}": value for name, row in answer.raters.items()
                 for dimension, value in row.values.items() if math.isfinite(value)}  # fmt: skip
        return {"score": answer.reward, **named}

    async def image(self, request: Request) -> object:
        """Refuse the client of images."""
        problem = "verl-omni's image client sends pickles, which are never read here"
        raise RequestProblem(415, f"{problem}; call VerlOmniReward in its process, with an http:// rater in the reward")
