"""Online preference tuning: sample, rate, take the best and the worst of each group, and update on the pair.

The loss is Diffusion-DPO's (Wallace et al., 2024, arXiv:2311.12908) on velocities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, stream_velocity
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw, from_all, process_count
from avreward.training.generator._rated import TuningStep, begin_update, check_counts, clipped_step
from avreward.training.generator._sampled import sample_groups, with_noise
from avreward.training.generator.advantages import best_and_worst
from avreward.training.generator.lora import frozen_velocity, trained_parameters
from avreward.training.generator.preference_loss import diffusion_dpo_loss, logit_normal_times


class OnlineDpo:
    """Fine-tune a generator on pairs of its own samples; the reward needs no gradient.

    Each stream has a pair of its own from a group: the samples with the largest and the smallest advantage by the terms
    that may move it. A group whose samples all have one reward makes no pair.

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips.
        steps: denoising steps.
        times: noise levels for each pair and update; both samples of a pair share noise and level.
        beta: weight of the divergence from the frozen network, for errors that are means over entries.
        learning_rate: of AdamW.
        largest_gradient: norm to which gradients are clipped.
        rows: clips that go through the network, the decoder and the reward at once while they are sampled; the two of
            a pair are always trained on together.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
        seed: of noise and times.

    Raises:
        ArgumentError: for numbers that are not positive, or if the network has nothing to train.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        steps: int = 10,
        times: int = 4,
        beta: float = 100.0,
        learning_rate: float = 3e-4,
        largest_gradient: float = 1.0,
        rows: int = 4,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        check_counts(steps=steps, times=times, rows=rows)
        self.generator, self.reward, self.steps, self.times = generator, reward, steps, times
        self.beta, self.largest_gradient, self.seed = beta, largest_gradient, seed
        self.rows, self.checkpointing = rows, checkpointing
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.updates = 0

    def update(self, conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> TuningStep:
        """Sample a group of clips for each condition, and move the network from the worst towards the best.

        Args:
            conditions: what is generated.
            noises: the initial noises of each condition's group.

        Raises:
            ArgumentError: if there are no conditions, or not a group of two noises or more for each.
        """
        draw = begin_update(self.optimizer, self.seed, self.updates)
        sampled = sample_groups(self.generator, self.reward, conditions, noises, self.steps, self.rows)
        total, kl, right, pairs = 0.0, 0.0, 0.0, 0
        share = 1 / (len(conditions) * self.times * len(sampled.advantages))
        for number, (encoded, clean, rows, largest) in enumerate(sampled.rows()):
            own_draw = condition_draw(draw, number, len(conditions))
            kept = sampled.found.present[rows].nonzero().flatten()
            for stream, values in sampled.advantages.items():
                own = values[rows][kept]
                found = best_and_worst(own, [0] * len(own))
                if not found:
                    continue
                pair = {name: x[kept[list(found[0])]] for name, x in clean.items()}
                pairs += 1
                for _ in range(self.times):
                    times = largest * logit_normal_times(1, generator=own_draw).to(own).expand(2)
                    noised = with_noise(pair, times, own_draw, pairs=True)
                    given = (self.generator, noised.noisy, times, encoded)
                    frozen = frozen_velocity(*given)[stream]
                    velocity = stream_velocity(*given, self.checkpointing)[stream]
                    loss = diffusion_dpo_loss(velocity, frozen, noised.noise[stream] - pair[stream], beta=self.beta)
                    (share * loss.loss).backward()
                    total, right = total + share * float(loss.loss.detach()), right + float(loss.accuracy)
                    kl += float(((velocity.detach() - frozen) ** 2).mean())
        all_pairs = sum(from_all(pairs))
        norm = clipped_step(self.optimizer, self.parameters, self.largest_gradient) if all_pairs else 0.0
        self.updates += 1
        seen = max(1, all_pairs * self.times) / process_count()  # so that the mean of processes is that of pairs
        parts = {"pairs": float(all_pairs), "accuracy": right / seen}
        steps = len(sampled.found.values) * self.steps
        return TuningStep.of(
            sampled.found, loss=total, gradient_norm=norm, kl=kl / seen, denoising_steps=steps, parts=parts
        )
