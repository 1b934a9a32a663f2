"""Rewards on the latents of a diffusers pipeline: decoded, rated, with gradients to the latents."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.rewards.latent.reward import LatentReward as LatentReward

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "reward": ["LatentReward"],
    },
)
