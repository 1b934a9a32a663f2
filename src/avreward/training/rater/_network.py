"""A rater as a module that is trained: decoded clips → scores, or logits of level words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Rater, Sample
from avreward.raters.checkpoints.network_rater import NetworkRater
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import LEVEL_WORDS, Head, applied, first_tokens
from avreward.raters.scores import Dimension
from avreward.training.rater._lora import choose_weights
from avreward.training.rater._objective import Objective

if TYPE_CHECKING:
    from avreward.training.rater.arguments import RaterTrainingArguments


class TrainedNetwork(nn.Module):
    """The rater's own differentiable forward pass, as `transformers.Trainer` needs it.

    The network stays in evaluation mode, as in any loaded rater, so that training and use see the same scores; the
    dropout of LoRA adapters alone is on.

    Args:
        rater: a loaded rater with weights.
        dimensions: names of the scores that are trained.
        arguments: of the stage.
        objective: whose own numbers are trained, too.
    """

    def __init__(
        self, rater: NetworkRater, dimensions: Sequence[str], arguments: RaterTrainingArguments, objective: Objective
    ) -> None:
        super().__init__()
        self.network, self.objective = rater.module, objective
        self.dimensions = tuple(dimensions)
        self.levels = arguments.stage == "levels"
        self.view: Rater = _level_view(rater, self.dimensions) if self.levels else rater
        self.columns = [] if self.levels else [rater.dimensions.index(rater.dimension(name)) for name in dimensions]
        choose_weights(
            self.network,
            arguments.train_weights,
            arguments.lora,
            arguments.lora_r,
            arguments.lora_alpha,
            arguments.lora_dropout,
        )

    def forward(self, samples: Sequence[Sample]) -> Tensor:
        """Return scores (clips, dimensions), or logits (clips, dimensions, words) for levels.

        Raises:
            AvrewardError: for a clip without one of the scores, with the reason.
        """
        scores = self.view.rate(samples)
        columns = list(range(len(scores.dimensions))) if self.levels else self.columns
        absent = (~scores.present[:, columns]).nonzero().tolist()
        if absent:
            row, column = absent[0]
            name = scores.names[columns[column]]
            reason = scores.reasons[row].get(name, "no score")
            raise AvrewardError(f"{samples[row].clip.name}: no score {name} ({reason}); remove its row")
        values = scores.values[:, columns]
        return values.unflatten(1, (len(self.dimensions), -1)) if self.levels else values

    def train(self, mode: bool = True) -> TrainedNetwork:
        """Switch the dropout of LoRA adapters on or off; everything else stays in evaluation mode."""
        super().train(False)
        for name, module in self.named_modules():
            if ".lora_dropout" in name:
                module.train(mode)
        return self


@dataclass(frozen=True, eq=False)
class LevelLogits:
    """Logits of the level words at each position where a score is read.

    Args:
        head: hidden states → logits.
        ids: first tokens of the words, best first.
    """

    head: Head
    ids: tuple[int, ...]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the logits, all words of the first position first, (positions · words,)."""
        return applied(self.head, hidden, self.ids).flatten()


def _level_view(rater: NetworkRater, dimensions: Sequence[str]) -> LmmRater:
    """Return a rater with the same prompts, whose scores are the logits of level words where `dimensions` are read."""
    if not isinstance(rater, LmmRater):
        raise ArgumentError("stage", "scores or pairs for a rater without a language model", "levels")
    questions, found = [], []
    for name in dimensions:
        rater.dimension(name)
    for question in rater.questions:
        own = [name for name in question.dimensions if name in dimensions]
        if own:
            ids = _words(rater, question)
            named = tuple(f"{name}:{i}" for name in _read_at(rater, question) for i in range(len(ids)))
            questions.append(replace(question, dimensions=named, readout=LevelLogits(rater.backbone.head, ids)))
            found += [Dimension(f"{name}:{i}", -1e9, 1e9, question.needs) for name in own for i in range(len(ids))]
    unique = {dimension.name: dimension for dimension in found}
    ordered = [d for name in dimensions for d in unique.values() if d.name.rpartition(":")[0] == name]
    return LmmRater(
        rater.name, rater.backbone, questions, ordered, checkpointing=rater.checkpointing, module=rater.module
    )


def _read_at(rater: LmmRater, question: Question) -> tuple[str, ...]:
    """Return the dimension that each read position of a question is about."""
    from avreward.raters.lmm.prompt import Read

    reads = max(1, sum(isinstance(part, Read) for part in question.prompt))
    scored = [name for name in question.dimensions if not rater.dimension(name).detail]
    if reads != len(scored):
        expected = f"a position for each of {', '.join(scored)} where levels are learned"
        got = Described(f"{reads}")
        raise ArgumentError(
            "rater", expected, got, "load it with scheme='masked', which reads each at a place of its own"
        )
    return tuple(scored)


def _words(rater: LmmRater, question: Question) -> tuple[int, ...]:
    """Return the first tokens of the words that the rater's readout compares, else those of the five levels."""
    ids = getattr(question.readout, "ids", None)
    return tuple(ids) if ids else first_tokens(rater.backbone.tokenizer, "", LEVEL_WORDS)
