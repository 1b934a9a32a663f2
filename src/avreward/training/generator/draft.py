"""Reward backpropagation: the gradient of the reward, through the last denoising steps, into the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

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
        kl_weight: of the mean squared distance of the velocity from the frozen network's, at a random step, for the
            streams that a term may move; 0 leaves it out. It is added to minus the reward, so it depends on the
            reward's scale.
        largest_gradient: norm to which gradients are clipped.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
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

        A clip without a reward counts in the mean's denominator, and has no gradient.

        Args:
            conditions: one a clip.
            noises: one a clip.

        Raises:
            ArgumentError: if there are no conditions, or not one noise for each.
            AvrewardError: if a head that gives the gradient has drifted.
        """
        check_noises(conditions, noises)
        update_draw = begin_update(self.optimizer, self.seed, self.updates)
        by_head = self.head is not None and not self.head.due(self.updates)
        share = 1 / len(conditions)  # a clip without a reward counts, too: it adds a gradient of 0
        rewards: list[RatedBatch] = []
        denoising_steps, loss, kl = 0, 0.0, 0.0
        for number, (condition, noise) in enumerate(zip(conditions, noises, strict=True)):
            draw = condition_draw(update_draw, number, len(conditions))
            trained, stop = self._trained_steps(draw)
            encoded = self.generator.encode(condition)
            sigmas = self.generator.sigmas(self.steps, encoded)
            clean = sample_flow(
                self.generator, encoded, [noise], sigmas, trained=trained, stop=stop, checkpointing=self.checkpointing
            )
            denoising_steps += self.steps if stop is None else stop + 1
            reward = self._reward_of(clean, encoded, by_head, draw)
            rewards.append(reward)
            if not bool(reward.present):
                continue
            check_graph(self.reward, reward)
            (-share * reward.values[0]).backward()
            loss -= share * float(reward.values[0].detach())
            if self.kl_weight:
                distance = self._distance(clean, encoded, sigmas, draw)
                (share * self.kl_weight * distance).backward()  # on its own: one graph of the network at a time
                kl += share * float(distance.detach())
        every_reward = joined(rewards)
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        return TuningStep.of(
            every_reward,
            loss=loss + self.kl_weight * kl,
            gradient_norm=norm,
            kl=kl,
            denoising_steps=denoising_steps,
            parts={} if self.head is None else {"head": float(by_head), "drift": self.head.drift},
        )

    def _reward_of(self, clean: Latents, encoded: Any, by_head: bool, draw: torch.Generator) -> RatedBatch:
        """Return the reward of clean latents: by the head, or of the decoded clip, on which the head is checked."""
        if by_head and self.head is not None:
            return self.head.predicted(clean, self.moved)
        reward = rated(self.reward, decode_some(self.generator, clean, encoded, self.frames, draw))
        if self.head is None:
            return reward
        self.head.check(clean, reward)
        if self.differentiable:
            return reward
        if not self.head.active:
            raise AvrewardError(
                f"latent head: expected an error of at most {self.head.largest:g} times that on held-out clips, got "
                f"{self.head.drift:.3g}; fit another one on clips of the generator as it is now"
            )
        return _with_gradient_of(self.head.predicted(clean, self.moved), reward)

    def _distance(self, clean: Latents, encoded: Any, sigmas: list[float], draw: torch.Generator) -> Tensor:
        """Return the distance from the frozen network's velocity at a random step."""
        step = int(torch.randint(self.steps, (), generator=draw))
        constant = {name: x.detach() for name, x in clean.items()}
        return frozen_distance(
            self.generator, constant, sigmas[step], encoded, draw, self.checkpointing, streams=self.moved
        )

    def _trained_steps(self, draw: torch.Generator) -> tuple[range, int | None]:
        """Return the steps that are trained, and the one to stop at."""
        if self.truncation == "refl":
            stop = int(torch.randint(self.steps // 2, self.steps, (), generator=draw))
            return range(stop, stop + 1), stop
        last = self.truncation
        if last == "random":
            last = int(torch.randint(1, self.steps + 1, (), generator=draw))
        return range(self.steps - last, self.steps), None


def _with_gradient_of(predicted: RatedBatch, reward: RatedBatch) -> RatedBatch:
    """Return the rewards of a rater without gradients, with the gradients of a head that predicts them."""
    return replace(reward, values=reward.values + predicted.values - predicted.values.detach())
