"""Composite raters: each dimension from a rater of its own, under one name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Scores
from avreward.raters.wrappers._members import (
    MemberSamples,
    load_member_tracks,
    load_parts,
    rate_members,
)
from avreward.raters.wrappers.base import WrapperRater

Part = Rater | tuple[Rater, str]


class CompositeRater(WrapperRater):
    """Gives each dimension from a rater of its own: the columns of several raters as one rater.

    A score that its rater lacks is missing, with its reason; the others stay. A file is decoded once for all raters,
    and a rater that gives several dimensions rates once. There is no total: combine the dimensions yourself.

    Args:
        parts: name of a dimension → the rater, or (rater, name of its dimension); a rater alone needs a dimension of
            that name, or only one.
        name: as used in expressions.

    Raises:
        ArgumentError: for no parts, or a value that is not a rater with such a dimension.

    Example:
        >>> signals = load_rater("signals")
        >>> rater = CompositeRater({"sound": (signals, "audio_quality"), "av_consistency": signals})
        >>> rater([clip]).names
        ('sound', 'av_consistency')
    """

    def __init__(self, parts: Mapping[str, Part], name: str = "composite") -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise ArgumentError("parts", "a mapping of dimensions to raters", parts, "pass {dimension: rater}")
        self.parts = {own: part_of(own, given) for own, given in parts.items()}
        super().__init__(list({id(rater): rater for rater, _ in self.parts.values()}.values()), name)
        self.dimensions = self._own = tuple(
            replace(rater.dimension(theirs), name=own) for own, (rater, theirs) in self.parts.items()
        )
        self.differentiable = any(rater.differentiable for rater in self.raters)
        self.module = super().module  # one list, made once

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the raters, and of which gives which dimension."""
        made = [f"{own}={rater.fingerprint}.{theirs}" for own, (rater, theirs) in self.parts.items()]
        return f"{self.name}:{hashlib.blake2b(chr(10).join(made).encode(), digest_size=8).hexdigest()}"

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """`None`: no file can name it."""
        return None

    @property
    def settings(self) -> Mapping[str, str]:
        """Which rater gives which dimension, and the settings of each."""
        own = {name: f"{rater.name}.{theirs}" for name, (rater, theirs) in self.parts.items()}
        return own | {f"{rater.name}: {label}": text for rater in self.raters for label, text in rater.settings.items()}

    @property
    def decoding(self) -> Hashable:
        """The composite's own: its samples hold those of its raters."""
        return type(self), tuple((rater.decoding, rater.tracks) for rater in self.raters)

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: as its own rater says."""
        if dimension is None:
            return frozenset[str]().union(*(self.reads(d.name) for d in self.dimensions))
        rater, theirs = self.parts[self.dimension(dimension).name]
        return rater.reads(theirs)

    def load(self, clip: Clip, work: Work | None = None) -> MemberSamples:
        """Decode as each rater does, a file once for all of them."""
        return load_parts(self.raters, self.tracks, clip, work or Work())

    def load_track(self, clip: Clip, track: Track) -> Mapping[Hashable, Any]:
        """Decode one track as each rater does: `sample_key` of the rater → decoded track."""
        return load_member_tracks(self.raters, clip, track)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        rated = rate_members(self.raters, samples, work or Work())
        found = {id(rater): scores for rater, scores in zip(self.raters, rated, strict=True)}
        return self._joined([(own, found[id(rater)], theirs) for own, (rater, theirs) in self.parts.items()])

    def _joined(self, columns: Sequence[tuple[str, Scores, str]]) -> Scores:
        """Return one table of (own name, scores of a rater, its name of the dimension)."""
        like = columns[0][1].values
        values = torch.stack([part.values[:, part.column(theirs)].to(like) for _, part, theirs in columns], 1)
        present = torch.stack([part.present[:, part.column(theirs)].to(like.device) for _, part, theirs in columns], 1)
        reasons = [
            {own: part.reasons[i].get(theirs, "the rater gave no reason") for own, part, theirs in columns
             if not part.present[i, part.column(theirs)]}
            for i in range(len(values))
        ]  # fmt: skip
        basis = [
            {own: part.basis[i][theirs] for own, part, theirs in columns if theirs in part.basis[i]}
            for i in range(len(values))
        ]
        sigma = None
        if any(part.sigma is not None for _, part, _ in columns):
            nothing = torch.full_like(values[:, 0].detach(), math.nan)
            sigma = torch.stack(
                [nothing if p.sigma is None else p.sigma[:, p.column(theirs)].to(like) for _, p, theirs in columns], 1
            )
        return Scores(values, present, reasons, self._own, basis, sigma)


def part_of(name: str, given: Part) -> tuple[Rater, str]:
    """Return (rater, name of its dimension) for the dimension `name`; raise `ArgumentError` if there is none."""
    rater, theirs = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if not isinstance(rater, Rater) or not isinstance(theirs, str | None):
        raise ArgumentError(name, "a rater, or (rater, name of its dimension)", given)
    if theirs is None:
        names = [dimension.name for dimension in rater.dimensions]
        if name not in names and len(names) > 1:
            got = Described(f"{rater.name} with {', '.join(names)}")
            raise ArgumentError(name, "a rater with a dimension of this name", got, "pass (rater, 'DIMENSION')")
        theirs = name if name in names else names[0]
    return rater, rater.dimension(theirs).name
