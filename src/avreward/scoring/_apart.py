"""Rate files in the processes that decode them: threads that rate wait for Python's interpreter lock."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from avreward.clip import Clip
from avreward.errors import AvrewardError, describe
from avreward.media._isolated.messages import Message
from avreward.media._isolated.work import out_of_memory
from avreward.media._isolated.workers import Job, active
from avreward.raters._loop import Rated, rate
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.raters.shared import SharedWork
from avreward.scoring.store._files import index_of

_FLOATS = {str(kind): kind for kind in (torch.float32, torch.float64)}


class RatersApart:
    """Raters of which copies can rate in the processes that decode.

    Args:
        raters: see `Rater.travels`.
    """

    def __init__(self, raters: Sequence[Rater]) -> None:
        self.raters = tuple(raters)
        self.job = _job(self.raters)

    def rate(self, clip: Clip, which: Sequence[int]) -> list[Rated] | None:
        """Return the scores of a file by the raters `which`; `None` where it has to be rated here.

        That is where no process of its own decodes, a rater can't be copied, or the clip is not a file as it is.

        Raises:
            MediaError: if the process ended.
            AvrewardError: if it failed.
        """
        pool, index = active(), index_of(clip)
        usual = torch.get_default_dtype() == torch.float32  # as it is there
        if pool is None or self.job is None or index is None or not usual:
            return None

        def read(answer: Message) -> list[Rated]:
            return [_unpacked(self.raters[i], packed) for i, packed in zip(which, answer.content, strict=True)]

        return pool.ask_once(index.stamp, self.job, clip, list(which), read=read)


def rating(raters: Sequence[Rater]) -> Callable[[Clip, Sequence[int]], Iterator[Message]]:
    """Return what a worker answers: the scores of a clip by some of `raters`."""
    work = SharedWork()

    def answer(clip: Clip, which: Sequence[int]) -> Iterator[Message]:
        with torch.no_grad():
            rated = rate([raters[i] for i in which], [clip], 1, work, strict=False)
        for error in (error for one in rated for error in one.errors.values()):
            if out_of_memory(error):
                raise MemoryError
        yield Message("value", [_packed(one) for one in rated])

    return answer


def _job(raters: Sequence[Rater]) -> Job | None:
    if not all(r.travels and r.per_clip and r.module is None and _of_package(r) for r in raters):
        return None
    try:
        return Job(__name__, rating.__name__, list(raters))
    except (pickle.PicklingError, AttributeError, TypeError):  # changed by hand
        return None


def _of_package(rater: Rater) -> bool:
    """Return whether it and those inside are classes of this package: another process can't import a script's."""
    ours = type(rater).__module__.partition(".")[0] == __name__.partition(".")[0]
    return ours and all(map(_of_package, getattr(rater, "raters", ())))


def _packed(rated: Rated) -> tuple[Any, ...]:
    """Return the scores of one clip in classes that a process may take from another that decodes."""
    scores = rated.scores
    values, sigma = (None if one is None else one.tolist() for one in (scores.values, scores.sigma))
    about = str(scores.values.dtype), values, scores.present.tolist(), scores.reasons, scores.basis, sigma
    return *about, dict(rated.failures), {i: describe(error) for i, error in rated.errors.items()}


def _unpacked(rater: Rater, packed: Sequence[Any]) -> Rated:
    kind, values, present, reasons, basis, sigma, failures, errors = packed
    table = partial(torch.tensor, dtype=_FLOATS[kind], device="cpu")
    there = torch.tensor(present, dtype=torch.bool, device="cpu")
    found = Scores(
        table(values), there, reasons, rater.dimensions, basis, None if sigma is None else table(sigma)
    )  # fmt: skip
    if len(reasons) != 1 or not found.values.shape == there.shape == (1, len(rater.dimensions)):
        raise ValueError("scores of another shape")
    return Rated(found, failures, {i: AvrewardError(f"{rater.name}: {why}") for i, why in errors.items()})
