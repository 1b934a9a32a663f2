"""Train raters and generators: losses, and a monitor of training runs."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.training.clip_log import log_clips as log_clips
    from avreward.training.clip_log import reward_metrics as reward_metrics
    from avreward.training.losses import pearson_loss as pearson_loss
    from avreward.training.losses import plcc_loss as plcc_loss
    from avreward.training.losses import rank_loss as rank_loss
    from avreward.training.losses import scaled_rank_loss as scaled_rank_loss
    from avreward.training.monitor import MonitorState as MonitorState
    from avreward.training.monitor import RewardDivergence as RewardDivergence
    from avreward.training.monitor import RewardMonitor as RewardMonitor
    from avreward.training.rater.comparison_losses import bradley_terry_loss as bradley_terry_loss
    from avreward.training.rater.comparison_losses import fidelity_loss as fidelity_loss
    from avreward.training.rater.comparison_losses import list_policy_loss as list_policy_loss
    from avreward.training.rater.comparison_losses import listwise_loss as listwise_loss
    from avreward.training.rater.levels import level_loss as level_loss
    from avreward.training.rater.levels import to_levels as to_levels

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "clip_log": ["log_clips", "reward_metrics"],
        "losses": ["pearson_loss", "plcc_loss", "rank_loss", "scaled_rank_loss"],
        "monitor": ["MonitorState", "RewardDivergence", "RewardMonitor"],
        "rater.comparison_losses": ["bradley_terry_loss", "fidelity_loss", "list_policy_loss", "listwise_loss"],
        "rater.levels": ["level_loss", "to_levels"],
    },
)
