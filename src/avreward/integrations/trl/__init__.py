"""Rewards as reward functions of TRL's GRPO and RLOO trainers."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.integrations.trl.clips import ClipLogCallback as ClipLogCallback
    from avreward.integrations.trl.monitor import RewardMonitorCallback as RewardMonitorCallback
    from avreward.integrations.trl.rewards import AsyncTrlReward as AsyncTrlReward
    from avreward.integrations.trl.rewards import TrlReward as TrlReward
    from avreward.integrations.trl.rewards import trl_reward as trl_reward
    from avreward.integrations.trl.rewards import trl_rewards as trl_rewards

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "clips": ["ClipLogCallback"],
        "monitor": ["RewardMonitorCallback"],
        "rewards": ["AsyncTrlReward", "TrlReward", "trl_reward", "trl_rewards"],
    },
)
