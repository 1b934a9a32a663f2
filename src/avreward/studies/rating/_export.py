"""What people answered in a study, as tables: ratings, comparisons, mean opinion scores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.datasets.subjective.opinion_scores import Method, mean_opinion_scores
from avreward.datasets.subjective.ratings import Ratings
from avreward.errors import AvrewardError
from avreward.studies._rows import write_rows
from avreward.studies.rating._pairing import USUAL
from avreward.studies.rating._tasks import BEST, FIRST, SECOND, RatingAnswer
from avreward.studies.rating.dimensions import HIGH, LOW
from avreward.studies.rating.study import RatingStudy

if TYPE_CHECKING:
    import pandas

ABOUT = ("group", "prompt", "system")  # of a clip


def ratings_table(study: RatingStudy) -> pandas.DataFrame:
    """Return a row a rating, in the order of time, as `avreward.datasets.read_ratings` reads it.

    The columns are ``clip``, ``group``, ``prompt``, ``system``, ``person``, one a dimension, ``seconds`` (that the
    answer took), ``changed`` (how often) and ``at`` (the time, UTC). Answers for practice are left out.

    Raises:
        AvrewardError: if people compared clips in this study.
    """
    import pandas

    if not _on_sliders(study):
        raise AvrewardError(f"{study.folder}: expected a study with sliders, got comparisons; export those")
    names, about = [one.name for one in study.dimensions], _about(study)
    rows = [
        (clip, *about[clip], answer.person, *(scores[name] for name in names), *_when(answer))
        for answer in _counted(study)
        for clip, scores in answer.answer.items()
    ]
    return pandas.DataFrame(rows, columns=["clip", *ABOUT, "person", *names, "seconds", "changed", "at"])


def comparisons_table(study: RatingStudy) -> pandas.DataFrame:
    """Return a row a comparison, in the order of time, as a pair table.

    The columns are ``group``, ``prompt``, ``first`` and ``second`` (in the order shown), one a dimension with first,
    second or tie, ``person``, ``seconds``, ``changed`` and ``at``. Where the best of several soundtracks was chosen, it
    is compared with every other one, in the column ``overall``; who can't tell which is best compares none.

    Raises:
        AvrewardError: if people rated on sliders in this study.
    """
    import pandas

    if _on_sliders(study):
        raise AvrewardError(f"{study.folder}: expected a study with comparisons, got sliders; export ratings")
    names, about = [one.name for one in study.dimensions] or [USUAL], _about(study)
    rows = []
    for answer in _counted(study):
        for first, second, votes in _votes(answer):
            group, prompt, _ = about[first]
            rows.append((group, prompt, first, second, *(votes[name] for name in names), answer.person, *_when(answer)))
    columns = ["group", "prompt", "first", "second", *names, "person", "seconds", "changed", "at"]
    return pandas.DataFrame(rows, columns=columns)


def opinions_table(study: RatingStudy, method: Method = "mean") -> pandas.DataFrame:
    """Return a row a clip with its mean opinion scores, see `avreward.datasets.mean_opinion_scores`.

    The columns are ``clip``, ``group``, ``prompt``, ``system``, and for each dimension its name, ``NAME_low`` and
    ``NAME_high`` (a 95 % interval) and ``NAME_ratings``.

    Args:
        study: with sliders.
        method: ``"mean"``, ``"z_score"``, ``"bias_removed"`` or ``"p910"``.

    Raises:
        ArgumentError: for an unknown method, or with fewer than two people.
        AvrewardError: if people compared clips in this study.
    """
    import pandas

    found, about = ratings_table(study), _about(study)
    clips = [name for name in about if name in set(found["clip"])]
    table = pandas.DataFrame([(name, *about[name]) for name in clips], columns=["clip", *ABOUT])
    for one in study.dimensions:
        ratings = Ratings.from_rows(
            list(found["clip"]), list(found["person"]), list(found[one.name]), low=LOW, high=HIGH
        )
        scores = mean_opinion_scores(ratings, method).to_frame()
        own = {"mos": one.name} | {name: f"{one.name}_{name}" for name in ("low", "high", "ratings")}
        table = table.merge(scores.rename(columns=own), on="clip", how="left")
    return table


def export_study(study: RatingStudy, path: str | PathLike[str]) -> Path:
    """Write `ratings_table` or `comparisons_table`, whichever the study has; see `export_answers` for the formats."""
    return write_rows(ratings_table(study) if _on_sliders(study) else comparisons_table(study), path)


def export_opinions(study: RatingStudy, path: str | PathLike[str], method: Method = "mean") -> Path:
    """Write `opinions_table`; see `export_answers` for the formats."""
    return write_rows(opinions_table(study, method), path)


def _on_sliders(study: RatingStudy) -> bool:
    return study.mode == "scores" or (study.mode == "soundtracks" and bool(study.dimensions))


def _about(study: RatingStudy) -> dict[str, tuple[str, str, str]]:
    return {clip.name: (clip.group, clip.prompt, clip.system) for clip in study.clips()}


def _counted(study: RatingStudy) -> list[RatingAnswer]:
    return [answer for answer in study.answers() if not answer.training]


def _votes(answer: RatingAnswer) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if BEST not in answer.answer:
        first, second = answer.clips
        yield first, second, dict(answer.answer)
        return
    best = answer.answer[BEST]
    for other in answer.clips if best is not None else ():
        if other != best:
            before = answer.clips.index(best) < answer.clips.index(other)
            yield (best, other, {USUAL: FIRST}) if before else (other, best, {USUAL: SECOND})


def _when(answer: RatingAnswer) -> tuple[float | None, int, str]:
    return answer.seconds, answer.changed, datetime.fromtimestamp(answer.at, UTC).isoformat(timespec="seconds")
