"""Raters on one model that differ in the wording of their questions."""

from __future__ import annotations

from collections.abc import Sequence

from avreward.errors import ArgumentError, Described
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.rater import LmmRater
from avreward.raters.zero_shot.questions import ZeroShotQuestion
from avreward.raters.zero_shot.rater import Answers, dimensions_of, question_of


def phrasings(
    backbone: Backbone,
    wordings: Sequence[Sequence[ZeroShotQuestion]],
    answers: Answers = "levels",
    name: str = "phrasing",
) -> list[LmmRater]:
    """Return a rater for each wording, all on one backbone: members for an `EnsembleRater`.

    The dependence of a score on the wording of the question is a form of uncertainty that needs no other network. In an
    ensemble the members decode and encode each clip once; the language model reads each question.

    Args:
        backbone: such as ``load_rater("Qwen/Qwen2.5-Omni-7B").backbone``.
        wordings: for each rater its questions, one for each dimension; the same dimensions in all.
        answers: as for `avreward.raters.PublicRater`: each score is from 0 to 100.
        name: prefix of the raters' names: ``phrasing1``, ``phrasing2``, ….

    Raises:
        ArgumentError: for fewer than two wordings, or a question about a track that the backbone cannot read.

    Example:
        >>> asked = [[ZeroShotQuestion("audio_quality", ("audio",), text, "The audio quality is", "")] for text in (
        ...     "How good does the audio sound?", "Rate the quality of the audio.", "Is the audio clear and clean?")]
        >>> from avreward.raters import EnsembleRater
        >>> from tiny.qwen_omni import tiny_qwen2_5_omni
        >>> EnsembleRater(phrasings(tiny_qwen2_5_omni(), asked))([clip]).sigma.shape
        torch.Size([1, 1])
    """
    if len(wordings) < 2:
        raise ArgumentError("wordings", "at least two", Described(str(len(wordings))))
    raters = []
    for number, wording in enumerate(wordings):
        for asked in wording:
            lacking = [track for track in asked.slots if track not in backbone.tracks]
            if lacking:
                expected = f"questions about {' and '.join(backbone.tracks)}, the inputs of {type(backbone).__name__}"
                raise ArgumentError(
                    f"wordings[{number}]", expected, Described(f"one about {lacking[0]}"), "leave it out"
                )
        questions = [question_of(backbone, asked, answers) for asked in wording]
        raters.append(LmmRater(f"{name}{number + 1}", backbone, questions, dimensions_of(wording, questions, answers)))
    return raters
