"""A generator whose clips are also rated by a reward that is not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.generators.base import Condition, Noise
from avreward.generators.clip_encoder import FrameDecoder, some_frames
from avreward.generators.flow_generator import FlowGenerator, Latents
from avreward.rewards.base import Reward
from avreward.training.generator._rated import rated


class WatchedGenerator:
    """Passes everything on to a generator, and rates each decoded clip by a held-out reward, without gradients.

    The held-out reward rates whole clips, also where the loop rates a few frames of each.

    Args:
        generator: what generates.
        held_out: the reward; none rates nothing.
    """

    def __init__(self, generator: FlowGenerator, held_out: Reward | None) -> None:
        self.generator, self.held_out = generator, held_out
        self.network: nn.Module = generator.network
        self.streams = generator.streams
        self._found: list[float] = []

    def encode(self, condition: Condition) -> Any:
        """Return what the generator makes of a condition."""
        return self.generator.encode(condition)

    def start(self, encoded: Any, noises: Sequence[Noise]) -> Latents:
        """Return the generator's initial noise."""
        return self.generator.start(encoded, noises)

    def sigmas(self, steps: int, encoded: Any) -> list[float]:
        """Return the generator's noise levels."""
        return self.generator.sigmas(steps, encoded)

    def velocity(self, latents: Latents, sigma: Tensor, encoded: Any) -> Latents:
        """Return the generator's velocity."""
        return self.generator.velocity(latents, sigma, encoded)

    def decode(self, latents: Latents, encoded: Any) -> list[Clip]:
        """Return the generator's clips, and rate them."""
        clips = self.generator.decode(latents, encoded)
        self._rate(clips)
        return clips

    def decode_frames(self, latents: Latents, encoded: Any, count: int, draw: torch.Generator) -> list[Clip]:
        """Return the generator's clips with `count` random frames, and rate the whole clips.

        A generator that decodes some frames alone decodes the whole clips once more, without gradients, if there is a
        held-out reward.
        """
        if not isinstance(self.generator, FrameDecoder):
            return [some_frames(clip, count, draw) for clip in self.decode(latents, encoded)]
        if self.held_out is not None:
            with torch.no_grad():
                self._rate(self.generator.decode({name: x.detach() for name, x in latents.items()}, encoded))
        return self.generator.decode_frames(latents, encoded, count, draw)

    def _rate(self, clips: Sequence[Clip]) -> None:
        if self.held_out is None:
            return
        with torch.no_grad():
            found = rated(self.held_out, [clip.detached() for clip in clips])
        there = found.present.tolist()
        self._found += [v if t else math.nan for v, t in zip(found.values.tolist(), there, strict=True)]

    def take_held_out(self) -> list[float]:
        """Return the held-out rewards of all clips since the last call, in their order; NaN where missing."""
        found, self._found = self._found, []
        return found
