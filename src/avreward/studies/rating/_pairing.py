"""Which pair of clips a person compares next, from everybody's votes so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from avreward.studies.rating._tasks import FIRST, SECOND, RatedClip, RatingAnswer, pair_name
from avreward.studies.rating.adaptive import KnownOrder, known_order
from avreward.studies.rating.dimensions import RatedDimension

USUAL = "overall"
KEPT = 4096  # orders of groups
OUTCOMES = {FIRST: 1.0, SECOND: 0.0}  # anything else is a tie

Vote = tuple[str, str, float]


def known_orders(
    questions: Mapping[str, Sequence[RatedClip]],
    answers: Iterable[RatingAnswer],
    dimensions: Sequence[RatedDimension],
    dimension: str | None = None,
) -> dict[str, KnownOrder]:
    """Return what the votes say about the order of the clips in each group.

    Args:
        questions: name → the two clips.
        answers: everybody's, also for practice, which don't count.
        dimensions: that are compared.
        dimension: the one that counts. Default: ``overall``, or the first.
    """
    names = [one.name for one in dimensions]
    counted = dimension or (USUAL if USUAL in names else names[0])
    items: dict[str, dict[str, None]] = {}
    votes: dict[str, list[Vote]] = {}
    for clips in questions.values():
        if not clips[0].training:
            items.setdefault(clips[0].group, {}).update(dict.fromkeys(clip.name for clip in clips))
    for answer in answers:
        clips = questions.get(answer.question, ())
        if clips and not answer.training:
            vote = (*answer.clips, OUTCOMES.get(answer.answer[counted], 0.5))
            votes.setdefault(clips[0].group, []).append(vote)  # type: ignore[arg-type]
    return {group: _order(tuple(found), tuple(sorted(votes.get(group, ())))) for group, found in items.items()}


@lru_cache(KEPT)
def _order(items: tuple[str, ...], votes: tuple[Vote, ...]) -> KnownOrder:
    first, second, outcome = zip(*votes, strict=True) if votes else ((), (), ())
    return known_order(items, first, second, outcome)


def order_share(orders: Mapping[str, KnownOrder]) -> float:
    """Return the share of neighbours, over all groups, of which it is known how they differ."""
    settled = [one for order in orders.values() for one in order.settled()]
    return sum(settled) / max(1, len(settled))


def most_telling(orders: Mapping[str, KnownOrder], left: Sequence[str], watched: Mapping[str, int]) -> str | None:
    """Return the question that tells most; `None` where none tells anything any more.

    Args:
        orders: of each group.
        left: questions that the person was not asked yet.
        watched: question → how many others look at it now; their votes will tell the same.
    """
    worth = {
        pair_name(str(order.items[one]), str(order.items[other])): value
        for order in orders.values()
        for (one, other), value in order.worth_asking().items()
    }
    asked = [name for name in left if name in worth]
    return max(asked, key=lambda name: worth[name] / (1 + watched.get(name, 0)), default=None)
