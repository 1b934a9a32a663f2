"""Fit raters to people's judgments: losses on comparisons and levels, and the trainer."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.training.rater._checks import last_checkpoint as last_checkpoint
    from avreward.training.rater.arguments import RaterTrainingArguments as RaterTrainingArguments
    from avreward.training.rater.comparison_losses import bradley_terry_loss as bradley_terry_loss
    from avreward.training.rater.comparison_losses import fidelity_loss as fidelity_loss
    from avreward.training.rater.comparison_losses import list_policy_loss as list_policy_loss
    from avreward.training.rater.comparison_losses import listwise_loss as listwise_loss
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

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "comparison_losses": ["bradley_terry_loss", "fidelity_loss", "list_policy_loss", "listwise_loss"],
        "levels": ["level_loss", "to_levels"],
        "_checks": ["last_checkpoint"],
        "arguments": ["RaterTrainingArguments"],
        "run": ["TrainingRun", "read_run", "train_rater"],
        "trainer": ["RaterTrainer"],
        "teaching": ["TaughtRater", "teach"],
        "teach_choices": ["Judgment", "judgments_of_ratings", "own_sounds"],
    },
)
