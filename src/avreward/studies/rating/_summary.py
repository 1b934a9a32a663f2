"""What a study holds, as plain values for JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from avreward.studies.rating.study import RatingStudy


def summarize_study(study: RatingStudy) -> dict[str, Any]:
    """Return what a study holds, as plain values for JSON.

    The keys are those of `RatingStudy.about`, ``clips`` (that are rated), ``questions``, ``answers`` and ``practice``
    (numbers of answers), ``people`` (name → answers) and ``left_out`` (clip → why).
    """
    answers, clips = study.answers(), study.clips()
    counted = [answer for answer in answers if not answer.training]
    return {
        **study.about,
        "clips": sum(clip.file is not None and not clip.training for clip in clips),
        "questions": sum(not shown[0].training for shown in study.questions().values()),
        "answers": len(counted),
        "practice": len(answers) - len(counted),
        "people": dict(Counter(answer.person for answer in counted)),
        "left_out": {clip.name: clip.reason for clip in clips if clip.reason},
    }
