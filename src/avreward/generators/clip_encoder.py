"""What a generator may do besides generating: encode clips of other origin, and decode some frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.generators.flow_generator import FlowGenerator, Latents


@runtime_checkable
class ClipEncoder(FlowGenerator, Protocol):
    """A `FlowGenerator` that also encodes clips, for training on pairs of clips that were made before."""

    def encode_clip(self, clip: Clip, encoded: Any) -> Latents:
        """Return the clean latents of a clip, one row for each stream: what `decode` turns into it."""
        ...


@runtime_checkable
class FrameDecoder(FlowGenerator, Protocol):
    """A `FlowGenerator` that decodes some frames of a video at less cost than all of them."""

    def decode_frames(self, latents: Latents, encoded: Any, count: int, draw: torch.Generator) -> list[Clip]:
        """Return the clip of each row with `count` random frames at their own times, and its whole audio."""
        ...


def decode_some(
    generator: FlowGenerator, latents: Latents, encoded: Any, count: int | None, draw: torch.Generator
) -> list[Clip]:
    """Return the clips of latents, with `count` random frames of each.

    A generator without ``decode_frames`` decodes all frames, of which the others are dropped.

    Args:
        generator: decodes.
        latents: clean latents, of all streams.
        encoded: the condition.
        count: number of frames; all if `None`.
        draw: draws them.
    """
    if count is None:
        return generator.decode(latents, encoded)
    if isinstance(generator, FrameDecoder):
        return generator.decode_frames(latents, encoded, count, draw)
    return [some_frames(clip, count, draw) for clip in generator.decode(latents, encoded)]


def check_encodes(generator: FlowGenerator) -> None:
    """Raise `ArgumentError` for a generator that cannot encode clips."""
    if not isinstance(generator, ClipEncoder):
        got, remedy = Described(f"a {type(generator).__name__}"), "add a method encode_clip(clip, encoded) -> latents"
        raise ArgumentError("generator", "one that encodes clips", got, remedy)


def some_frames(clip: Clip, count: int, draw: torch.Generator) -> Clip:
    """Return a clip with `count` random frames of its video at their own times, and its whole audio."""
    if not clip.has_video or count >= len(clip.times):
        return clip
    kept: Sequence[int] = sorted(torch.randperm(len(clip.times), generator=draw)[:count].tolist())
    tracks: dict[str, Any] = {"video": clip.video[kept], "times": clip.times[kept]}
    if clip.has_audio:
        tracks |= {"audio": clip.audio, "sample_rate": clip.sample_rate}
    return Clip(**tracks, prompt=clip.prompt, texts=clip.texts)
