"""One model, several ways to ask: raters that differ in the wording of their questions."""

from __future__ import annotations

from collections.abc import Sequence

from avreward.errors import AvrewardError
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

    How much a score hangs on the words of the question is uncertainty that no other network is needed to see. In an
    ensemble the members decode and encode each clip once, together; the language model reads each question.

    Args:
        backbone: such as ``load_rater("Qwen/Qwen2.5-Omni-7B").backbone``.
        wordings: for each rater what it asks, a question a dimension; the same dimensions in all.
        answers: as for `avreward.raters.zero_shot.rater.PublicRater`: each score is from 0 to 100.
        name: the raters are called after it: ``phrasing1``, ``phrasing2``, ….

    Raises `AvrewardError` for fewer than two wordings, or a question about a track that the backbone doesn't take.

    >>> asked = [[ZeroShotQuestion("audio_quality", ("audio",), text, "The audio quality is", "")] for text in (
    ...     "How good does the audio sound?", "Rate the quality of the audio.", "Is the audio clear and clean?")]
    >>> from avreward.raters import EnsembleRater
    >>> from tiny.qwen_omni import tiny_qwen2_5_omni
    >>> EnsembleRater(phrasings(tiny_qwen2_5_omni(), asked))([clip]).sigma.shape
    torch.Size([1, 1])
    """
    if len(wordings) < 2:
        raise AvrewardError(f"wordings: {len(wordings)} make no ensemble; give two or more")
    raters = []
    for number, wording in enumerate(wordings, 1):
        for asked in wording:
            lacking = [track for track in asked.slots if track not in backbone.tracks]
            if lacking:
                problem = f"asks about {lacking[0]}, which {type(backbone).__name__} doesn't take in"
                raise AvrewardError(f"wordings: number {number} {problem}; leave it out")
        questions = [question_of(backbone, asked, answers) for asked in wording]
        raters.append(LmmRater(f"{name}{number}", backbone, questions, dimensions_of(wording, questions, answers)))
    return raters
