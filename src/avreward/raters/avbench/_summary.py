"""Summaries of many clips as AVBench reports them: mean, spread and share per dimension; there is no total."""

from __future__ import annotations

from dataclasses import dataclass

from avreward.raters.scores import Scores

_HALF = 0.5


@dataclass(frozen=True)
class DimensionSummary:
    """One dimension over many clips; clips without a score are left out and counted in `missing`.

    Attributes:
        mean: of the scores, NaN where no clip has one.
        std: population standard deviation of the scores.
        low: smallest score.
        high: largest score.
        clips: how many have a score.
        missing: how many have none.
        above_half: how many have 0.5 or more, for probabilities; `None` for other scores.
        share: `above_half` over `clips`; `None` for other scores.
    """

    mean: float
    std: float
    low: float
    high: float
    clips: int
    missing: int
    above_half: int | None
    share: float | None


def summarize_avbench(scores: Scores) -> dict[str, DimensionSummary]:
    """Return dimension → what AVBench reports of it over the clips of `scores`.

    AVBench counts a failed clip as 0 in `audio_video`, `video_text`, `audio_text` and `speech_content`, and leaves it
    out elsewhere; here it is left out everywhere. Dimensions from 0 to 1 are probabilities.

    Example:
        >>> from tiny.avbench_video import tiny_aesthetic
        >>> summarize_avbench(tiny_aesthetic()([clip]))["video_aesthetic"].clips
        1
    """
    found = {}
    for column, dimension in enumerate(scores.dimensions):
        there = scores.present[:, column]
        values = scores.values.detach()[there, column].double()
        count, probability = len(values), (dimension.low, dimension.high) == (0, 1)
        above = int((values >= _HALF).sum()) if probability else None
        found[dimension.name] = DimensionSummary(
            mean=float(values.mean()),
            std=float(values.std(correction=0)) if count else float("nan"),
            low=float(values.min()) if count else float("nan"),
            high=float(values.max()) if count else float("nan"),
            clips=count,
            missing=len(there) - count,
            above_half=above,
            share=above / count if above is not None and count else None,
        )
    return found
