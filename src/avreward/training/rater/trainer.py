"""A `transformers.Trainer` that fits a rater to people's judgments."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avreward._display import counted
from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.checkpoints.loading import _cast
from avreward.raters.wrappers._trained import TrainedRater
from avreward.training.rater._batches import Batch, DecodedExamples
from avreward.training.rater._checks import check_enough, ranges, trainable, warn_of_leaks
from avreward.training.rater._examples import Rows, names_of, pair_examples, rows_of, scored_examples
from avreward.training.rater._finish import judged, raw_scores, stage_record, training_card
from avreward.training.rater._judged_rows import JudgedRow
from avreward.training.rater._lora import MasterWeights, merge_weights
from avreward.training.rater._metrics import pair_metrics, rating_metrics
from avreward.training.rater._network import TrainedNetwork
from avreward.training.rater._objective import Objective
from avreward.training.rater._whole_batch import BatchGradients, batch_gradients
from avreward.training.rater.arguments import RaterTrainingArguments
from avreward.training.rater.levels import expected_level

with extra("train"):
    from transformers import EvalPrediction, Trainer
    from transformers.trainer_utils import IntervalStrategy, SaveStrategy

WEIGHTS = "model.safetensors"  # where transformers looks for a checkpoint's weights
PAIRS, RATINGS = "pair_accuracy", "srcc"


class RaterTrainer(Trainer):
    """Fit a rater's weights to ratings, levels or choices of people; one stage of training.

    The rater's own differentiable forward pass is trained. A loss over a batch (correlation, rank) is that over the
    whole batch, however it is split into steps of accumulation and processes. Checkpoints hold the trained weights
    alone.

    Args:
        rater: any rater with weights that can be saved; changed in place.
        train: rows of a scored table, or of a pair table for the stage ``"pairs"``.
        evaluation: rows that are evaluated after each epoch (*optional*).
        args: the settings.
        **options: other arguments of `transformers.Trainer`, such as `callbacks`.

    Raises:
        ArgumentError: for a rater or rows that can't be trained on.

    Example:
        >>> rater = load_rater("checkpoints/aigveval")  # doctest: +SKIP
        >>> trainer = RaterTrainer(rater, "train.csv", "test.csv", RaterTrainingArguments("out"))  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
        >>> trainer.finish().save_pretrained("my_rater")  # doctest: +SKIP
    """

    args: RaterTrainingArguments
    objective: Objective

    def __init__(
        self,
        rater: Rater,
        train: Rows,
        evaluation: Rows | None = None,
        args: RaterTrainingArguments | None = None,
        **options: Any,
    ) -> None:
        args = args or RaterTrainingArguments()
        self.rater = trainable(rater)
        columns = list(dict.fromkeys(name for row in rows_of(train)[0] for name in row))
        self.dimensions = names_of(self.rater, args.dimensions, columns)
        self.source = rows_of(train)[2]
        examples = self._examples(train, args)
        held_out = None if evaluation is None else self._examples(evaluation, args, single=True)
        check_enough(examples, args)
        warn_of_leaks(examples, held_out or [])
        if args.bf16:  # of the network; weights that are trained stay in float32
            _cast(self.rater.module, torch.bfloat16)
            args.bf16 = False
        if args.gradient_checkpointing:
            self.rater.checkpointing, args.gradient_checkpointing = True, False
        self._choose_strategies(args, held_out)
        self.objective = Objective(args, ranges(examples, held_out or []))
        network = TrainedNetwork(self.rater, list(self.dimensions), args, self.objective)
        self.data = DecodedExamples(examples, network.view)
        self.held_out = None if held_out is None else DecodedExamples(held_out, network.view)
        options.setdefault("compute_metrics", self._metrics)
        super().__init__(network, args, self.data.collated, self.data, self.held_out, **options)
        self.model_accepts_loss_kwargs = False
        self.skipped = 0  # batches without a defined loss
        self._parts: list[Batch] = []
        self._gradients: BatchGradients | None = None
        self._step = 0

    def _examples(self, rows: Rows, args: RaterTrainingArguments, single: bool = False) -> list[JudgedRow]:
        if args.stage == "pairs":
            return pair_examples(rows, self.dimensions)
        return scored_examples(rows, self.dimensions, grouped=args.listed and not single)

    @staticmethod
    def _choose_strategies(args: RaterTrainingArguments, held_out: Sequence[JudgedRow] | None) -> None:
        """Evaluate and save after each epoch and keep the best, unless the arguments say otherwise."""
        if args.report_to == ["all"] or args.report_to is None:
            args.report_to = []
        if held_out is not None and args.eval_strategy == IntervalStrategy.NO:
            args.eval_strategy = IntervalStrategy.EPOCH
            if args.save_strategy == SaveStrategy.STEPS:
                args.save_strategy = SaveStrategy.EPOCH
            if args.save_strategy == SaveStrategy.EPOCH:
                args.load_best_model_at_end = True
        if args.metric_for_best_model in (None, "loss"):
            args.metric_for_best_model = PAIRS if args.stage == "pairs" else RATINGS
            args.greater_is_better = True

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the loader of held-out examples, which are collated by their own data set."""
        before = self.data_collator, self.args.dataloader_drop_last
        data = eval_dataset if isinstance(eval_dataset, DecodedExamples) else self.held_out
        self.data_collator, self.args.dataloader_drop_last = (data or self.data).collated, False  # every row counts
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator, self.args.dataloader_drop_last = before

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any
    ) -> tuple[list[Batch], None]:
        """Return the batches of one step of the optimizer, and keep them for the loss over all of them."""
        self._parts, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._step, self._gradients = 0, None
        return self._parts, None

    @cached_property
    def masters(self) -> MasterWeights:
        """The trained weights in full precision."""
        return MasterWeights(self.network)

    def create_optimizer(self, *args: Any, **options: Any) -> torch.optim.Optimizer:
        """Return the optimizer, which moves weights of a low precision by copies in float32."""
        new = self.optimizer is None
        optimizer = super().create_optimizer(*args, **options)
        if new:
            self.masters.attach(optimizer)
        return optimizer

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> Tensor:
        """Return the loss of the whole batch, as this part's share, after its backward pass.

        Raises:
            AvrewardError: if the loss is not finite.
        """
        model.train()
        parts = self._parts or [inputs]
        if len(parts) > 1 and self._gradients is None:
            with torch.no_grad(), torch.random.fork_rng():  # the same dropout again, with a graph
                scores = [self.network(part["samples"]) for part in parts]
            self._gradients = batch_gradients(self.objective, scores, parts)
        scores = model(inputs["samples"])
        if len(parts) == 1:
            self._gradients = batch_gradients(self.objective, [scores.detach()], parts)
            self._step = 0
        found = self._gradients
        assert found is not None
        self._check(found)
        processes = self.accelerator.num_processes  # over which gradients are averaged
        surrogate = (scores * found.scores[self._step]).sum() * processes
        numbers = [number for number in self.objective.parameters() if number.requires_grad]
        for number, slope in zip(numbers, found.numbers, strict=True):
            surrogate = surrogate + (number * slope).sum() / len(parts)
        self._step += 1
        self.accelerator.backward(surrogate)
        return (found.loss / len(parts)).to(self.args.device)

    @property
    def network(self) -> TrainedNetwork:
        """The trained module, without wrappers of several processes."""
        return self.accelerator.unwrap_model(self.model)

    def _check(self, found: BatchGradients) -> None:
        if found.undefined is not None and self._step == 0:
            self.skipped += 1
            problem = f"step {self.state.global_step + 1}: {found.undefined}, so {self.args.loss} is undefined"
            warnings.warn(f"{problem}; the batch is skipped (use a larger batch)", UserWarning, stacklevel=3)
        finite = bool(found.loss.isfinite()) and all(bool(slope.isfinite().all()) for slope in found.scores)
        if not finite:
            problem = f"expected a finite number, got {float(found.loss):g} at step {self.state.global_step + 1}"
            raise AvrewardError(f"loss: {problem}; lower learning_rate, or train in float32; checkpoints are kept")

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, Tensor, Tensor]:
        """Return scores and ratings (clips, dimensions), or differences and outcomes (pairs, dimensions)."""
        model.eval()
        with torch.no_grad():
            scores = self.network(inputs["samples"])
        if self.args.stage == "levels":
            scores = expected_level(scores)
        if self.args.stage == "pairs":
            return None, scores[0::2] - scores[1::2], inputs["outcome"].to(scores.device)
        return None, scores, inputs["ratings"].to(scores.device)

    def _metrics(self, found: EvalPrediction) -> dict[str, float]:
        metrics = pair_metrics if self.args.stage == "pairs" else rating_metrics
        scores, truth = (np.asarray(each, dtype=np.float64) for each in (found.predictions, found.label_ids))
        return metrics(scores, truth, list(self.dimensions))

    def finish(self, earlier: Sequence[Mapping[str, Any]] = ()) -> TrainedRater:
        """Return the rater as it is used: adapters merged, calibrated, with a model card. Training ends here.

        Calibration, uncertainty and reference scores come from the held-out clips, or from those of training where
        there are none.

        Args:
            earlier: records of the stages before this one (`TrainedRater.record`, entry ``stages``).
        """
        merge_weights(self.network.network)
        data = self.data if self.held_out is None else self.held_out
        clips = counted(len(data), "pair" if self.args.stage == "pairs" else "row")
        where = {"trained on": self.source, "evaluated on": f"{clips} held out"}
        if self.held_out is None:
            where["evaluated on"] = f"the {clips} of training, since none were held out"
        names = list(self.dimensions)
        measured = judged(self.rater, names, *raw_scores(self.rater, names, data), self.objective.ranges)
        stage = stage_record(self.args, self.data, names, self.objective, self.state.log_history, where)
        stages = [*earlier, stage]
        temperature = next((s["temperature"] for s in reversed(stages) if s["temperature"] is not None), None)
        record = {**measured, "temperature": temperature, "stages": stages}
        return TrainedRater(self.rater, {**record, "card": training_card(stages, measured)})

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the trained weights alone."""
        from safetensors.torch import save_file

        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: weight.contiguous().cpu() for name, weight in self.masters.state().items()}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint; one that can't be written whole (a full disk) is removed again."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self._restore(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self._restore(Path(str(self.state.best_model_checkpoint)))

    def _restore(self, folder: Path) -> None:
        from safetensors.torch import load_file

        state, wanted = load_file(folder / WEIGHTS), self.masters.state()
        if state.keys() != wanted.keys():
            other = sorted(state.keys() ^ wanted.keys())
            problem = f"expected the weights that this stage trains, got others ({other[0]})"
            raise AvrewardError(f"{folder}: {problem}; train into another output_dir")
        self.masters.restore(state)
