"""How much a candidate agrees with the others of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.preferences.group_rewards import GroupReward, _comparable, _filled
from avreward.raters.base import Rater
from avreward.rewards.results import Rewards

Features = Callable[[Sequence[Clip]], Tensor]


class Consensus(GroupReward):
    """How much a candidate is like the others: the mean cosine of its features with theirs, from −1 to 1.

    A candidate that shares what most of the group has gets much; one that stands out, for better or worse, gets little.
    This is minimum Bayes risk decoding (Kumar and Byrne, 2004; Eikema and Aziz, 2020) with a cosine as the gain.

    Args:
        features: an embedding rater (CLAP, CLIP, SigLIP, PE-AV), ``"aisfx"``, ``"efficientnet_lite0"``, or a name for
            `load_rater`; or a function from clips to (clips, width) such as `AigvAssessorRater.features`. A clip whose
            row has a NaN is left out.

    Raises:
        ArgumentError: for a rater without vectors.

    Example:
        >>> def loudness(clips):
        ...     return torch.stack([clip.sound().square().mean().sqrt().log().reshape(1) for clip in clips])
        >>> Consensus(loudness)(clips).shape
        torch.Size([3])
    """

    def __init__(self, features: str | Rater | Features) -> None:
        from avreward.raters.listener._encoders import encoder_of, feature_names, is_vector  # may need an extra

        self.rater = encoder_of(features) if isinstance(features, str | Rater) else None
        self.function = None if isinstance(features, str | Rater) else features
        self._names = [] if self.rater is None else [name for name in feature_names(self.rater) if is_vector(name)]
        if self.rater is not None and not self._names:
            got = Described(f"{self.rater.name}, which gives scores")
            remedy = "pass CLAP, CLIP, SigLIP, PE-AV, aisfx, efficientnet_lite0 or a function"
            raise ArgumentError("features", "a rater that gives vectors, or a function", got, remedy)

    def compare(self, candidates: Sequence[Clip], batch_size: int | None = None) -> Rewards:
        """Return the mean cosines of the candidates that have features."""
        found, why = self._features(candidates, batch_size)
        rows, reasons = _comparable(why)
        points = normalize(found[rows.to(found.device)], dim=-1)
        cosines = points @ points.T
        others = max(1, len(rows) - 1)
        means = (cosines.sum(dim=1) - cosines.diagonal()) / others
        nothing = Rewards(means, rows, [], {}, [() for _ in candidates], {})
        return _filled(means, rows, reasons, nothing)

    def _features(self, candidates: Sequence[Clip], batch_size: int | None) -> tuple[Tensor, list[str | None]]:
        """Return (candidates, width), and why a row is none."""
        if self.rater is None:
            assert self.function is not None
            step = batch_size or len(candidates)
            starts = range(0, len(candidates), step)
            found = torch.cat([self.function(candidates[start : start + step]) for start in starts])
            if found.ndim != 2 or len(found) != len(candidates):
                expected = f"a function that returns ({len(candidates)}, width) for {len(candidates)} clips"
                raise ArgumentError("features", expected, found)
            finite = found.detach().isfinite().all(1).tolist()
            return found, [None if good else "its features are not finite" for good in finite]
        scores = self.rater(candidates, batch_size)
        columns = [scores.column(name) for name in self._names]
        present = scores.present[:, columns]
        some = present.any(0)  # a side that no candidate has, as the video of sounds, says nothing of any
        reasons: list[str | None] = []
        for row, own in zip(scores.reasons, present[:, some].all(1).tolist(), strict=True):
            known = [row[name] for name in self._names if name in row]
            reasons.append(None if own and bool(some.any()) else known[0] if known else "it has no features")
        kept = [column for column, used in zip(columns, some.tolist(), strict=True) if used]
        return scores.values[:, kept], reasons

    def __repr__(self) -> str:
        return f"Consensus({self.function if self.rater is None else self.rater.name!r})"
