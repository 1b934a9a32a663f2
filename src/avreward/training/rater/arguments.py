"""The settings of one stage of a rater's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from avreward._extras import extra
from avreward.errors import ArgumentError, unknown_name
from avreward.training.rater.comparison_losses import TIES, Ties

with extra("train"):
    from transformers import TrainingArguments
    from transformers.trainer_utils import IntervalStrategy, SchedulerType

Stage = Literal["levels", "scores", "pairs"]
LOSSES: dict[str, tuple[str, ...]] = {
    "levels": ("cross_entropy",),
    "scores": ("plcc", "pearson", "l1", "mse", "rank", "scaled_rank", "fidelity", "listwise", "list_policy"),
    "pairs": ("bradley_terry", "fidelity"),
}
LISTED = ("listwise", "list_policy")  # losses over whole groups


@dataclass
class RaterTrainingArguments(TrainingArguments):
    """Settings of one stage of training: those of `transformers.TrainingArguments`, and those of a rater.

    Some defaults differ from `TrainingArguments`: the learning rate falls as a cosine after a warm-up of 3 %, a last
    batch that is too small is dropped, nothing is reported to trackers, and a NaN loss stops the run.

    Args:
        stage: ``"scores"``: a number for each clip; ``"levels"``: the language model's words for quality;
            ``"pairs"``: which of two clips is better.
        loss: such as ``"plcc"`` or ``"plcc + 0.3*rank"`` (*optional*, plcc, cross_entropy, or bradley_terry).
        dimensions: which are trained; ``NAME=COLUMN`` where the table has another name (*optional*, all in the table).
        train_weights: names of parameters or modules that are trained in full, as regular expressions that match the
            whole name (*optional*; without these and `lora` all weights are trained).
        lora: linear layers that get a LoRA adapter, as a regular expression that matches the whole name (*optional*).
        lora_r: rank of the adapters.
        lora_alpha: their α.
        lora_dropout: their dropout.
        temperature: what a difference of scores is divided by in pairs.
        learn_temperature: whether the temperature is trained, too.
        ties: how ties in pairs are modelled: ``"half"``, ``"rao_kupper"`` or ``"davidson"``.
        use_margins: whether the column ``margin`` of pairs counts.

    Raises:
        ArgumentError: if a setting has no such value.

    Example:
        >>> arguments = RaterTrainingArguments(output_dir="out", stage="scores", loss="plcc + 0.3*rank", use_cpu=True)
        >>> arguments.terms
        {'plcc': 1.0, 'rank': 0.3}
    """

    stage: str = field(default="scores", metadata={"help": "levels, scores or pairs"})
    loss: str = field(default="", metadata={"help": "a loss, or a sum such as plcc + 0.3*rank"})
    dimensions: list[str] = field(default_factory=list, metadata={"help": "NAME, or NAME=COLUMN"})
    train_weights: list[str] = field(default_factory=list, metadata={"help": "names trained in full (regex)"})
    lora: str | None = field(default=None, metadata={"help": "linear layers with LoRA (regex)"})
    lora_r: int = field(default=8, metadata={"help": "rank of LoRA"})
    lora_alpha: int = field(default=16, metadata={"help": "alpha of LoRA"})
    lora_dropout: float = field(default=0.05, metadata={"help": "dropout of LoRA"})
    temperature: float = field(default=1.0, metadata={"help": "divides differences of scores in pairs"})
    learn_temperature: bool = field(default=True, metadata={"help": "train the temperature"})
    ties: str = field(default="half", metadata={"help": "half, rao_kupper or davidson"})
    use_margins: bool = field(default=False, metadata={"help": "use the column margin of pairs"})
    # Defaults that differ from TrainingArguments.
    learning_rate: float = field(default=1e-5, metadata={"help": "the highest learning rate"})
    lr_scheduler_type: SchedulerType | str = field(default="cosine", metadata={"help": "how the learning rate falls"})
    warmup_steps: float = field(default=0.03, metadata={"help": "share of steps (below 1), or number of steps"})
    logging_strategy: IntervalStrategy | str = field(default="epoch", metadata={"help": "when the loss is logged"})
    dataloader_drop_last: bool = field(default=True, metadata={"help": "drop a last batch that is too small"})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "unused: a NaN loss stops the run"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "unused: batches hold decoded clips"})
    save_total_limit: int | None = field(default=2, metadata={"help": "how many checkpoints are kept"})

    def __post_init__(self) -> None:
        if self.stage not in get_args(Stage):
            raise unknown_name("stage", self.stage, get_args(Stage))
        if self.ties not in get_args(Ties):
            raise unknown_name("ties", self.ties, TIES)
        for name in ("temperature", "lora_r", "lora_alpha"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, "a positive number", getattr(self, name))
        if isinstance(self.dimensions, str) or isinstance(self.train_weights, str):
            name = "dimensions" if isinstance(self.dimensions, str) else "train_weights"
            raise ArgumentError(name, "a list of names", getattr(self, name), f"pass [{getattr(self, name)!r}]")
        self.loss = self.loss or LOSSES[self.stage][0]
        _ = self.terms
        super().__post_init__()

    @property
    def terms(self) -> dict[str, float]:
        """Loss → its weight."""
        found: dict[str, float] = {}
        for text in self.loss.split("+"):
            weight, star, name = text.strip().rpartition("*")
            name = name.strip()
            if name not in LOSSES[self.stage]:
                raise unknown_name(f"loss of the stage {self.stage}", name, LOSSES[self.stage])
            try:
                found[name] = float(weight) if star else 1.0
            except ValueError as error:
                raise ArgumentError("loss", "a sum such as plcc + 0.3*rank", self.loss) from error
        if any(name in LISTED for name in found) and not all(name in LISTED for name in found):
            raise ArgumentError("loss", f"losses over groups alone ({', '.join(LISTED)}), or others", self.loss)
        return found

    @property
    def listed(self) -> bool:
        """Whether the loss is over whole groups."""
        return any(name in LISTED for name in self.terms)
