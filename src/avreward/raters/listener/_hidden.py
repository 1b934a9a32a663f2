"""Hidden states of a language-model rater as features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media._precision import no_autocast, widened
from avreward.raters.base import Sample, Work
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.base import WrapperRater

Row = tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]


class HiddenFeatures(WrapperRater):
    """The hidden state that a language-model rater answers from, as detail dimensions, and its scores.

    The state is that at the last position where the first question is read, after the whole clip.

    Args:
        rater: asks a language model.
    """

    def __init__(self, rater: LmmRater) -> None:
        super().__init__([rater], rater.name)
        width = int(rater.backbone.language.config.hidden_size)
        needs = rater.questions[0].needs
        self._names = [f"feature_{i}" for i in range(width)]
        made = [Dimension(one, -1e9, 1e9, needs, detail=True, description="of the hidden state") for one in self._names]
        self.dimensions = self._own = (*made, *rater.dimensions)

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """That of the rater, whose states these are."""
        return self.rater.source

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """That of the rater, whose states these are."""
        return f"{self.rater.fingerprint}.hidden"

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what the first question needs, or what the rater's score may depend on."""
        if dimension is None:
            return self.rater.reads()
        needs = self.dimension(dimension).needs
        return needs if dimension in self._names else self.rater.reads(dimension)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the hidden states and the scores; the clip is encoded once for both."""
        rater, work = self._language(), work or Work()
        scores = rater.rate(samples, work)
        question = rater.questions[0]
        able = [i for i, sample in enumerate(samples) if question in rater._asked(sample)]

        def step(some: Sequence[int]) -> list[Tensor]:
            sequences = [rater.rendered(samples[i], question.prompt, work) for i in some]
            return [hidden[-1] for hidden in read(rater.backbone, sequences, work.prefixes)]

        with no_autocast():
            states = rater.run(step, able, [samples[i] for i in able]) if able else []
        known = {i: widened(state) for i, state in zip(able, states, strict=True)}
        return Scores.collect([self._row(scores, i, known.get(i), question) for i in range(len(samples))], self._own)

    def _row(self, scores: Scores, row: int, state: Tensor | None, question: Question) -> Row:
        rater = self.rater
        values = {d.name: scores[d.name][row] for d in rater.dimensions if scores.present[row, scores.column(d.name)]}
        reasons = dict(scores.reasons[row])
        if state is None:
            why = next((reasons[name] for name in question.dimensions if name in reasons), "the question has no answer")
            return values, reasons | dict.fromkeys(self._names, why), {}
        return values | dict(zip(self._names, state, strict=True)), reasons, {}

    def _language(self) -> LmmRater:
        if not isinstance(self.rater, LmmRater):
            raise ArgumentError("rater", "a rater that asks a language model", type(self.rater).__name__)
        return self.rater
