"""Policy gradients on the tokens of an autoregressive generator, with the reward on the decoded clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Condition
from avreward.generators.musicgen import TokenGenerator
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import (
    TuningStep,
    any_rated,
    begin_update,
    check_counts,
    check_noises,
    clipped_step,
    joined,
    rated,
)
from avreward.training.generator._routing import group_means, moved_streams
from avreward.training.generator.advantages import group_advantages
from avreward.training.generator.lora import trained_parameters, without_lora
from avreward.training.generator.policy_loss import clipped_policy_loss


class TokenGrpo:
    """Fine-tune an autoregressive generator on a reward of its clips, which needs no gradient.

    Each condition gets a group of samples. The ratio of probabilities is that of whole samples, as the mean over their
    tokens' logarithms, and is clipped (GSPO, arXiv:2507.18071, equation 7).

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips.
        group: samples of a condition.
        baseline: ``"group"``: rewards less their group's mean, over its deviation, as in GRPO; ``"leave_one_out"``:
            rewards less the mean of the others, as in RLOO (arXiv:2402.14740).
        learning_rate: of AdamW.
        clip_range: of the ratio.
        largest_advantage: limit of the advantages.
        kl_weight: of the divergence of the tokens' probabilities from the frozen network's, estimated on the samples.
        passes: how often each batch of samples is trained on.
        largest_gradient: norm to which gradients are clipped.
        seed: of the samples.

    Raises:
        ArgumentError: for another `baseline`, numbers that are not positive, a group of one, if a term may move no
            stream of the generator, or the network has nothing to train.
    """

    def __init__(
        self,
        generator: TokenGenerator,
        reward: Reward,
        *,
        group: int = 8,
        baseline: Literal["group", "leave_one_out"] = "group",
        learning_rate: float = 1e-4,
        clip_range: float = 0.2,
        largest_advantage: float = 5.0,
        kl_weight: float = 0.01,
        passes: int = 1,
        largest_gradient: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_counts(group=group, passes=passes)
        if group < 2:
            raise ArgumentError("group", "at least 2, since rewards are compared in it", group)
        if baseline not in ("group", "leave_one_out"):
            raise ArgumentError("baseline", '"group" or "leave_one_out"', baseline)
        moved_streams(reward, generator.streams)
        self.generator, self.reward, self.group, self.baseline = generator, reward, group, baseline
        self.clip_range, self.largest_advantage, self.kl_weight = clip_range, largest_advantage, kl_weight
        self.passes, self.largest_gradient, self.seed = passes, largest_gradient, seed
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.updates = 0

    def update(self, conditions: Sequence[Condition]) -> TuningStep:
        """Sample a group of clips for each condition, and make the better ones more probable.

        Args:
            conditions: what is generated.

        Raises:
            ArgumentError: if there are no conditions.
        """
        check_noises(conditions, conditions)
        draw = begin_update(self.optimizer, self.seed, self.updates)
        samples, found = [], []
        with torch.no_grad():
            for number, condition in enumerate(conditions):
                own = condition_draw(draw, number, len(conditions))
                encoded = self.generator.encode(condition)
                tokens = self.generator.sample(encoded, self.group, int(torch.randint(2**31, (), generator=own)))
                samples.append((encoded, tokens, self.generator.log_probs(tokens, encoded)))
                found.append(rated(self.reward, self.generator.decode(tokens, encoded)))
        whole = joined(found)
        groups = [number for number in range(len(conditions)) for _ in range(self.group)]
        advantages = self._advantages(whole.values, whole.present, groups).split(self.group)
        numbers = {"loss": 0.0, "kl": 0.0, "gradient_norm": 0.0}
        clipped, share = 0.0, 1 / len(conditions)
        for _ in range(self.passes if any_rated(whole) else 0):
            numbers = dict.fromkeys(numbers, 0.0)
            for (encoded, tokens, old), own_advantages in zip(samples, advantages, strict=True):
                log_probs = self.generator.log_probs(tokens, encoded)
                loss = clipped_policy_loss(
                    log_probs.mean(1),
                    old.mean(1),
                    own_advantages.to(old),
                    clip_range=self.clip_range,
                    largest_advantage=self.largest_advantage,
                )
                with torch.no_grad(), without_lora(self.generator.network):
                    frozen = self.generator.log_probs(tokens, encoded)
                away = frozen - log_probs
                kl = (away.exp() - away - 1).mean()
                total = loss.loss + self.kl_weight * kl
                (share * total).backward()
                numbers["loss"] += share * float(total.detach())
                numbers["kl"] += share * float(kl.detach())
                clipped += share * float(loss.clipped) / self.passes
            numbers["gradient_norm"] = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        return TuningStep.of(whole, **numbers, denoising_steps=0, parts={"clipped": clipped})

    def _advantages(self, values: Tensor, present: Tensor, groups: Sequence[int]) -> Tensor:
        """Return (clips,) advantages; 0 where a clip has no reward."""
        members = [group for group, there in zip(groups, present.tolist(), strict=True) if there]
        whole, own = torch.zeros_like(values), values[present]
        if not members:
            return whole
        if self.baseline == "group":
            own = group_advantages(own, members)
        else:
            sizes = torch.tensor([members.count(member) for member in members]).to(own)
            own = (own - group_means(own, members)) * sizes / (sizes - 1).clamp_min(1)
        whole[present] = own
        return whole
