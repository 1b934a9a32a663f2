"""Several raters as one: their mean, how far they disagree, and scores that doubt lowers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters._loop import sample_key
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.shared import Shared
from avreward.raters.wrappers.base import WrapperRater

Value = Literal["mean", "lower", "worst"]


@dataclass(frozen=True)
class MemberSamples(Sample):
    """One clip, decoded as each member wants it: `sample_key` of the member → sample."""

    members: Mapping[Hashable, Sample] = field(default_factory=dict)


class EnsembleRater(WrapperRater):
    """Asks several raters that share dimensions; `Scores.sigma` is the sample standard deviation of what they say.

    Members are raters of any kind: checkpoints, `avreward.raters.zero_shot._phrasings.phrasings` of a question,
    `avreward.raters.wrappers.adapters.adapted` ones on one base, `avreward.raters.wrappers.dropout.dropout_passes`, or
    a mixture. The dimensions are those that all have. A score that one member lacks is missing, with the reason: a
    mean over fewer members would be on another scale, and look more certain than it is. Gradients reach the clip
    through every member that has them, also from sigma.

    What members have in common is done once: raters on one backbone decode and encode a clip together.

    Args:
        raters: at least two, which have the same range and direction on the dimensions that they share. Where they
            don't, calibrate them first (`avreward.raters.wrappers._calibrated`).
        value: the score: ``"mean"``, μ; ``"lower"``, the lower confidence bound μ − kσ (μ + kσ where lower is better);
            ``"worst"``, that of the strictest member. The last two make it hard to gain from what one member alone
            likes, and may leave the dimension's range.
        k: of the bound.
        dimensions: which of the shared dimensions to keep (*optional*, all).
        name: as used in expressions.

    Raises `AvrewardError` for less than two raters, the same one twice, none or no such dimension in common, other
    ranges, and for a bound or the worst of a dimension of which neither end is better.

    >>> rater = EnsembleRater([load_rater("checkpoints/a"), load_rater("checkpoints/b")], value="lower", k=2.0)
    >>> scores = rater([Clip.open("dub1.mp4")])
    >>> scores["audio_quality"].shape, scores.sigma[:, scores.column("audio_quality")].shape
    (torch.Size([1]), torch.Size([1]))
    """

    def __init__(
        self,
        raters: Sequence[Rater],
        value: Value = "mean",
        k: float = 1.0,
        *,
        dimensions: Sequence[str] | None = None,
        name: str = "ensemble",
    ) -> None:
        if value not in get_args(Value):
            raise AvrewardError(f"value: {value!r} isn't known; use one of {', '.join(get_args(Value))}")
        if not (math.isfinite(k) and k >= 0):
            raise AvrewardError(f"k: {k} isn't a bound's width; use a finite number from 0 up, such as 1")
        if len(raters) < 2:
            raise AvrewardError(f"raters: {len(raters)} make no ensemble; give two or more")
        _check_different(raters)
        if dimensions is not None and not len(dimensions):
            raise AvrewardError("dimensions: names none, so there is nothing to judge; leave it out to keep all")
        super().__init__(raters, name)
        self.value, self.k = value, float(k)
        self._wanted = None if dimensions is None else list(dimensions)
        self.dimensions = _shared(self.raters, dimensions)
        aimless = [d.name for d in self.dimensions if d.higher_is_better is None]
        if aimless and value != "mean":
            problem = f"neither end of {', '.join(aimless)} is better, so there is no {value} value"
            raise AvrewardError(f"{name}: {problem}; leave them out by dimensions=[…], or use value='mean'")
        self.module = super().module  # one list, made once

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Names the members, and what is made of their scores."""
        made = f"{self.value} {self.k if self.value == 'lower' else ''} {[d.name for d in self.dimensions]}"
        text = "\n".join([made, *(rater.fingerprint for rater in self.raters)])
        return f"ensemble:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]  # those of the members may come later
        """Under ``ensemble`` the sources and names of the members, beside them what is made of their scores.

        `None` where a member has none: a file can't name it.
        """
        sources = [rater.source for rater in self.raters]
        if any(source is None for source in sources):
            return None
        members = [{**(source or {}), "name": rater.name} for source, rater in zip(sources, self.raters, strict=True)]
        k = self.k if self.value == "lower" else None
        options = {"value": self.value, "k": k, "dimensions": self._wanted}
        return {"ensemble": members} | {key: value for key, value in options.items() if value is not None}

    @property
    def settings(self) -> Mapping[str, str]:
        """What is made of the members' scores, and how each looks at clips."""
        value = f"lower, k = {self.k:g}" if self.value == "lower" else self.value
        own = {"members": ", ".join(rater.name for rater in self.raters), "value": value}
        return own | {f"{rater.name}: {label}": text for rater in self.raters for label, text in rater.settings.items()}

    @property
    def decoding(self) -> Hashable:
        """Its own: samples of this ensemble hold what its members decoded."""
        return self.fingerprint

    def load(self, clip: Clip, work: Work | None = None) -> MemberSamples:
        """Decode as each member does, once for those that decode the same tracks alike."""
        work = work or Work()
        each = {sample_key(rater): rater for rater in self.raters}
        members = {key: rater.load(clip, _work(work, rater.decoding)) for key, rater in each.items()}
        missing = {track: why for sample in members.values() for track, why in sample.missing.items()}
        tracks: dict[str, Any] = {
            track: {key: sample.tracks[track] for key, sample in members.items() if track in sample.tracks}
            for track in self.tracks
            if track not in missing
        }
        failures = dict.fromkeys(sample.failure for sample in members.values() if sample.failure is not None)
        return MemberSamples(clip, tracks, missing, "; ".join(failures) or None, members)

    def load_track(self, clip: Clip, track: Track) -> Mapping[Hashable, Any]:
        """Decode one track as each member does: `sample_key` of the member → decoded track."""
        return {sample_key(rater): rater.load_track(clip, track) for rater in self.raters if track in rater.tracks}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        work = work or Work()
        parts = []
        for rater in self.raters:
            own = [sample.members[sample_key(rater)] for sample in samples if isinstance(sample, MemberSamples)]
            if len(own) != len(samples):
                raise TypeError("samples: not all were made by this rater's load; pass what it returns")
            parts.append(rater.rate(own, _work(work, rater.decoding)))
        return self.combined(parts)

    def combined(self, parts: Sequence[Scores]) -> Scores:
        """Return the ensemble's scores from the members' of the same clips, in their order."""
        columns = [[part.column(d.name) for d in self.dimensions] for part in parts]
        like = parts[0].values
        table = torch.stack([p.values[:, own].to(like) for p, own in zip(parts, columns, strict=True)])
        there = torch.stack([p.present[:, own].to(like.device) for p, own in zip(parts, columns, strict=True)])
        present = there.all(0)  # (clips, dimensions)
        # Only what all have is computed: a NaN would reach the gradients of the members that have a score.
        given = table[:, present]  # (members, present entries)
        higher = torch.tensor([d.higher_is_better is not False for d in self.dimensions], device=like.device)
        sigma = _deviation(given)
        values = self._value(given, sigma, higher.expand_as(present)[present])
        empty = like.detach().new_full(present.shape, math.nan)
        return Scores(
            empty.index_put((present,), values),
            present,
            [self._reasons(parts, clip) for clip in range(len(parts[0]))],
            self.dimensions,
            [self._basis(parts, clip) for clip in range(len(parts[0]))],
            empty.index_put((present,), sigma),
        )

    def _value(self, given: Tensor, sigma: Tensor, higher: Tensor) -> Tensor:
        if self.value == "worst":
            return torch.where(higher, given.amin(0), given.amax(0))
        mean = given.mean(0)
        if self.value == "mean":
            return mean
        return mean - self.k * torch.where(higher, sigma, -sigma)

    def _reasons(self, parts: Sequence[Scores], clip: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for dimension in self.dimensions:
            lacking: dict[str, list[str]] = {}  # reason → members
            for rater, part in zip(self.raters, parts, strict=True):
                if not part.present[clip, part.column(dimension.name)]:
                    why = part.reasons[clip].get(dimension.name, "the rater gave no reason")
                    lacking.setdefault(why, []).append(rater.name)
            if lacking:
                all_of_them = len(lacking) == 1 and sum(map(len, lacking.values())) == len(parts)
                named = (f"{', '.join(names)}: {why}" for why, names in lacking.items())
                found[dimension.name] = next(iter(lacking)) if all_of_them else "; ".join(named)
        return found

    def _basis(self, parts: Sequence[Scores], clip: int) -> dict[str, tuple[str, ...]]:
        """What fused dimensions were made of: by any of the members."""
        found: dict[str, dict[str, None]] = {}
        for part in parts:
            for name, made_of in part.basis[clip].items():
                found.setdefault(name, {}).update(dict.fromkeys(made_of))
        names = {dimension.name for dimension in self.dimensions}
        return {name: tuple(made_of) for name, made_of in found.items() if name in names}


def _check_different(raters: Sequence[Rater]) -> None:
    """Return a rater agrees with itself: the ensemble would look more certain than it is."""
    for i, rater in enumerate(raters):
        for other in raters[:i]:
            if rater is other or (rater.source is not None and rater.source == other.source):
                raise AvrewardError(f"raters: {rater.name} is among them twice; give each member once")


def _work(work: Work, decoding: Hashable) -> Work:
    """What members that decode and encode alike share within `work`; another member's keys would mean other things."""
    return work.results.get(("members", decoding), lambda: Work(loaded=Shared(work.loaded.size)))


def _deviation(given: Tensor) -> Tensor:
    """Return the sample standard deviation over the first axis; where it is 0, its gradient is 0 as well."""
    variance = (given - given.mean(0)).square().sum(0) / (len(given) - 1)
    same = variance == 0  # the root's slope would be infinite there
    return torch.where(same, 0.0, torch.where(same, 1.0, variance).sqrt())


def _shared(raters: Sequence[Rater], wanted: Sequence[str] | None) -> tuple[Dimension, ...]:
    """Return the dimensions that all have, in the first one's order."""
    each = [{d.name: d for d in rater.dimensions} for rater in raters]
    common = [name for name in each[0] if all(name in own for own in each)]
    if not common:
        told = "; ".join(f"{rater.name}: {', '.join(own)}" for rater, own in zip(raters, each, strict=True))
        raise AvrewardError(f"raters: no dimension is common to all ({told}); give raters that judge the same")
    unknown = [name for name in wanted or () if name not in common]
    if unknown:
        raise AvrewardError(f"dimensions: not all raters have {unknown[0]!r}; there are {', '.join(common)}")
    kept = common if wanted is None else [name for name in common if name in wanted]
    return tuple(_merged([own[name] for own in each], raters) for name in kept)


def _merged(same: Sequence[Dimension], raters: Sequence[Rater]) -> Dimension:
    first = same[0]
    for dimension, rater in zip(same, raters, strict=True):
        for what in ("low", "high", "unit", "higher_is_better"):
            one, other = getattr(first, what), getattr(dimension, what)
            if one != other:
                problem = f"{what} is {one!r} for {raters[0].name} and {other!r} for {rater.name}"
                raise AvrewardError(f"{first.name}: {problem}, so a mean says nothing; calibrate both, or leave it out")
    return replace(
        first,
        needs=frozenset().union(*(d.needs for d in same)),
        calibrated=all(d.calibrated for d in same),
        detail=all(d.detail for d in same),
        streams=frozenset(first.streams).intersection(*(d.streams for d in same)),
    )
