"""Rewards for other trainers and services (TRL, Flow-Factory, verl-omni, CachedSearch, ElevenLabs) and as a service."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.integrations.budget import Budget as Budget
    from avreward.integrations.callables import CachedSearchVerifier as CachedSearchVerifier
    from avreward.integrations.callables import FlowFactoryReward as FlowFactoryReward
    from avreward.integrations.callables import VerlOmniReward as VerlOmniReward
    from avreward.integrations.captions import LmmDescriber as LmmDescriber
    from avreward.integrations.descriptions import DescriptionTable as DescriptionTable
    from avreward.integrations.descriptions import prompt_of as prompt_of
    from avreward.integrations.descriptions import read_column as read_column
    from avreward.integrations.elevenlabs import ElevenLabs as ElevenLabs
    from avreward.integrations.elevenlabs import ServiceError as ServiceError
    from avreward.integrations.ray._actor import ScoreClips as ScoreClips
    from avreward.integrations.ray._actors import RayActors as RayActors
    from avreward.integrations.ray.dataset import score_dataset as score_dataset
    from avreward.integrations.ray.serve import RayRewardServer as RayRewardServer
    from avreward.integrations.ray.serve import reward_application as reward_application
    from avreward.integrations.service._requests import ServiceLimits as ServiceLimits
    from avreward.integrations.service.server import RewardServer as RewardServer
    from avreward.integrations.trl.clips import ClipLogCallback as ClipLogCallback
    from avreward.integrations.trl.monitor import RewardMonitorCallback as RewardMonitorCallback
    from avreward.integrations.trl.rewards import AsyncTrlReward as AsyncTrlReward
    from avreward.integrations.trl.rewards import TrlReward as TrlReward
    from avreward.integrations.trl.rewards import trl_reward as trl_reward
    from avreward.integrations.trl.rewards import trl_rewards as trl_rewards

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "budget": ["Budget"],
        "callables": ["CachedSearchVerifier", "FlowFactoryReward", "VerlOmniReward"],
        "captions": ["LmmDescriber"],
        "descriptions": ["DescriptionTable", "prompt_of", "read_column"],
        "elevenlabs": ["ElevenLabs", "ServiceError"],
        "ray._actor": ["ScoreClips"],
        "ray._actors": ["RayActors"],
        "ray.dataset": ["score_dataset"],
        "ray.serve": ["RayRewardServer", "reward_application"],
        "service._requests": ["ServiceLimits"],
        "service.server": ["RewardServer"],
        "trl.clips": ["ClipLogCallback"],
        "trl.monitor": ["RewardMonitorCallback"],
        "trl.rewards": ["AsyncTrlReward", "TrlReward", "trl_reward", "trl_rewards"],
    },
)
