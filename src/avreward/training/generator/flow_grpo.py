"""Flow-GRPO: policy gradients on the stochastic steps of a flow (Liu et al., 2025, arXiv:2505.05470)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, Latents, stream_velocity
from avreward.generators.flow_steps import StochasticStep, ddim_flow_step, euler_step, flow_sde_step
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import (
    TuningStep,
    any_rated,
    begin_update,
    check_counts,
    clipped_step,
    joined,
    rated,
)
from avreward.training.generator._routing import advantages_of
from avreward.training.generator._sampled import check_groups
from avreward.training.generator.lora import frozen_velocity, trained_parameters
from avreward.training.generator.policy_loss import routed_policy_loss, step_kl
from avreward.training.generator.windows import sliding_windows


@dataclass(frozen=True)
class _Rollout:
    """The samples of one condition, and what replaying their stochastic steps needs."""

    encoded: Any
    sigmas: list[float]
    clean: Latents
    before: list[Latents]
    after: list[Latents]
    log_probs: list[dict[str, Tensor]]


class FlowGrpo:
    """Fine-tune a generator by policy gradients on stochastic denoising steps; the reward needs no gradient.

    Each condition gets a group of samples, whose advantages are taken within the group and for each stream from the
    terms that it may be moved by. With `window`, only that many steps are stochastic and trained, and the window
    slides over the schedule, as in MixGRPO (arXiv:2507.21802).

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips.
        steps: denoising steps.
        window: stochastic steps of an update; all but the last by default, which is nearly without noise.
        window_updates: how many updates a window is used.
        step: ``"flow"``, or ``"ddim"`` for the steps of DDPO (arXiv:2305.13301), which are those of a schedule that
            preserves variance in the coordinates of flow matching.
        noise_level: of the stochastic steps; the share η of DDPM's noise for ``"ddim"``, where DDPO takes 1.
        learning_rate: of AdamW.
        clip_range: of the ratio of probabilities, which are means over the entries of latents.
        largest_advantage: limit of the advantages.
        kl_weight: of the divergence from the frozen network's steps, for the streams that a term may move.
        passes: how often each batch of samples is trained on.
        largest_gradient: norm to which gradients are clipped.
        seed: of the noise of the stochastic steps.

    Raises:
        ArgumentError: for another `step`, numbers that are not positive, fewer than two steps, or if the network has
            nothing to train.
    """

    def __init__(
        self,
        generator: FlowGenerator,
        reward: Reward,
        *,
        steps: int = 10,
        window: int | None = None,
        window_updates: int = 25,
        step: Literal["flow", "ddim"] = "flow",
        noise_level: float = 0.7,
        learning_rate: float = 3e-4,
        clip_range: float = 1e-4,
        largest_advantage: float = 5.0,
        kl_weight: float = 0.04,
        passes: int = 1,
        largest_gradient: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_counts(steps=steps, window=1 if window is None else window, window_updates=window_updates, passes=passes)
        if steps < 2:
            raise ArgumentError("steps", "at least 2, since the last one is not trained", steps)
        if step not in ("flow", "ddim"):
            raise ArgumentError("step", '"flow" or "ddim"', step)
        self.generator, self.reward, self.steps, self.step = generator, reward, steps, step
        self.window, self.window_updates, self.noise_level = window, window_updates, noise_level
        self.clip_range, self.largest_advantage, self.kl_weight = clip_range, largest_advantage, kl_weight
        self.passes, self.largest_gradient, self.seed = passes, largest_gradient, seed
        self.parameters = trained_parameters(generator.network)
        self.optimizer = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=0.0)
        self.updates = 0

    def update(self, conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> TuningStep:
        """Sample a group of clips for each condition, and move the network towards the better ones.

        Args:
            conditions: what is generated.
            noises: the initial noises of each condition's group.

        Raises:
            ArgumentError: if there are no conditions, or not a group of two noises or more for each.
        """
        check_groups(conditions, noises)
        draw = begin_update(self.optimizer, self.seed, self.updates)
        trained = self._window()
        rollouts = [
            self._sample(c, group, trained, condition_draw(draw, number, len(conditions)))
            for number, (c, group) in enumerate(zip(conditions, noises, strict=True))
        ]
        with torch.no_grad():
            found = joined([rated(self.reward, self.generator.decode(r.clean, r.encoded)) for r in rollouts])
        groups = [number for number, group in enumerate(noises) for _ in group]
        advantages = advantages_of(self.reward, found, groups, self.generator.streams)
        sizes = [len(group) for group in noises]
        numbers = {"loss": 0.0, "gradient_norm": 0.0, "kl": 0.0}
        parts = {"clipped": 0.0}
        for _ in range(self.passes if any_rated(found) else 0):
            numbers = dict.fromkeys(numbers, 0.0)
            for at, step in enumerate(trained):
                start = 0
                for rollout, size in zip(rollouts, sizes, strict=True):
                    own = {name: values[start : start + size] for name, values in advantages.items()}
                    start += size
                    loss, kl, clipped = self._loss(rollout, at, step, own)
                    share = size / sum(sizes) / len(trained)
                    (share * loss).backward()
                    numbers["loss"] += share * float(loss.detach())
                    numbers["kl"] += share * kl
                    parts["clipped"] += share * clipped / self.passes
            numbers["gradient_norm"] = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        steps = sum(sizes) * self.steps
        return TuningStep.of(found, **numbers, denoising_steps=steps, parts=parts)

    def _window(self) -> range:
        if self.window is None:
            return range(self.steps - 1)
        windows = sliding_windows(self.steps - 1, width=self.window, iterations=self.window_updates, stride=1)
        for _ in range(self.updates):
            next(windows)
        return next(windows)

    def _sample(self, condition: Condition, noises: Sequence[Noise], trained: range, draw: torch.Generator) -> _Rollout:
        encoded = self.generator.encode(condition)
        sigmas = self.generator.sigmas(self.steps, encoded)
        latents = self.generator.start(encoded, noises)
        before, after, log_probs = [], [], []
        with torch.no_grad():
            for step in range(self.steps):
                velocity = self.generator.velocity(latents, self._level(latents, sigmas[step]), encoded)
                if step in trained:
                    before.append(latents)
                    noise = {name: torch.randn(x.shape, generator=draw).to(x) for name, x in latents.items()}
                    drawn = self._stochastic(latents, velocity, sigmas, step, noise=noise)
                    latents = {name: one.sample for name, one in drawn.items()}
                    after.append(latents)
                    log_probs.append({name: one.log_prob for name, one in drawn.items()})
                else:
                    following = sigmas[step + 1]
                    latents = {
                        name: euler_step(x, velocity[name], sigmas[step], following) for name, x in latents.items()
                    }
        return _Rollout(encoded, sigmas, latents, before, after, log_probs)

    def _loss(
        self, rollout: _Rollout, at: int, step: int, advantages: Mapping[str, Tensor]
    ) -> tuple[Tensor, float, float]:
        """Return the loss of one step of a group, its KL term, and the share of clipped ratios."""
        latents, sigmas = rollout.before[at], rollout.sigmas
        level = self._level(latents, sigmas[step])
        velocity = stream_velocity(self.generator, latents, level, rollout.encoded)
        again = self._stochastic(latents, velocity, sigmas, step, sample=rollout.after[at])
        losses = routed_policy_loss(
            {name: one.log_prob for name, one in again.items()},
            rollout.log_probs[at],
            advantages,
            clip_range=self.clip_range,
            largest_advantage=self.largest_advantage,
        )
        loss = torch.stack([one.loss for one in losses.values()]).mean()
        clipped = float(torch.stack([one.clipped for one in losses.values()]).mean())
        if not self.kl_weight:
            return loss, 0.0, clipped
        frozen = frozen_velocity(self.generator, latents, level, rollout.encoded)
        reference = self._stochastic(latents, frozen, sigmas, step, sample=rollout.after[at])
        kl = torch.stack([step_kl(again[n].mean, reference[n].mean, again[n].diffusion) for n in advantages]).mean()
        return loss + self.kl_weight * kl, float(kl.detach()), clipped

    def _stochastic(
        self,
        latents: Latents,
        velocity: Latents,
        sigmas: list[float],
        step: int,
        noise: Latents | None = None,
        sample: Latents | None = None,
    ) -> dict[str, StochasticStep]:
        now, following = sigmas[step], sigmas[step + 1]
        found = {}
        for name, x in latents.items():
            drawn: dict[str, Any] = {
                "noise": None if noise is None else noise[name],
                "sample": None if sample is None else sample[name],
            }
            if self.step == "ddim":
                found[name] = ddim_flow_step(x, velocity[name], now, following, eta=self.noise_level, **drawn)
            else:
                level, largest = self.noise_level, sigmas[1]
                found[name] = flow_sde_step(
                    x, velocity[name], now, following, noise_level=level, largest=largest, **drawn
                )
        return found

    @staticmethod
    def _level(latents: Latents, sigma: float) -> Tensor:
        first = next(iter(latents.values()))
        return first.new_full((len(first),), sigma)
