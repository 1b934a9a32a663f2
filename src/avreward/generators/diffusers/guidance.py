"""Reward guidance: a guider of diffusers that moves each step's prediction along the gradient of a reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from avreward._extras import extra
from avreward.errors import ArgumentError, Described

with extra("diffusers"):
    from diffusers import ClassifierFreeGuidance
    from diffusers.guiders.guider_utils import GuiderOutput


class RewardGuidance(ClassifierFreeGuidance):
    r"""Classifier-free guidance, and a step along the gradient of a reward, for modular pipelines with flow matching.

    After classifier-free guidance the clean sample predicted at noise level :math:`\sigma` is
    :math:`\hat{x}_0 = x - \sigma v`. It is moved to :math:`\hat{x}_0 + s\,\|\hat{x}_0\|\,g/\|g\|` with the gradient
    :math:`g = \nabla r(\hat{x}_0)`, so that the network needs no backward pass: Bansal et al., "Universal Guidance for
    Diffusion Models" (arXiv:2302.07121); He et al., "Manifold Preserving Guided Diffusion" (arXiv:2311.16424).

    Args:
        reward: latents (batch, …) → rewards (batch,), such as a `LatentReward` of the pipeline.
        strength (`float`): *s*, the length of the step as a share of the clean sample's. Typical range: 0.01 to 0.2.
        start (`float`): share of the steps after which the reward guides. Early predictions are blurred.
        stop (`float`): share of the steps after which it no longer does.
        guidance_scale (`float`): of classifier-free guidance, which acts on all steps; 1 turns it off.
        guidance_rescale (`float`): as in `ClassifierFreeGuidance`.
        num_train_timesteps (`int`): the timestep at noise level 1.

    It reads the latents of the block that denoises, which pipelines of diffusers that are not modular do not pass on.
    Everything but the reward is saved by ``save_pretrained``; pass the reward to ``from_pretrained`` again.

    Raises:
        ArgumentError: if an argument is out of its range, or a pipeline passes no latents.

    Example:
        >>> guider = RewardGuidance(lambda latents: latents.mean((1, 2, 3, 4)), strength=0.05, guidance_scale=5.0)
        >>> guider.config.strength, "reward" in guider.config
        (0.05, False)
    """

    _timestep: Tensor
    _step: int
    _num_inference_steps: int
    _enabled: bool

    def __init__(
        self,
        reward: Callable[[Tensor], Tensor],
        strength: float = 0.05,
        start: float = 0.2,
        stop: float = 1.0,
        guidance_scale: float = 7.5,
        guidance_rescale: float = 0.0,
        num_train_timesteps: int = 1000,
    ) -> None:
        if not callable(reward):
            raise ArgumentError("reward", "a function of latents, such as a LatentReward", reward)
        if not strength >= 0:
            raise ArgumentError("strength", "a number of at least 0", strength)
        if not 0 <= start < stop <= 1:
            raise ArgumentError("start", "a share of the steps before stop, both between 0 and 1", (start, stop))
        super().__init__(guidance_scale, guidance_rescale)
        ClassifierFreeGuidance.register_to_config(
            self, strength=strength, start=start, stop=stop, num_train_timesteps=num_train_timesteps
        )
        self.reward, self.strength, self.num_train_timesteps = reward, strength, num_train_timesteps
        self._share = (start, stop)
        self._latents: Tensor | None = None

    def prepare_inputs(self, data: Any) -> Any:
        """Raise `ArgumentError`: the data of a pipeline that is not modular hold no latents."""
        got = Described("one that passes no latents to its guider")
        raise ArgumentError("pipeline", "a modular pipeline", got, "use LatentReward in its callback_on_step_end")

    def prepare_inputs_from_block_state(self, data: Any, input_fields: Any) -> Any:
        """Keep the latents of the step, and prepare the inputs of classifier-free guidance."""
        self._latents = data.latents
        return ClassifierFreeGuidance.prepare_inputs_from_block_state(self, data, input_fields)

    def forward(self, pred_cond: Tensor, pred_uncond: Tensor | None = None) -> GuiderOutput:
        """Return the guided prediction."""
        found = ClassifierFreeGuidance.forward(self, pred_cond, pred_uncond)
        sigma = float(self._timestep) / self.num_train_timesteps
        first, last = (share * self._num_inference_steps for share in self._share)
        if not self._enabled or not self.strength or not first <= self._step < last or self._latents is None:
            return found
        # Outside of inference mode, whose tensors have no gradients.
        with torch.inference_mode(False), torch.enable_grad():
            clean = (self._latents.float() - sigma * found.pred.float()).detach().clone().requires_grad_()
            rewards = self.reward(clean)
            (gradient,) = torch.autograd.grad(rewards.sum(), clean)
        sizes = [track.flatten(1).norm(dim=1).view(-1, *[1] * (clean.ndim - 1)) for track in (clean, gradient)]
        step = self.strength * sizes[0] * gradient / sizes[1].clamp(min=torch.finfo(torch.float32).tiny)
        # The prediction whose clean sample is the moved one.
        found.pred = (found.pred.float() - step.detach() / sigma).to(found.pred.dtype)
        return found
