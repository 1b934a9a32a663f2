"""What a study holds, as plain values for JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from avreward.studies.rating._tasks import BEST
from avreward.studies.rating.adaptive import KnownOrder
from avreward.studies.rating.study import RatingStudy


def summarize_study(study: RatingStudy) -> dict[str, Any]:
    """Return what a study holds, as plain values for JSON.

    The keys are those of `RatingStudy.about`, ``clips`` (that are rated), ``questions``, ``answers`` and ``practice``
    (numbers of answers), ``people`` (name → answers) and ``left_out`` (clip → why). Of pairs also ``orders``: group →
    ``clips`` (best first, with strength and the ends of its 95 % interval) and ``settled``, the share of neighbours of
    which it is known how they differ. Of soundtracks of which the best was chosen also ``undecided``, how often people
    could not tell.
    """
    answers, clips = study.answers(), study.clips()
    counted = [answer for answer in answers if not answer.training]
    found = {
        **study.about,
        "clips": sum(clip.file is not None and not clip.training for clip in clips),
        "questions": sum(not shown[0].training for shown in study.questions().values()),
        "answers": len(counted),
        "practice": len(answers) - len(counted),
        "people": dict(Counter(answer.person for answer in counted)),
        "left_out": {clip.name: clip.reason for clip in clips if clip.reason},
    }
    if study.mode == "pairs":
        found["orders"] = {group: _plain_order(order) for group, order in study.orders().items()}
    elif study.mode == "soundtracks" and not study.dimensions:
        found["undecided"] = sum(answer.answer[BEST] is None for answer in counted)
    return found


def _plain_order(order: KnownOrder) -> dict[str, Any]:
    low, high = order.interval()
    told = zip(order.items, order.values.tolist(), low.tolist(), high.tolist(), strict=True)
    found = {item: {"clip": item, "strength": value, "low": a, "high": b} for item, value, a, b in told}
    return {"clips": [found[item] for item in order.order], "settled": order.share}
