"""Rewards on the latents of a diffusers pipeline: decoded, rated, with gradients to the latents."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.rewards.latent.heads import HeadError as HeadError
    from avreward.rewards.latent.heads import LatentHead as LatentHead
    from avreward.rewards.latent.heads import fit_latent_head as fit_latent_head
    from avreward.rewards.latent.reward import LatentReward as LatentReward

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "heads": ["HeadError", "LatentHead", "fit_latent_head"],
        "reward": ["LatentReward"],
    },
)
