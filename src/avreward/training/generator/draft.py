"""Reward backpropagation: the gradient of the reward, through the last denoising steps, into the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from avreward.errors import ArgumentError, AvrewardError
from avreward.generators.base import Condition, Noise
from avreward.generators.clip_encoder import decode_some
from avreward.generators.flow_generator import FlowGenerator, Latents, sample_flow
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import (
    RatedBatch,
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
from avreward.training.generator.latent_head import HeadGuard, streams_of_head
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
        frames: rate this many random frames of each video, drawn anew for each update, as VADER does
            (arXiv:2407.08737, section 4); all by default. A pipeline's causal autoencoder decodes no latents after
            them, and memory falls accordingly. The audio stays complete.
        head: rates latents in place of `reward` between its checks, so that nothing is decoded (*optional*). The step's
            ``parts`` say whether it did (``head``) and how large its error is (``drift``). With a head the reward needs
            no gradient of its own.
        learning_rate: of AdamW.
        kl_weight: of the mean squared distance of the velocity from the frozen network's, at a random step; 0 leaves
            it out. It is added to minus the reward, so it depends on the reward's scale.
        largest_gradient: norm to which gradients are clipped.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them.
        seed: of what is drawn for each update.

    Raises:
        ArgumentError: if a setting is out of its range, the network has nothing to train, a term may move no stream
            of the generator, or the head reads others.
        AvrewardError: if a term of the reward has no gradient and there is no head.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        steps: int = 12,
        truncation: int | Literal["random", "refl"] = 1,
        frames: int | None = None,
        head: HeadGuard | None = None,
        learning_rate: float = 1e-3,
        kl_weight: float = 0.1,
        largest_gradient: float = 1.0,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        if truncation not in ("random", "refl") and not (isinstance(truncation, int) and 1 <= truncation <= steps):
            raise ArgumentError("truncation", f'1 to {steps} steps, "random" or "refl"', truncation)
        check_counts(steps=steps, frames=1 if frames is None else frames)
        self.moved = set().union(*moved_streams(reward, generator.streams).values())
        if head is not None:
            self.moved = streams_of_head(head, reward, generator)
        else:
            check_differentiable(reward)
        self.differentiable = all(getattr(term.rater, "differentiable", True) for term in reward.terms)
        self.generator, self.reward, self.steps, self.truncation = generator, reward, steps, truncation
        self.frames, self.head = frames, head
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
            AvrewardError: if no clip has a reward, or a head that gives the gradient has drifted.
        """
        check_noises(conditions, noises)
        whole_draw = begin_update(self.optimizer, self.seed, self.updates)
        found, steps, loss, kl = [], 0, 0.0, 0.0
        heading = self.head is not None and not self.head.due(self.updates)
        for number, (condition, noise) in enumerate(zip(conditions, noises, strict=True)):
            draw = condition_draw(whole_draw, number, len(conditions))
            trained, stop = self._trained(draw)
            encoded = self.generator.encode(condition)
            sigmas = self.generator.sigmas(self.steps, encoded)
            latents = sample_flow(
                self.generator, encoded, [noise], sigmas, trained=trained, stop=stop, checkpointing=self.checkpointing
            )
            steps += self.steps if stop is None else stop + 1
            one = self._rated(latents, encoded, heading, draw)
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
        parts = {} if self.head is None else {"head": float(heading), "drift": self.head.drift}
        return TuningStep.of(whole, loss=loss, gradient_norm=norm, kl=kl, denoising_steps=steps, parts=parts)

    def _rated(self, latents: Latents, encoded: Any, heading: bool, draw: torch.Generator) -> RatedBatch:
        """Return the rewards of clean latents: by the head, or of the decoded clips, on which the head is checked."""
        if heading and self.head is not None:
            return self.head.predicted(latents, self.moved)
        found = rated(self.reward, decode_some(self.generator, latents, encoded, self.frames, draw))
        if self.head is None:
            return found
        self.head.check(latents, found)
        if self.differentiable:
            return found
        if not self.head.active:
            raise AvrewardError(
                f"latent head: expected an error of at most {self.head.largest:g} times that on held-out clips, got "
                f"{self.head.drift:.3g}; fit another one on clips of the generator as it is now"
            )
        one = self.head.predicted(latents, self.moved)  # the reward's values, with the head's gradient
        return replace(found, values=found.values + one.values - one.values.detach())

    def _trained(self, draw: torch.Generator) -> tuple[range, int | None]:
        """Return the steps that are trained, and the one to stop at."""
        if self.truncation == "refl":
            stop = int(torch.randint(self.steps // 2, self.steps, (), generator=draw))
            return range(stop, stop + 1), stop
        last = self.truncation
        if last == "random":
            last = int(torch.randint(1, self.steps + 1, (), generator=draw))
        return range(self.steps - last, self.steps), None
