"""Diffusers pipelines as generators that search can drive."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.generators.diffusers.guidance import RewardGuidance as RewardGuidance
    from avreward.generators.diffusers.sampler import DiffusersSampler as DiffusersSampler

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "guidance": ["RewardGuidance"],
        "sampler": ["DiffusersSampler"],
    },
)
