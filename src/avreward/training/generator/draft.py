"""Reward backpropagation: the gradient of the reward, through the last denoising steps, into the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, sample_flow
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import (
    TuningStep,
    begin_update,
    check_counts,
    check_differentiable,
    check_graph,
    check_noises,
    clipped_step,
    joined,
    rated,
)
from avreward.training.generator._routing import moved_streams
from avreward.training.generator.lora import frozen_distance, trained_parameters


class Draft:
    """Fine-tune a generator by backpropagating a reward through its last denoising steps.

    ``truncation=K`` is DRaFT-K (Clark et al., 2024, arXiv:2309.17400, section 4); ``"random"`` draws K anew for each
    update, as AlignProp does (arXiv:2310.03739, section 3.2); ``"refl"`` stops at a random step of the last half and
    rates the clean sample predicted there, as ReFL does (arXiv:2304.05977, algorithm 1).

    Of a term, the gradient reaches the latents of the streams that it may move, and in the denoising steps each
    stream's latents alone (see `stream_velocity`).

    Args:
        generator: whose ``network`` has parameters that require gradients: call `add_lora` first.
        reward: of the clips; its terms must be differentiable.
        steps: denoising steps.
        truncation: see above.
        learning_rate: of AdamW.
        kl_weight: of the mean squared distance of the velocity from the frozen network's, at a random step; 0 leaves
            it out. It is added to minus the reward, so it depends on the reward's scale.
        largest_gradient: norm to which gradients are clipped.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them.
        seed: of what is drawn for each update.

    Raises:
        ArgumentError: if a setting is out of its range, the network has nothing to train, or a term may move no stream
            of the generator.
        AvrewardError: if a term of the reward has no gradient.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        steps: int = 12,
        truncation: int | Literal["random", "refl"] = 1,
        learning_rate: float = 1e-3,
        kl_weight: float = 0.1,
        largest_gradient: float = 1.0,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        if truncation not in ("random", "refl") and not (isinstance(truncation, int) and 1 <= truncation <= steps):
            raise ArgumentError("truncation", f'1 to {steps} steps, "random" or "refl"', truncation)
        check_counts(steps=steps)
        check_differentiable(reward)
        moved_streams(reward, generator.streams)
        self.generator, self.reward, self.steps, self.truncation = generator, reward, steps, truncation
        self.kl_weight, self.largest_gradient, self.checkpointing = kl_weight, largest_gradient, checkpointing
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.seed, self.updates = seed, 0

    def update(self, conditions: Sequence[Condition], noises: Sequence[Noise]) -> TuningStep:
        """Make a clip of each condition and noise, and move the network along the gradient of their mean reward.

        Args:
            conditions: one a clip.
            noises: one a clip.

        Raises:
            ArgumentError: if there are no conditions, or not one noise for each.
            AvrewardError: if no clip has a reward.
        """
        check_noises(conditions, noises)
        whole_draw = begin_update(self.optimizer, self.seed, self.updates)
        found, steps, loss, kl = [], 0, 0.0, 0.0
        for number, (condition, noise) in enumerate(zip(conditions, noises, strict=True)):
            draw = condition_draw(whole_draw, number, len(conditions))
            trained, stop = self._trained(draw)
            encoded = self.generator.encode(condition)
            sigmas = self.generator.sigmas(self.steps, encoded)
            latents = sample_flow(
                self.generator, encoded, [noise], sigmas, trained=trained, stop=stop, checkpointing=self.checkpointing
            )
            steps += self.steps if stop is None else stop + 1
            one = rated(self.reward, self.generator.decode(latents, encoded))
            found.append(one)
            if not bool(one.present):
                continue
            check_graph(self.reward, one)
            part = -one.values[0]
            if self.kl_weight:
                at = int(torch.randint(self.steps, (), generator=draw))
                clean = {name: x.detach() for name, x in latents.items()}
                distance = frozen_distance(self.generator, clean, sigmas[at], encoded, draw, self.checkpointing)
                kl += float(distance.detach()) / len(conditions)
                part = part + self.kl_weight * distance
            (part / len(conditions)).backward()
            loss += float(part.detach()) / len(conditions)
        whole = joined(found)
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        return TuningStep.of(whole, loss=loss, gradient_norm=norm, kl=kl, denoising_steps=steps)

    def _trained(self, draw: torch.Generator) -> tuple[range, int | None]:
        """Return the steps that are trained, and the one to stop at."""
        if self.truncation == "refl":
            stop = int(torch.randint(self.steps // 2, self.steps, (), generator=draw))
            return range(stop, stop + 1), stop
        last = self.truncation
        if last == "random":
            last = int(torch.randint(1, self.steps + 1, (), generator=draw))
        return range(self.steps - last, self.steps), None
