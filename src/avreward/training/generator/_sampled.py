"""Groups of samples with their rewards: what the loops on noised samples train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, Latents, sample_flow
from avreward.generators.flow_steps import noisy_latents
from avreward.rewards.base import Reward
from avreward.training.generator._rated import RatedBatch, check_noises, joined, rated
from avreward.training.generator._routing import advantages_of


def check_groups(conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> None:
    """Raise `ArgumentError` if there is not a group of two noises or more for each condition."""
    check_noises(conditions, noises)
    for group in noises:
        if isinstance(group, Noise) or len(group) < 2:
            got = Described("one noise" if isinstance(group, Noise) or len(group) else "none")
            raise ArgumentError("noises", "a list of two or more for each condition", got, "rewards are compared in it")


@dataclass(frozen=True)
class Sampled:
    """Samples of several conditions.

    Attributes:
        encoded: each condition.
        clean: the clean latents of each condition's samples.
        found: rewards of all samples, condition by condition.
        advantages: of each stream that a term may move, (samples,).
        largest: noise level at which each condition's sampling begins; 1 unless the schedule keeps some signal.
    """

    encoded: list[Any]
    clean: list[Latents]
    found: RatedBatch
    advantages: dict[str, Tensor]
    largest: list[float]

    def rows(self) -> Iterator[tuple[Any, Latents, slice, float]]:
        """Yield each condition, its clean latents, where its samples are among all, and its largest noise level."""
        start = 0
        for encoded, clean, largest in zip(self.encoded, self.clean, self.largest, strict=True):
            size = len(next(iter(clean.values())))
            yield encoded, clean, slice(start, start + size), largest
            start += size


def sample_groups(
    generator: FlowGenerator,
    reward: Reward,
    conditions: Sequence[Condition],
    noises: Sequence[Sequence[Noise]],
    steps: int,
    rows: int,
) -> Sampled:
    """Sample a group of clips for each condition by Euler steps, without gradients, and rate them.

    At most `rows` clips go through the network, the decoder and the reward at once.

    Raises:
        ArgumentError: if there are no conditions, or not a group of two noises or more for each.
    """
    check_groups(conditions, noises)
    with torch.no_grad():
        encoded = [generator.encode(condition) for condition in conditions]
        levels = [generator.sigmas(steps, one) for one in encoded]
        clean = [sample_flow(generator, e, n, s, rows=rows) for e, n, s in zip(encoded, noises, levels, strict=True)]
        found = rated_in_parts(generator, reward, clean, encoded, rows)
    groups = [number for number, group in enumerate(noises) for _ in group]
    advantages = advantages_of(reward, found, groups, generator.streams)
    return Sampled(encoded, clean, found, advantages, [own[0] for own in levels])


def rated_in_parts(
    generator: FlowGenerator, reward: Reward, clean: Sequence[Latents], encoded: Sequence[Any], rows: int
) -> RatedBatch:
    """Return the rewards of all conditions' clean latents, of which at most `rows` are decoded and rated at once."""
    found = []
    for latents, condition in zip(clean, encoded, strict=True):
        for part in row_parts(len(next(iter(latents.values()))), rows):
            clips = generator.decode({name: x[part] for name, x in latents.items()}, condition)
            found.append(rated(reward, clips))
    return joined(found)


def row_parts(count: int, rows: int) -> list[slice]:
    """Return slices of at most `rows` that cover `count` rows."""
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


@dataclass(frozen=True)
class Noised:
    """Clean latents mixed with noise.

    Attributes:
        clean: latents of each stream, (rows, …).
        noise: that they are mixed with.
        noisy: the mix.
        times: its noise levels, (rows,).
    """

    clean: Latents
    noise: Latents
    noisy: Latents
    times: Tensor

    def parts(self, rows: int) -> Iterator[tuple[slice, Noised]]:
        """Yield at most `rows` rows at a time, and which they are."""
        for part in row_parts(len(self.times), rows):
            clean, noise, noisy = (
                {name: x[part] for name, x in of.items()} for of in (self.clean, self.noise, self.noisy)
            )
            yield part, Noised(clean, noise, noisy, self.times[part])


def with_noise(clean: Latents, times: Tensor, draw: torch.Generator, pairs: bool = False) -> Noised:
    """Mix latents with noise at noise levels (rows,); with `pairs` both halves share their noise."""
    noise = {}
    for name, x in clean.items():
        shape = (len(x) // 2, *x.shape[1:]) if pairs else x.shape
        drawn = torch.randn(shape, generator=draw).to(x)
        noise[name] = torch.cat([drawn, drawn]) if pairs else drawn
    return Noised(clean, noise, {name: noisy_latents(x, noise[name], times) for name, x in clean.items()}, times)
