"""Train raters and generators: losses, and a monitor of training runs."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.training.clip_log import log_clips as log_clips
    from avreward.training.clip_log import reward_metrics as reward_metrics
    from avreward.training.generator._rated import TuningStep as TuningStep
    from avreward.training.generator.advantages import best_and_worst as best_and_worst
    from avreward.training.generator.advantages import group_advantages as group_advantages
    from avreward.training.generator.advantages import stream_advantages as stream_advantages
    from avreward.training.generator.advantages import winners as winners
    from avreward.training.generator.checkpoints import load_tuning as load_tuning
    from avreward.training.generator.checkpoints import save_tuning as save_tuning
    from avreward.training.generator.clip_pairs import ClipPair as ClipPair
    from avreward.training.generator.clip_pairs import read_clip_pairs as read_clip_pairs
    from avreward.training.generator.diffusion_nft import DiffusionNft as DiffusionNft
    from avreward.training.generator.draft import Draft as Draft
    from avreward.training.generator.flow_grpo import FlowGrpo as FlowGrpo
    from avreward.training.generator.forward_losses import ForwardLoss as ForwardLoss
    from avreward.training.generator.forward_losses import awm_loss as awm_loss
    from avreward.training.generator.forward_losses import nft_loss as nft_loss
    from avreward.training.generator.latent_head import HeadGuard as HeadGuard
    from avreward.training.generator.latent_head import sample_latent_head as sample_latent_head
    from avreward.training.generator.lora import add_lora as add_lora
    from avreward.training.generator.lora_files import load_lora as load_lora
    from avreward.training.generator.lora_files import save_lora as save_lora
    from avreward.training.generator.offline_dpo import OfflineDpo as OfflineDpo
    from avreward.training.generator.online_dpo import OnlineDpo as OnlineDpo
    from avreward.training.generator.policy_loss import PolicyLoss as PolicyLoss
    from avreward.training.generator.policy_loss import clipped_policy_loss as clipped_policy_loss
    from avreward.training.generator.policy_loss import routed_policy_loss as routed_policy_loss
    from avreward.training.generator.policy_loss import step_kl as step_kl
    from avreward.training.generator.preference_loss import PreferenceLoss as PreferenceLoss
    from avreward.training.generator.preference_loss import diffusion_dpo_loss as diffusion_dpo_loss
    from avreward.training.generator.preference_loss import logit_normal_times as logit_normal_times
    from avreward.training.generator.raft import Raft as Raft
    from avreward.training.generator.token_grpo import TokenGrpo as TokenGrpo
    from avreward.training.generator.windows import sliding_windows as sliding_windows
    from avreward.training.losses import pearson_loss as pearson_loss
    from avreward.training.losses import plcc_loss as plcc_loss
    from avreward.training.losses import rank_loss as rank_loss
    from avreward.training.losses import scaled_rank_loss as scaled_rank_loss
    from avreward.training.monitor import MonitorState as MonitorState
    from avreward.training.monitor import RewardDivergence as RewardDivergence
    from avreward.training.monitor import RewardMonitor as RewardMonitor
    from avreward.training.rater._checks import last_checkpoint as last_checkpoint
    from avreward.training.rater.arguments import RaterTrainingArguments as RaterTrainingArguments
    from avreward.training.rater.comparison_losses import bradley_terry_loss as bradley_terry_loss
    from avreward.training.rater.comparison_losses import fidelity_loss as fidelity_loss
    from avreward.training.rater.comparison_losses import list_policy_loss as list_policy_loss
    from avreward.training.rater.comparison_losses import listwise_loss as listwise_loss
    from avreward.training.rater.distilling import DistilledRater as DistilledRater
    from avreward.training.rater.distilling import distill as distill
    from avreward.training.rater.levels import level_loss as level_loss
    from avreward.training.rater.levels import to_levels as to_levels
    from avreward.training.rater.run import TrainingRun as TrainingRun
    from avreward.training.rater.run import read_run as read_run
    from avreward.training.rater.run import train_rater as train_rater
    from avreward.training.rater.teach_choices import Judgment as Judgment
    from avreward.training.rater.teach_choices import judgments_of_ratings as judgments_of_ratings
    from avreward.training.rater.teach_choices import own_sounds as own_sounds
    from avreward.training.rater.teaching import TaughtRater as TaughtRater
    from avreward.training.rater.teaching import teach as teach
    from avreward.training.rater.trainer import RaterTrainer as RaterTrainer
    from avreward.training.tuning._samples import before_and_after as before_and_after
    from avreward.training.tuning.config import TuningRun as TuningRun
    from avreward.training.tuning.config import read_tuning as read_tuning
    from avreward.training.tuning.trainer import tune as tune

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "clip_log": ["log_clips", "reward_metrics"],
        "generator.clip_pairs": ["ClipPair", "read_clip_pairs"],
        "generator.diffusion_nft": ["DiffusionNft"],
        "generator.draft": ["Draft"],
        "generator.flow_grpo": ["FlowGrpo"],
        "generator.latent_head": ["HeadGuard", "sample_latent_head"],
        "generator.lora": ["add_lora"],
        "generator.lora_files": ["load_lora", "save_lora"],
        "generator._rated": ["TuningStep"],
        "generator.checkpoints": ["load_tuning", "save_tuning"],
        "generator.offline_dpo": ["OfflineDpo"],
        "generator.online_dpo": ["OnlineDpo"],
        "generator.raft": ["Raft"],
        "generator.advantages": ["best_and_worst", "group_advantages", "stream_advantages", "winners"],
        "generator.forward_losses": ["ForwardLoss", "awm_loss", "nft_loss"],
        "generator.policy_loss": ["PolicyLoss", "clipped_policy_loss", "routed_policy_loss", "step_kl"],
        "generator.preference_loss": ["PreferenceLoss", "diffusion_dpo_loss", "logit_normal_times"],
        "generator.token_grpo": ["TokenGrpo"],
        "generator.windows": ["sliding_windows"],
        "losses": ["pearson_loss", "plcc_loss", "rank_loss", "scaled_rank_loss"],
        "monitor": ["MonitorState", "RewardDivergence", "RewardMonitor"],
        "rater.comparison_losses": ["bradley_terry_loss", "fidelity_loss", "list_policy_loss", "listwise_loss"],
        "rater.levels": ["level_loss", "to_levels"],
        "rater._checks": ["last_checkpoint"],
        "rater.arguments": ["RaterTrainingArguments"],
        "rater.run": ["TrainingRun", "read_run", "train_rater"],
        "rater.trainer": ["RaterTrainer"],
        "rater.distilling": ["DistilledRater", "distill"],
        "rater.teaching": ["TaughtRater", "teach"],
        "tuning.config": ["TuningRun", "read_tuning"],
        "tuning.trainer": ["tune"],
        "tuning._samples": ["before_and_after"],
        "rater.teach_choices": ["Judgment", "judgments_of_ratings", "own_sounds"],
    },
)
