"""VideoReward: visual quality, motion quality and text alignment of generated video (arXiv:2501.13918)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.video_reward.rater import VideoRewardRater as VideoRewardRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "rater": ["VideoRewardRater"],
    },
)
