"""Cascades: a cheap rater decides the clear cases, an expensive one the rest, with a known risk."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.media.sampling import FramePlan
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.checkpoints._fingerprint import digest
from avreward.raters.lmm._template import has_text, why_no_text
from avreward.raters.scores import TRACKS, Dimension, Scores
from avreward.raters.wrappers._cascade_rule import CascadeRule
from avreward.raters.wrappers._members import member_work
from avreward.raters.wrappers.base import WrapperRater

ASKED = "asked"


class CascadeRater(WrapperRater):
    """Rates all clips with a cheap rater, and with an expensive one those that the cheap one does not settle.

    One dimension, that of the expensive rater with the streams that both raters' scores have, and the detail
    ``asked``: 1 where the expensive rater gave the score.
    Which clips it is asked about follows from the clip alone, by a `CascadeRule` that
    `avreward.evaluation.calibrate_cascade` finds on rated groups, with the risk that the cascade decides otherwise than
    the expensive rater alone. A clip that lacks what either rater needs has no score. A track that the cheap rater does
    not read is decoded only where the expensive one is asked: damage in it is not noticed elsewhere.

    The gradient of a score is that of the rater that gave it.

    Args:
        cheap: rates every clip.
        expensive: rates the clips for which `rule` says so.
        rule: calibrated for these two.
        name: as used in expressions.

    Raises:
        ArgumentError: for one and the same rater twice, or a rule that was calibrated for others.

    Example:
        >>> rater = load_rater("student", fallback=True)  # doctest: +SKIP
        >>> rater([clip])["asked"]  # doctest: +SKIP
        tensor([0.])
    """

    def __init__(self, cheap: Rater, expensive: Rater, rule: CascadeRule, name: str = "cascade") -> None:
        super().__init__([cheap, expensive], name)
        self.cheap, self.expensive, self.rule = cheap, expensive, rule
        self._from = cheap.dimension(rule.dimensions[0])
        self._to = expensive.dimension(rule.dimensions[1])
        check_cascade((cheap, self._from), (expensive, self._to))
        for which, rater, known in zip(("cheap", "expensive"), self.raters, rule.fingerprints, strict=True):
            if rater.fingerprint != known:
                got = Described(f"{rater.fingerprint}")
                raise ArgumentError(which, f"the rater that the rule is for ({known})", got, "calibrate it again")
        self.dimensions = self._own = (
            replace(
                self._to,
                needs=self._from.needs | self._to.needs,
                streams=frozenset(self._from.streams) & frozenset(self._to.streams),
            ),
            Dimension(ASKED, 0, 1, self._from.needs | self._to.needs, higher_is_better=None, detail=True, streams=(),
                      description="1 where the expensive rater gave the score"),
        )  # fmt: skip
        self.module = super().module  # one list, made once
        self._source: Mapping[str, Any] | None = None

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of both raters and of the rule."""
        return f"cascade:{digest(self.versions, repr(self.rule), *(rater.fingerprint for rater in self.raters))}"

    @property
    def source(self) -> Mapping[str, Any] | None:
        """Sources and names of the two raters (under ``cascade``), and the rule; `None` where a rater has none.

        For one that `load_rater` returned, its folder and options.
        """
        if self._source is not None:
            return self._source
        members = [{**(rater.source or {}), "name": rater.name} for rater in self.raters]
        return None if any(r.source is None for r in self.raters) else {"cascade": members, "rule": self.rule.record}

    @source.setter
    def source(self, value: Mapping[str, Any] | None) -> None:
        self._source = value

    @property
    def settings(self) -> Mapping[str, str]:
        """The promise, and the settings of both raters."""
        own = {"cascade": " before ".join(rater.name for rater in self.raters), "promise": self.rule.promise}
        return own | {f"{rater.name}: {label}": text for rater in self.raters for label, text in rater.settings.items()}

    @property
    def decoding(self) -> Hashable:
        """The cascade's own: it decodes for the expensive rater only where that is asked."""
        return type(self), self.cheap.decoding, self.cheap.tracks

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: what either rater's score may."""
        return self.cheap.reads(self._from.name) | self.expensive.reads(self._to.name)

    def frame_plans(self, clip: Clip) -> Sequence[FramePlan]:
        """Return which frames the cheap rater reads."""
        return self.cheap.frame_plans(clip)

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Decode a clip as the cheap rater does."""
        return self.cheap.load(clip, member_work(work or Work(), self.cheap.decoding))

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Decode one track as the cheap rater does."""
        return self.cheap.load_track(clip, track)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the cheap rater's scores on the scale of the expensive one, and its own where it is asked."""
        work = work or Work()
        first = self.cheap.rate(samples, member_work(work, self.cheap.decoding))
        reasons = [self._lacking(sample.clip, first, i) for i, sample in enumerate(samples)]
        column = first.column(self._from.name)
        asked = [i for i, why in enumerate(reasons) if not why and self._is_asked(first, i, column)]
        answers = dict(zip(asked, self._answers([samples[i].clip for i in asked], work), strict=True))
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]] = []
        sigmas: list[Tensor] = []
        for i, why in enumerate(reasons):
            if why:
                rows.append(({}, dict.fromkeys((self._to.name, ASKED), why), {}))
                sigmas.append(first.values.new_full((), math.nan).detach())
            elif i in answers:
                row, sigma = self._row_of(answers[i])
                rows.append(row)
                sigmas.append(sigma)
            else:
                value = first.values[i, column]
                here = self.rule.slope * value + self.rule.intercept
                rows.append(({self._to.name: here, ASKED: torch.zeros_like(here).detach()}, {}, {}))
                sigmas.append(_sigma(first, i, column) * abs(self.rule.slope))
        scores = Scores.collect(rows, self._own)
        if not any(bool(torch.isfinite(sigma.detach())) for sigma in sigmas):
            return scores
        known = torch.stack([sigma.to(scores.values) for sigma in sigmas])
        return replace(scores, sigma=torch.stack([known, torch.full_like(known, math.nan).detach()], 1))

    def _lacking(self, clip: Clip, first: Scores, row: int) -> str:
        """Return why a clip can have no score; empty if it can."""
        for need in sorted(self._own[0].needs):
            if need in TRACKS and need in clip.missing:
                return clip.missing[need]
            if need not in TRACKS and not has_text(clip, need):
                return why_no_text(need)
        if bool(first.present[row, first.column(self._from.name)]):
            return ""
        return first.reasons[row].get(self._from.name, f"{self.cheap.name} gave no reason")

    def _is_asked(self, first: Scores, row: int, column: int) -> bool:
        read = first.values[row, column] if self.rule.reads == "score" else _sigma(first, row, column)
        value = float(read.detach())
        return not (value < self.rule.low or value > self.rule.high)  # an unknown sigma is asked, too

    def _answers(self, clips: Sequence[Clip], work: Work) -> list[Scores]:
        """Return the expensive rater's scores, one `Scores` a clip; a damaged clip's are missing."""
        own = member_work(work, self.expensive.decoding)
        samples = [self.expensive.load(clip, own) for clip in clips]
        good = [sample for sample in samples if sample.failure is None]
        rated = iter(self.expensive.rate(good, own).split() if good else ())
        names = [d.name for d in self.expensive.dimensions]
        return [
            next(rated)
            if sample.failure is None
            else Scores.collect([({}, dict.fromkeys(names, sample.failure), {})], self.expensive.dimensions)
            for sample in samples
        ]

    def _row_of(self, answer: Scores) -> tuple[tuple[dict[str, Tensor], dict[str, str], dict[str, Any]], Tensor]:
        column = answer.column(self._to.name)
        if not bool(answer.present[0, column]):
            why = answer.reasons[0].get(self._to.name, f"{self.expensive.name} gave no reason")
            return ({}, dict.fromkeys((self._to.name, ASKED), why), {}), torch.tensor(math.nan)
        value = answer.values[0, column]
        values = {self._to.name: value, ASKED: torch.ones_like(value).detach()}
        return (values, {}, {}), _sigma(answer, 0, column)


def check_cascade(cheap: tuple[Rater, Dimension], expensive: tuple[Rater, Dimension]) -> None:
    """Raise `ArgumentError` unless two dimensions can form a cascade: different raters, each with a better end."""
    for which, (rater, dimension) in (("cheap", cheap), ("expensive", expensive)):
        if dimension.higher_is_better is None:
            got = Described(f"{rater.name}.{dimension.name}, where neither end is better")
            raise ArgumentError(which, "a dimension with a better end", got, "choose another dimension")
    if cheap[0] is expensive[0] or cheap[0].fingerprint == expensive[0].fingerprint:
        got = Described(f"{cheap[0].name} as both")
        remedy = "use the rater alone, which costs no more"
        raise ArgumentError("expensive", "another rater than the cheap one", got, remedy)


def _sigma(scores: Scores, row: int, column: int) -> Tensor:
    return scores.values.new_full((), math.nan).detach() if scores.sigma is None else scores.sigma[row, column]
