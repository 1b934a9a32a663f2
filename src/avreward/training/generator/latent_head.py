"""A latent head in a training loop: sampled and fitted before, checked against the rater while the generator moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, Latents, sample_flow
from avreward.rewards.base import Reward
from avreward.rewards.latent.heads import LatentHead, fit_latent_head
from avreward.training.generator._processes import from_all
from avreward.training.generator._rated import RatedBatch, check_counts, rated
from avreward.training.generator._routing import moved_streams

RECENT = 16  # checked clips that count


def sample_latent_head(
    generator: FlowGenerator,
    reward: Reward,
    conditions: Sequence[Condition],
    noises: Sequence[Sequence[Noise]],
    *,
    steps: int = 10,
    **options: Any,
) -> LatentHead:
    """Sample clips of conditions, rate them, and fit a head to their latents and rewards.

    Clips of a condition are held out together where there are at least four conditions. A clip without a reward is left
    out.

    Args:
        generator: makes the clips, by Euler steps.
        reward: of the clips; it needs no gradient.
        conditions: what is generated.
        noises: of each condition's clips.
        steps: denoising steps.
        **options: of `fit_latent_head`.

    Raises:
        ArgumentError: if the rewards are too few or equal.
        AvrewardError: if no clip has a reward.
    """
    parts: list[Latents] = []
    values: list[Tensor] = []
    groups: list[int] = []
    reasons: list[str] = []
    with torch.no_grad():
        for number, (condition, own) in enumerate(zip(conditions, noises, strict=True)):
            encoded = generator.encode(condition)
            latents = sample_flow(generator, encoded, own, generator.sigmas(steps, encoded))
            found = rated(reward, generator.decode(latents, encoded))
            parts.append({name: x[found.present] for name, x in latents.items()})
            values.append(found.values[found.present])
            groups += [number] * int(found.present.sum())
            reasons += found.reasons
    if not groups:
        raise AvrewardError(f"no clip has a reward: {reasons[0] if reasons else 'no clips were made'}")
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    together = groups if len(conditions) >= 4 else None
    return fit_latent_head(whole, torch.cat(values), groups=together, **options)


class HeadGuard:
    """A head that stands in for a reward between checks, and is dropped where it drifts.

    In every `every`-th update the clips are decoded and rated, and the head's error on them is compared with the one
    measured when it was fitted. Once the error over the last 16 checked clips is more than `largest` times as large, or
    none of these 16 has a reward, the head is dropped: from then on the reward itself is used.

    Args:
        head: of `fit_latent_head`.
        every: updates from one check to the next; the first update is one.
        largest: error that ends the head, in units of its held-out error.

    Attributes:
        active: whether the head is used.
        drift: the last error in these units; 0 before the first check.

    Raises:
        ArgumentError: if the head has no measured error, or predicts no better than the mean.
    """

    def __init__(self, head: LatentHead, *, every: int = 10, largest: float = 2.0) -> None:
        check_counts(every=every)
        if not largest > 1:
            raise ArgumentError("largest", "a number above 1", largest)
        if head.error is None or not head.error.rmse < head.error.deviation:
            got = Described("one without a measured error" if head.error is None else str(head.error))
            remedy = "fit it to more clips"
            raise ArgumentError("head", "one whose held-out error is smaller than the rewards' deviation", got, remedy)
        self.head, self.every, self.largest = head, every, largest
        self.error = head.error
        self.active, self.drift = True, 0.0
        self._recent: list[float | None] = []  # squared errors; none for a clip without a reward

    def due(self, update: int) -> bool:
        """Return whether an update rates its clips."""
        return not self.active or update % self.every == 0

    def predicted(self, latents: Latents, moved: set[str]) -> RatedBatch:
        """Return the head's rewards of clean latents, whose gradient reaches the streams in `moved` alone."""
        own = {name: x if name in moved else x.detach() for name, x in latents.items()}
        values = self.head(own)
        present = values.detach().isfinite()
        reasons = ["the latent head's reward is not a finite number"] * int((~present).sum())
        return RatedBatch(values, present, {"latent_head": values}, reasons)

    def check(self, latents: Latents, found: RatedBatch) -> None:
        """Compare the head with the rewards of the same clips, and drop it if it drifted."""
        if not self.active:
            return
        with torch.no_grad():
            errors = (self.head({name: x.detach() for name, x in latents.items()}) - found.values.detach()) ** 2
        own = [error if there else None for error, there in zip(errors.tolist(), found.present.tolist(), strict=True)]
        every = [error for one in from_all(own) for error in one]  # of all processes
        self._recent = [*self._recent, *every][-RECENT:]
        known = [error for error in self._recent if error is not None]
        if known:
            self.drift = (sum(known) / len(known)) ** 0.5 / max(self.error.rmse, 1e-12)
        elif len(self._recent) == RECENT:
            self.drift = float("inf")
        self.active = self.drift <= self.largest  # NaN drops it, too

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"active": self.active, "drift": self.drift, "recent": list(self._recent)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.active, self.drift, self._recent = state["active"], state["drift"], list(state["recent"])


def streams_of_head(guard: HeadGuard, reward: Reward, generator: FlowGenerator) -> set[str]:
    """Return the streams that the gradient of a head may move: those of the reward's terms.

    Raises:
        ArgumentError: if terms move different streams, or the head reads none that they move.
    """
    sets = list(moved_streams(reward, generator.streams).values())
    if any(one != sets[0] for one in sets):
        got = Described(" and ".join(", ".join(sorted(one)) for one in sets))
        raise ArgumentError("head", "a reward whose terms move the same streams", got, "leave the head out")
    if not set(guard.head.streams) & sets[0] or not set(guard.head.streams) <= set(generator.streams):
        got = Described(f"one of {', '.join(guard.head.streams)}")
        raise ArgumentError("head", f"one that reads {' or '.join(sorted(sets[0]))}", got)
    return sets[0]
