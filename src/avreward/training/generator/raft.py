"""Reward-weighted training: flow matching on the generator's own best samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, stream_velocity
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import TuningStep, begin_update, check_counts, clipped_step
from avreward.training.generator._sampled import Noised, sample_groups, with_noise
from avreward.training.generator.advantages import winners
from avreward.training.generator.lora import frozen_velocity, trained_parameters


class Raft:
    """Fine-tune a generator as in pretraining, on its own samples, weighted by their rewards.

    ``weights="winners"`` trains on the best of each group alone (RAFT, Dong et al., 2023, arXiv:2304.06767);
    ``"exponential"`` on all, with weights exp(A / `temperature`) that sum to 1 in each group (reward-weighted
    regression, Peters and Schaal, 2007). Each stream has weights of its own. A group whose samples all have one reward
    is left out.

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips; it needs no gradient.
        weights: see above.
        temperature: of ``"exponential"``, in deviations of a group's rewards.
        steps: denoising steps.
        times: noise levels for each sample and update.
        learning_rate: of AdamW.
        kl_weight: of the distance from the frozen network's velocity.
        largest_gradient: norm to which gradients are clipped.
        rows: clips that go through the network, the decoder and the reward at once. It changes memory and speed, and
            gradients by rounding errors.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
        seed: of noise and times.

    Raises:
        ArgumentError: for other `weights`, numbers that are not positive, or a network with nothing to train.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        weights: Literal["winners", "exponential"] = "winners",
        temperature: float = 1.0,
        steps: int = 10,
        times: int = 4,
        learning_rate: float = 3e-4,
        kl_weight: float = 1e-2,
        largest_gradient: float = 1.0,
        rows: int = 4,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        if weights not in ("winners", "exponential"):
            raise ArgumentError("weights", '"winners" or "exponential"', weights)
        if temperature <= 0:
            raise ArgumentError("temperature", "a positive number", temperature)
        check_counts(steps=steps, times=times, rows=rows)
        self.generator, self.reward, self.weights, self.temperature = generator, reward, weights, temperature
        self.steps, self.times, self.kl_weight = steps, times, kl_weight
        self.largest_gradient, self.seed = largest_gradient, seed
        self.rows, self.checkpointing = rows, checkpointing
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.updates = 0

    def update(self, conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> TuningStep:
        """Sample a group of clips for each condition, and train on the better ones.

        Args:
            conditions: what is generated.
            noises: the initial noises of each condition's group.

        Raises:
            ArgumentError: if there are no conditions, or not a group of two noises or more for each.
        """
        draw = begin_update(self.optimizer, self.seed, self.updates)
        sampled = sample_groups(self.generator, self.reward, conditions, noises, self.steps, self.rows)
        total, kl, share = 0.0, 0.0, 1 / (len(conditions) * self.times)
        for number, (encoded, clean, rows, largest) in enumerate(sampled.rows()):
            own_draw = condition_draw(draw, number, len(conditions))
            kept = sampled.found.present[rows]
            if not bool(kept.any()):
                continue
            clean = {name: x[kept] for name, x in clean.items()}
            own = {name: values[rows][kept] for name, values in sampled.advantages.items()}
            weights = {name: self._weights(values) for name, values in own.items() if values.max() > values.min()}
            for _ in range(self.times if weights else 0):
                times = largest * torch.rand(int(kept.sum()), generator=own_draw).to(next(iter(clean.values())))
                for part, some in with_noise(clean, times, own_draw).parts(self.rows):
                    mine = {name: values[part] for name, values in weights.items()}
                    loss, away = self._loss(some, encoded, mine, len(some.times) / len(times))
                    (share * loss).backward()
                    total, kl = total + share * float(loss.detach()), kl + share * float(away.detach())
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        steps = len(sampled.found.values) * self.steps
        return TuningStep.of(sampled.found, loss=total, gradient_norm=norm, kl=kl, denoising_steps=steps)

    def _loss(self, noised: Noised, encoded: Any, weights: dict[str, Tensor], share: float) -> tuple[Tensor, Tensor]:
        """Return what some samples, `share` of their group, add to its loss and to its distance from the frozen one."""
        velocity = stream_velocity(self.generator, noised.noisy, noised.times, encoded, self.checkpointing)
        frozen = frozen_velocity(self.generator, noised.noisy, noised.times, encoded)
        errors = [_weighted(velocity[n] - (noised.noise[n] - noised.clean[n]), w) for n, w in weights.items()]
        away = share * torch.stack([((velocity[n] - frozen[n]) ** 2).mean() for n in weights]).mean()
        return torch.stack(errors).mean() + self.kl_weight * away, away

    def _weights(self, advantages: Tensor) -> Tensor:
        """Return weights that sum to 1; samples that are equally good weigh alike."""
        if self.weights == "exponential":
            return (advantages / self.temperature).softmax(0)
        best = winners(advantages, [0] * len(advantages))
        return best / best.sum()


def _weighted(error: Tensor, weights: Tensor) -> Tensor:
    return (weights * (error**2).flatten(1).mean(1)).sum()
