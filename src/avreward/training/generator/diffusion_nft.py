"""DiffusionNFT and AWM: reinforcement learning on noised samples, with any sampler (arXiv:2509.16117, 2509.25050)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
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
from avreward.training.generator.forward_losses import ForwardLoss, awm_loss, nft_loss
from avreward.training.generator.lora import frozen_velocity, holding_lora, lora_state, trained_parameters


class DiffusionNft:
    """Fine-tune a generator on its own noised samples, towards good ones and away from bad ones.

    No stochastic sampler and no log-probabilities: samples come from plain Euler steps of the old network, a moving
    average of the trained one, and the loss is computed at random noise levels. The reward needs no gradient.

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips.
        loss: ``"nft"``: DiffusionNFT; ``"awm"``: advantage-weighted matching, which samples with the trained network.
        steps: denoising steps.
        times: noise levels for each sample and update.
        beta: strength of the pull of ``"nft"``.
        learning_rate: of AdamW.
        kl_weight: of the distance from the frozen network's velocity.
        decay: of the moving average; 0 makes the old network the trained one of the update before.
        largest_advantage: limit of the advantages.
        largest_gradient: norm to which gradients are clipped.
        rows: clips that go through the network, the decoder and the reward at once. It changes memory and speed, and
            gradients by rounding errors.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
        seed: of noise and times.

    Raises:
        ArgumentError: for another `loss`, numbers that are not positive, or if the network has nothing to train.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        loss: Literal["nft", "awm"] = "nft",
        steps: int = 10,
        times: int = 4,
        beta: float = 1.0,
        learning_rate: float = 3e-4,
        kl_weight: float = 1e-4,
        decay: float = 0.5,
        largest_advantage: float = 5.0,
        largest_gradient: float = 1.0,
        rows: int = 4,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        if loss not in ("nft", "awm"):
            raise ArgumentError("loss", '"nft" or "awm"', loss)
        check_counts(steps=steps, times=times, rows=rows)
        self.generator, self.reward, self.loss, self.steps, self.times = generator, reward, loss, steps, times
        self.beta, self.kl_weight, self.decay = beta, kl_weight, decay
        self.largest_advantage, self.largest_gradient, self.seed = largest_advantage, largest_gradient, seed
        self.rows, self.checkpointing = rows, checkpointing
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.old, self.updates = lora_state(generator.network), 0

    def update(self, conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> TuningStep:
        """Sample a group of clips for each condition, and move the network towards the better ones.

        Args:
            conditions: what is generated.
            noises: the initial noises of each condition's group.

        Raises:
            ArgumentError: if there are no conditions, or not a group of two noises or more for each.
        """
        draw = begin_update(self.optimizer, self.seed, self.updates)
        with self._sampling_network():
            sampled = sample_groups(self.generator, self.reward, conditions, noises, self.steps, self.rows)
        total, kl, count = 0.0, 0.0, len(sampled.found.values)
        for number, (encoded, clean, rows, largest) in enumerate(sampled.rows()):
            own_draw = condition_draw(draw, number, len(conditions))
            kept = sampled.found.present[rows]
            own = {name: values[rows][kept] for name, values in sampled.advantages.items()}
            clean = {name: x[kept] for name, x in clean.items()}
            for _ in range(self.times if bool(kept.any()) else 0):
                levels = (0.02 + 0.96 * torch.rand(int(kept.sum()), generator=own_draw)) * largest
                noised = with_noise(clean, levels.to(next(iter(clean.values()))), own_draw)
                for part, some in noised.parts(self.rows):
                    loss, distance = self._loss(some, encoded, {name: values[part] for name, values in own.items()})
                    share = len(kept) / count / self.times * len(some.times) / len(levels)
                    (share * loss).backward()
                    total, kl = total + share * float(loss.detach()), kl + share * distance
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self._follow()
        self.updates += 1
        steps = count * self.steps
        return TuningStep.of(sampled.found, loss=total, gradient_norm=norm, kl=kl, denoising_steps=steps)

    def _loss(self, noised: Noised, encoded: object, advantages: dict[str, Tensor]) -> tuple[Tensor, float]:
        """Return the loss of noised samples, and their distance from the frozen network."""
        noisy, times = noised.noisy, noised.times
        old = None
        if self.loss == "nft":
            with torch.no_grad(), self._sampling_network():
                old = self.generator.velocity(noisy, times, encoded)
        frozen = frozen_velocity(self.generator, noisy, times, encoded)
        velocity = stream_velocity(self.generator, noisy, times, encoded, self.checkpointing)
        losses: list[ForwardLoss] = []
        for name, own in advantages.items():
            given = (noised.clean[name], noised.noise[name], times, own)
            options: dict[str, Any] = {"kl_weight": self.kl_weight, "largest_advantage": self.largest_advantage}
            if old is not None:
                options["beta"] = self.beta
                losses.append(nft_loss(velocity[name], old[name], *given, reference=frozen[name], **options))
            else:
                losses.append(awm_loss(velocity[name], *given, reference=frozen[name], **options))
        kl = float(torch.stack([one.kl.detach() for one in losses]).mean())
        return torch.stack([one.loss for one in losses]).mean(), kl

    def _sampling_network(self) -> AbstractContextManager[None]:
        """Within, the network is the one that draws samples; afterwards the trained one again, also after an error."""
        return holding_lora(self.generator.network, self.old) if self.loss == "nft" else nullcontext()

    def _follow(self) -> None:
        """Move the old network towards the trained one."""
        new = lora_state(self.generator.network)
        self.old = {name: self.decay * self.old[name] + (1 - self.decay) * value for name, value in new.items()}
