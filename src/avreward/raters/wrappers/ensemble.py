"""Ensembles: the mean of several raters, their disagreement, and scores that are lowered by uncertainty."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers._members import (
    MemberSamples,
    failure_of,
    load_member_tracks,
    load_members,
    rate_members,
)
from avreward.raters.wrappers.base import WrapperRater

Value = Literal["mean", "lower", "worst"]


class EnsembleRater(WrapperRater):
    """Combines several raters that share dimensions; `Scores.sigma` is the sample standard deviation of their scores.

    Members are raters of any kind: checkpoints, `avreward.raters.phrasings` of a question, `avreward.raters.adapted`
    ones on one base, `avreward.raters.dropout_passes`, or a mixture. The dimensions are those that all members have. A
    score that one member lacks is missing, with the reason: a mean over fewer members would be on another scale, and
    look more certain than it is. Gradients reach the clip through every differentiable member, also from sigma.

    Common work is done once: raters on one backbone decode and encode a clip together.

    Args:
        raters: at least two, which have the same range and direction on the dimensions that they share. Where they
            do not, calibrate them first (`avreward.raters.calibrated`).
        value: the score: ``"mean"``, μ; ``"lower"``, the lower confidence bound μ − kσ (μ + kσ where lower is better);
            ``"worst"``, the score of the strictest member. The last two give little reward for what a single member
            prefers, and may leave the dimension's range.
        k: width of the bound in units of σ.
        dimensions: which of the shared dimensions to keep (*optional*, all).
        name: as used in expressions.

    Raises:
        ArgumentError: for fewer than two raters, the same one twice, no common dimension, different ranges, or a value
            other than the mean for a dimension of which neither end is better.

    Example:
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
            raise unknown_name("value", value, get_args(Value))
        if not (math.isfinite(k) and k >= 0):
            raise ArgumentError("k", "a finite number of at least 0, such as 1", k)
        if len(raters) < 2:
            raise ArgumentError("raters", "at least two raters", Described(str(len(raters))))
        _check_different(raters)
        if dimensions is not None and not len(dimensions):
            raise ArgumentError("dimensions", "at least one name", dimensions, "leave it out to keep all")
        super().__init__(raters, name)
        self.value, self.k = value, float(k)
        self._wanted = None if dimensions is None else list(dimensions)
        self.dimensions = _shared(self.raters, dimensions)
        aimless = [d.name for d in self.dimensions if d.higher_is_better is None]
        if aimless and value != "mean":
            got = Described(f"{value!r} with {', '.join(aimless)}")
            remedy = "leave them out by dimensions=[…], or use value='mean'"
            raise ArgumentError("value", "'mean' for dimensions of which neither end is better", got, remedy)
        self.module = super().module  # one list, made once

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the members and of how their scores are combined."""
        made = f"{self.value} {self.k if self.value == 'lower' else ''} {[d.name for d in self.dimensions]}"
        text = "\n".join([made, *(rater.fingerprint for rater in self.raters)])
        return f"ensemble:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]  # those of the members may come later
        """Sources and names of the members (under ``ensemble``), and how their scores are combined.

        `None` where a member has none, since a file cannot name it.
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
        """How the members' scores are combined, and the settings of each."""
        value = f"lower, k = {self.k:g}" if self.value == "lower" else self.value
        own = {"members": ", ".join(rater.name for rater in self.raters), "value": value}
        return own | {f"{rater.name}: {label}": text for rater in self.raters for label, text in rater.settings.items()}

    @property
    def decoding(self) -> Hashable:
        """The ensemble's own: its samples hold those of its members."""
        return self.fingerprint

    def load(self, clip: Clip, work: Work | None = None) -> MemberSamples:
        """Decode as each member does, once for those that decode the same tracks alike."""
        members = load_members(self.raters, clip, work or Work())
        missing = {track: why for sample in members.values() for track, why in sample.missing.items()}
        tracks: dict[str, Any] = {
            track: {key: sample.tracks[track] for key, sample in members.items() if track in sample.tracks}
            for track in self.tracks
            if track not in missing
        }
        return MemberSamples(clip, tracks, missing, failure_of(members), members)

    def load_track(self, clip: Clip, track: Track) -> Mapping[Hashable, Any]:
        """Decode one track as each member does: `sample_key` of the member → decoded track."""
        return load_member_tracks(self.raters, clip, track)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        return self.combined(rate_members(self.raters, samples, work or Work()))

    def combined(self, parts: Sequence[Scores]) -> Scores:
        """Return the ensemble's scores from those of the members for the same clips, in their order."""
        columns = [[part.column(d.name) for d in self.dimensions] for part in parts]
        like = parts[0].values
        table = torch.stack([p.values[:, own].to(like) for p, own in zip(parts, columns, strict=True)])
        there = torch.stack([p.present[:, own].to(like.device) for p, own in zip(parts, columns, strict=True)])
        present = there.all(0)  # (clips, dimensions)
        # Only scores that all members have are combined: a NaN would reach the gradients of the others.
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
        """Return the parts of fused dimensions, united over the members."""
        found: dict[str, dict[str, None]] = {}
        for part in parts:
            for name, made_of in part.basis[clip].items():
                found.setdefault(name, {}).update(dict.fromkeys(made_of))
        names = {dimension.name for dimension in self.dimensions}
        return {name: tuple(made_of) for name, made_of in found.items() if name in names}


def _check_different(raters: Sequence[Rater]) -> None:
    """Check that no member is there twice: it agrees with itself, so the ensemble would look too certain."""
    for i, rater in enumerate(raters):
        for other in raters[:i]:
            if rater is other or (rater.source is not None and rater.source == other.source):
                raise ArgumentError("raters", "different raters", Described(f"{rater.name} twice"), "pass each once")


def _deviation(given: Tensor) -> Tensor:
    """Return the sample standard deviation over the first axis; where it is 0, its gradient is 0."""
    variance = (given - given.mean(0)).square().sum(0) / (len(given) - 1)
    same = variance == 0  # the root's slope would be infinite there
    return torch.where(same, 0.0, torch.where(same, 1.0, variance).sqrt())


def _shared(raters: Sequence[Rater], wanted: Sequence[str] | None) -> tuple[Dimension, ...]:
    """Return the dimensions that all members have, in the order of the first member."""
    each = [{d.name: d for d in rater.dimensions} for rater in raters]
    common = [name for name in each[0] if all(name in own for own in each)]
    if not common:
        got = "; ".join(f"{rater.name}: {', '.join(own)}" for rater, own in zip(raters, each, strict=True))
        raise ArgumentError("raters", "raters with a common dimension", Described(got))
    unknown = [name for name in wanted or () if name not in common]
    if unknown:
        raise unknown_name("dimensions", unknown[0], common, "not all raters have it")
    kept = common if wanted is None else [name for name in common if name in wanted]
    return tuple(_merged([own[name] for own in each], raters) for name in kept)


def _merged(same: Sequence[Dimension], raters: Sequence[Rater]) -> Dimension:
    first = same[0]
    for dimension, rater in zip(same, raters, strict=True):
        for what in ("low", "high", "unit", "higher_is_better"):
            one, other = getattr(first, what), getattr(dimension, what)
            if one != other:
                got = Described(f"{one!r} for {raters[0].name} and {other!r} for {rater.name}")
                raise ArgumentError(f"{what} of {first.name}", "the same in all raters", got, "calibrate them first")
    return replace(
        first,
        needs=frozenset().union(*(d.needs for d in same)),
        calibrated=all(d.calibrated for d in same),
        detail=all(d.detail for d in same),
        streams=frozenset(first.streams).intersection(*(d.streams for d in same)),
    )
