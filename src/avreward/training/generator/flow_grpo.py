"""Flow-GRPO: policy gradients on the stochastic steps of a flow (Liu et al., 2025, arXiv:2505.05470)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, Latents, stream_velocity, velocity_in_parts
from avreward.generators.flow_steps import StochasticStep, ddim_flow_step, euler_step, flow_sde_step
from avreward.rewards.base import Reward
from avreward.training.generator._processes import condition_draw
from avreward.training.generator._rated import TuningStep, any_rated, begin_update, check_counts, clipped_step
from avreward.training.generator._rollout import Rollout, Transition, level_of_rows
from avreward.training.generator._routing import advantages_of
from avreward.training.generator._sampled import check_groups, rated_in_parts, row_parts
from avreward.training.generator.lora import frozen_velocity, trained_parameters
from avreward.training.generator.policy_loss import routed_policy_loss, step_kl


class FlowGrpo:
    """Fine-tune a generator by policy gradients on stochastic denoising steps; the reward needs no gradient.

    Each condition gets a group of samples, whose advantages are taken within the group and for each stream from the
    terms that it may be moved by. With `window`, only that many steps are stochastic and trained, and the window
    slides over the schedule, as in MixGRPO (arXiv:2507.21802).

    In the first pass over a batch the network is the one that drew it: all ratios are 1, nothing is clipped, and the
    update is that of plain policy gradients with the KL term. `clip_range` acts from the second of `passes` on.

    Args:
        generator: whose ``network`` has a LoRA: call `add_lora` first.
        reward: of the clips.
        steps: denoising steps.
        window: stochastic steps of an update, of the `steps` − 1 that may be: the last one is nearly without noise. All
            of these by default. The window moves by one step, shrinks where fewer are left, and begins again.
        window_updates: how many updates a window is used.
        step: ``"flow"``, or ``"ddim"`` for the steps of DDPO (arXiv:2305.13301), which are those of a schedule that
            preserves variance in the coordinates of flow matching.
        noise_level: of the stochastic steps; the share η of DDPM's noise for ``"ddim"``, where DDPO takes 1.
        learning_rate: of AdamW.
        clip_range: of the ratio of probabilities, which are means over the entries of latents. Without effect with one
            pass.
        largest_advantage: limit of the advantages.
        stream_weights: stream → weight of its loss (*optional*, 1 each), which does not depend on the size of latents.
        kl_weight: of the divergence from the frozen network's steps, for the streams that a term may move.
        passes: how often each batch of samples is trained on.
        largest_gradient: norm to which gradients are clipped.
        rows: clips that go through the network, the decoder and the reward at once. It changes memory and speed, and
            gradients by rounding errors.
        checkpointing: compute activations of the network again in the backward pass instead of keeping them, layer by
            layer where the network can (see `stream_velocity`).
        seed: of the noise of the stochastic steps.

    Raises:
        ArgumentError: for another `step`, numbers that are not positive, fewer than two steps, weights of streams that
            are not generated, or if the network has nothing to train.
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
        stream_weights: Mapping[str, float] | None = None,
        kl_weight: float = 0.04,
        passes: int = 1,
        largest_gradient: float = 1.0,
        rows: int = 4,
        checkpointing: bool = True,
        seed: int = 0,
    ) -> None:
        check_counts(
            steps=steps, window=1 if window is None else window, window_updates=window_updates, passes=passes, rows=rows
        )
        if steps < 2:
            raise ArgumentError("steps", "at least 2, since the last one is not trained", steps)
        if step not in ("flow", "ddim"):
            raise ArgumentError("step", '"flow" or "ddim"', step)
        if not set(stream_weights or {}) <= set(generator.streams):
            names = ", ".join(generator.streams)
            raise ArgumentError("stream_weights", f"weights of {names}", list(stream_weights or {}))
        self.generator, self.reward, self.steps, self.step_kind = generator, reward, steps, step
        self.window, self.window_updates, self.noise_level = window, window_updates, noise_level
        self.clip_range, self.largest_advantage, self.kl_weight = clip_range, largest_advantage, kl_weight
        self.stream_weights, self.passes, self.largest_gradient = stream_weights, passes, largest_gradient
        self.rows, self.checkpointing, self.seed = rows, checkpointing, seed
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
        trained = self._trained_steps()
        with torch.no_grad():
            rollouts = [
                self._sample(c, group, trained, condition_draw(draw, number, len(conditions)))
                for number, (c, group) in enumerate(zip(conditions, noises, strict=True))
            ]
            clean, encoded = [r.clean for r in rollouts], [r.encoded for r in rollouts]
            found = rated_in_parts(self.generator, self.reward, clean, encoded, self.rows)
        groups = [number for number, group in enumerate(noises) for _ in group]
        advantages = advantages_of(self.reward, found, groups, self.generator.streams)
        numbers = {"loss": 0.0, "gradient_norm": 0.0, "kl": 0.0}
        clipped = 0.0
        for _ in range(self.passes if any_rated(found) else 0):
            numbers = dict.fromkeys(numbers, 0.0)
            for share, rollout, transition, own in self._batches(rollouts, advantages):
                loss, kl, outside = self._loss(rollout, transition, own)
                (share * loss).backward()
                numbers["loss"] += share * float(loss.detach())
                numbers["kl"] += share * kl
                clipped += share * outside / self.passes
            numbers["gradient_norm"] = clipped_step(self.optimizer, self.parameters, self.largest_gradient)
        self.updates += 1
        steps = len(groups) * self.steps
        return TuningStep.of(found, **numbers, denoising_steps=steps, parts={"clipped": clipped})

    def _trained_steps(self) -> range:
        """Return the steps that are stochastic and trained: `sliding_windows` of stride 1, without its empty ones."""
        stochastic = self.steps - 1
        if self.window is None:
            return range(stochastic)
        start = self.updates // self.window_updates % stochastic
        return range(start, min(start + self.window, stochastic))

    def _batches(
        self, rollouts: Sequence[Rollout], advantages: Mapping[str, Tensor]
    ) -> Iterator[tuple[float, Rollout, Transition, dict[str, Tensor]]]:
        """Yield what one backward pass is made for: some samples in one stochastic step, with their share of all."""
        total, first = len(next(iter(advantages.values()))), 0
        for rollout in rollouts:
            size = len(next(iter(rollout.clean.values())))
            for transition in rollout.transitions:
                for rows in row_parts(size, self.rows):
                    own = {name: values[first : first + size][rows] for name, values in advantages.items()}
                    share = (rows.stop - rows.start) / total / len(rollout.transitions)
                    yield share, rollout, transition.rows(rows), own
            first += size

    def _sample(self, condition: Condition, noises: Sequence[Noise], trained: range, draw: torch.Generator) -> Rollout:
        """Sample a group: as `sample_flow` does, but for the trained steps, which are stochastic."""
        encoded = self.generator.encode(condition)
        sigmas = self.generator.sigmas(self.steps, encoded)
        latents = self.generator.start(encoded, noises)
        transitions = []
        for step in range(self.steps):
            levels = level_of_rows(latents, sigmas[step])
            velocity = velocity_in_parts(self.generator, latents, levels, encoded, self.rows)
            if step in trained:
                noise = {name: torch.randn(x.shape, generator=draw).to(x) for name, x in latents.items()}
                drawn = self._stochastic_step(latents, velocity, sigmas, step, noise=noise)
                after = {name: one.sample for name, one in drawn.items()}
                log_probs = {name: one.log_prob for name, one in drawn.items()}
                transitions.append(Transition(step, latents, after, log_probs))
                latents = after
            else:
                latents = {
                    name: euler_step(x, velocity[name], sigmas[step], sigmas[step + 1]) for name, x in latents.items()
                }
        return Rollout(encoded, sigmas, latents, transitions)

    def _loss(
        self, rollout: Rollout, transition: Transition, advantages: Mapping[str, Tensor]
    ) -> tuple[Tensor, float, float]:
        """Return the loss of a stochastic step, its KL term, and the share of clipped ratios."""
        latents, sigmas, step = transition.before, rollout.sigmas, transition.step
        levels = level_of_rows(latents, sigmas[step])
        velocity = stream_velocity(self.generator, latents, levels, rollout.encoded, self.checkpointing)
        replayed = self._stochastic_step(latents, velocity, sigmas, step, sample=transition.after)
        losses = routed_policy_loss(
            {name: one.log_prob for name, one in replayed.items()},
            transition.log_probs,
            advantages,
            weights=self.stream_weights,
            clip_range=self.clip_range,
            largest_advantage=self.largest_advantage,
        )
        loss = torch.stack([one.loss for one in losses.values()]).mean()
        clipped = float(torch.stack([one.clipped for one in losses.values()]).mean())
        if not self.kl_weight:
            return loss, 0.0, clipped
        frozen = frozen_velocity(self.generator, latents, levels, rollout.encoded)
        reference = self._stochastic_step(latents, frozen, sigmas, step, sample=transition.after)
        kl = torch.stack(
            [step_kl(replayed[name].mean, reference[name].mean, replayed[name].diffusion) for name in advantages]
        ).mean()
        return loss + self.kl_weight * kl, float(kl.detach()), clipped

    def _stochastic_step(
        self,
        latents: Latents,
        velocity: Latents,
        sigmas: list[float],
        step: int,
        noise: Latents | None = None,
        sample: Latents | None = None,
    ) -> dict[str, StochasticStep]:
        """Take a step with new `noise`, or replay the one that gave `sample`."""
        now, following = sigmas[step], sigmas[step + 1]
        found = {}
        for name, x in latents.items():
            drawn: dict[str, Any] = {
                "noise": None if noise is None else noise[name],
                "sample": None if sample is None else sample[name],
            }
            if self.step_kind == "ddim":
                found[name] = ddim_flow_step(x, velocity[name], now, following, eta=self.noise_level, **drawn)
            else:  # the second noise level stands for σ = 1, as in the published code: 1 − σ is divided by
                drawn |= {"noise_level": self.noise_level, "largest": sigmas[1]}
                found[name] = flow_sde_step(x, velocity[name], now, following, **drawn)
        return found
