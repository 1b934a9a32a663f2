"""How often people prefer what a rater picked, and how sure that is when answers share a video or a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avreward.evaluation.intervals import wilson

ROUNDING = 1e-9  # of a variance
DISTINCT = 1.5  # times the rest: a mean square under it may well be noise, and doesn't make the interval wider by t


@dataclass(frozen=True)
class Answer:
    """One person's answer to one question.

    Attributes:
        video: what the two clips have in common.
        person: who answered.
        agrees: whether the picked clip was preferred; `None` for "can't tell".
        category: of the video, or empty.
    """

    video: str
    person: str
    agrees: bool | None
    category: str = ""


@dataclass(frozen=True)
class Agreement:
    """What a set of answers says.

    Attributes:
        share: of the answers that decide, those that prefer the picked clip; `None` where none decides.
        low, high: its 95 % interval, see `clustered`.
        method: what the interval is clustered by: ``"video and person"``, ``"video"``, ``"person"``, ``"nothing"``.
        answers: how many decide.
        undecided: how many "can't tell"; they count in nothing else.
        videos, people: how many there are among the answers that decide.
        won, lost, tied: videos whose majority prefers the picked clip, the other one, neither.
    """

    share: float | None
    low: float
    high: float
    method: str
    answers: int
    undecided: int
    videos: int
    people: int
    won: int
    lost: int
    tied: int

    @property
    def by_video(self) -> float | None:
        """Videos won, of those won or lost."""
        return self.won / (self.won + self.lost) if self.won + self.lost else None

    @property
    def by_video_interval(self) -> tuple[float, float]:
        """The Wilson interval of `by_video`: other videos, the same people."""
        return wilson(self.won, self.won + self.lost)


def agreement(answers: Iterable[Answer]) -> Agreement:
    """Sum up answers.

    >>> votes = [Answer(f"video {v}", f"person {p}", (v + p) % 5 != 0) for v in range(20) for p in range(10)]
    >>> found = agreement([*votes, Answer("video 0", "late", None)])
    >>> found.share, found.answers, found.undecided, found.method
    (0.8, 200, 1, 'video and person')
    >>> f"{found.low:.2f} to {found.high:.2f}", (found.won, found.lost, found.tied)
    ('0.73 to 0.85', (20, 0, 0))
    """
    given = list(answers)
    decided = [a for a in given if a.agrees is not None]
    agrees = [bool(a.agrees) for a in decided]
    low, high, method = clustered(agrees, [a.video for a in decided], [a.person for a in decided])
    margins: dict[str, int] = defaultdict(int)
    for a in decided:
        margins[a.video] += 1 if a.agrees else -1
    majorities = Counter((margin > 0) - (margin < 0) for margin in margins.values())
    return Agreement(
        share=sum(agrees) / len(agrees) if agrees else None,
        low=low,
        high=high,
        method=method,
        answers=len(decided),
        undecided=len(given) - len(decided),
        videos=len(margins),
        people=len({a.person for a in decided}),
        won=majorities[1],
        lost=majorities[-1],
        tied=majorities[0],
    )


def by_category(answers: Iterable[Answer]) -> dict[str, Agreement]:
    """Return an `Agreement` for each category, in the order of the alphabet; videos without one are under ``""``."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.category].append(answer)
    return {category: agreement(groups[category]) for category in sorted(groups)}


def clustered(
    agrees: Sequence[bool], videos: Sequence[Hashable], people: Sequence[Hashable]
) -> tuple[float, float, str]:
    """Return the 95 % interval (low, high) of a share of clustered answers, and what they are clustered by.

    It holds for other videos and other people of the same kind. The answers' variance is split into that of videos,
    of people, and the rest, by the method of moments for unequal numbers of answers (Henderson, "Estimation of variance
    and covariance components", Biometrics 9, 1953, method 1), which gives the variance of the share. A Wilson interval
    is then drawn for the number of independent answers that would be as sure, with Student's t for the degrees of
    freedom after Satterthwaite (1946), since ten people are few: those of videos or people where their mean square
    is more than 1.5 times the rest's, a bound chosen by simulation. Where all answers are equal, nothing can be split:
    then only so many count as independent as there are videos, or people if those are fewer.

    One answer a video, or one person, can't tell two of the parts from each other: the interval is then clustered by
    the other. With one person it says nothing about other people.

    `benchmarks/agreement_coverage.py` shows how often the interval holds the truth.
    """
    y = np.asarray(agrees, dtype=float)
    if not len(y):
        return 0.0, 1.0, "nothing"
    video, person = _numbered(videos), _numbered(people)
    many = _many(video), _many(person)
    repeats = bool(len(np.unique(video)) < len(y)), bool(len(np.unique(person)) < len(y))
    share = float(y.mean())
    if not any(many):
        return 0.0, 1.0, "nothing"
    if not all(many) or not all(repeats):
        # The coarser of the two, where answers of one video or of one person are all there is of them.
        chosen, name = (video, "video") if many[0] and (not many[1] or not repeats[1]) else (person, "person")
        variance, freedom = _one_way(y, chosen)
        return *_wilson(share, variance, freedom, len(np.unique(chosen))), name
    variance, freedom = _two_way(y, video, person)
    fewest = min(len(np.unique(video)), len(np.unique(person)))
    return *_wilson(share, variance, freedom, fewest), "video and person"


def _wilson(share: float, variance: float, freedom: float, clusters: int) -> tuple[float, float]:
    from scipy.stats import t

    if variance <= 0:  # all answers are equal
        effective, freedom = float(clusters), clusters - 1
    else:
        effective = share * (1 - share) / variance
    return wilson(share * effective, effective, float(t.ppf(0.975, freedom)))


def _one_way(y: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """Variance of the mean, from the sums of clusters, and its degrees of freedom."""
    sums = np.bincount(cluster, y - y.mean())
    count = len(sums)
    return count / (count - 1) * float((sums**2).sum()) / len(y) ** 2, count - 1


def _two_way(y: np.ndarray, video: np.ndarray, person: np.ndarray) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom."""
    total, cells = len(y), _numbered(list(zip(video.tolist(), person.tolist(), strict=True)))
    of_video, of_person, of_cell = np.bincount(video), np.bincount(person), np.bincount(cells)
    first = np.unique(cells, return_index=True)[1]
    squares = of_cell.astype(float) ** 2
    mixed = (squares / of_video[video[first]]).sum(), (squares / of_person[person[first]]).sum()
    share_video, share_person = (of_video**2).sum() / total, (of_person**2).sum() / total
    # Rows: sums of squares of answers, of means of videos, of people, and of the mean; columns: what they are expected
    # to hold of the squared mean, the variance of videos, that of people, and the rest.
    expected = np.array(
        [
            [total, total, total, total],
            [total, total, mixed[0], len(of_video)],
            [total, mixed[1], total, len(of_person)],
            [total, share_video, share_person, 1],
        ]
    )
    squared = [
        (y**2).sum(),
        (np.bincount(video, y) ** 2 / of_video).sum(),
        (np.bincount(person, y) ** 2 / of_person).sum(),
        y.sum() ** 2 / total,
    ]
    _, videos, people, rest = np.linalg.lstsq(expected, np.array(squared), rcond=None)[0]
    # Each mean square as a share of the variance of the mean; a variance below 0 is noise about 0.
    videos, people, rest = (float(part) if part > ROUNDING else 0.0 for part in (videos, people, rest))
    rest = rest / total
    by_video = videos * share_video / total + rest
    by_person = people * share_person / total + rest
    variance = by_video + by_person - rest
    clusters = total / share_video, total / share_person  # as many of equal size
    noise = rest**2 / (total - 1)
    for part, count in ((by_video, clusters[0]), (by_person, clusters[1])):
        noise += part**2 / (count - 1) if part > (1 + ROUNDING) * DISTINCT * rest else 0.0
    return variance, variance**2 / noise if noise > 0 else min(clusters) - 1


def _numbered(labels: Sequence[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=int)


def _many(cluster: np.ndarray) -> bool:
    return bool(cluster.max() > 0)
