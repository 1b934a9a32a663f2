"""Rules of cascades: which clips the expensive rater is asked about, and the risk that this is known to have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal, get_args

from avreward.errors import ArgumentError, unknown_name

_OPEN = {"low": -math.inf, "high": math.inf}
Decision = Literal["best", "pairs"]
Read = Literal["score", "sigma"]
WRONG: Mapping[str, str] = {
    "best": "the share of groups whose best clip is another one than by the expensive rater",
    "pairs": "the mean share of a group's pairs that are in another order than by the expensive rater",
}


@dataclass(frozen=True)
class CascadeRule:
    """Which clips of a cascade the expensive rater decides, with the risk that calibration found.

    The expensive rater is asked where the cheap rater's score (or its sigma) lies in [`low`, `high`]; elsewhere the
    cheap score counts, on the scale of the expensive one: ``slope · score + intercept``.

    What is promised: over the draw of the calibration groups, with probability `confidence` or more, the rule's risk on
    new groups is at most `risk`. Risk is, for `decision` ``"best"``, the share of groups whose best clip is another one
    than by the expensive rater; for ``"pairs"``, the mean over groups of the share of a group's pairs in another order.
    This holds if the calibration groups and the new ones are drawn independently from one distribution; clips within a
    group may depend on each other. It says nothing about clips of other models, lengths or subjects, nor about people.

    Attributes:
        dimensions: of the cheap and of the expensive rater.
        fingerprints: of the two raters when the rule was calibrated.
        slope, intercept: from cheap scores to the scale of the expensive rater.
        reads: what the interval is about, the cheap rater's ``"score"`` or its ``"sigma"``.
        low, high: the interval in which the expensive rater is asked.
        decision: what counts as wrong, ``"best"`` or ``"pairs"``.
        risk: the bound.
        confidence: of the bound.
        groups: number of groups that the bound is from.
        wrong: the risk in these groups.
        asked: share of their clips that the expensive rater decides.

    Raises:
        ArgumentError: for values that can't be a rule's.
    """

    dimensions: tuple[str, str]
    fingerprints: tuple[str, str]
    slope: float
    intercept: float
    reads: Read
    low: float
    high: float
    decision: Decision
    risk: float
    confidence: float
    groups: int
    wrong: float
    asked: float

    def __post_init__(self) -> None:
        for name, known in (("reads", Read), ("decision", Decision)):
            if getattr(self, name) not in get_args(known):
                raise unknown_name(name, getattr(self, name), get_args(known))
        for name in ("dimensions", "fingerprints"):
            given = getattr(self, name)
            pair = isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, str) for one in given)
            if not pair:
                raise ArgumentError(name, "two texts: of the cheap and of the expensive rater", given)
        for name, (expected, right) in _NUMBERS.items():
            number = _number(getattr(self, name))
            if not right(number):
                raise ArgumentError(name, expected, getattr(self, name), "calibrate the cascade again")
            object.__setattr__(self, name, number)  # a plain one, for files
        if self.low > self.high:
            raise ArgumentError("low", f"a number of at most high ({self.high:g})", self.low)
        if not isinstance(self.groups, Integral) or isinstance(self.groups, bool) or self.groups < 1:
            raise ArgumentError("groups", "a number of groups", self.groups, "calibrate the cascade again")
        object.__setattr__(self, "groups", int(self.groups))

    @property
    def promise(self) -> str:
        """What is promised, in a sentence."""
        return (
            f"{WRONG[self.decision]} is at most {self.risk:g}, with confidence {self.confidence:g}, for groups drawn "
            f"as the {self.groups} of its calibration were (there: {self.wrong:.3g}, with {self.asked:.0%} of clips "
            "decided by the expensive rater)"
        )

    @property
    def record(self) -> dict[str, Any]:
        """The rule as plain values, for files; an open end is left out."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in plain.items() if (name, value) not in _OPEN.items()}


def rule_from(record: Any) -> CascadeRule:
    """Return the rule of a `record`; raise `ArgumentError` for anything else."""
    if not isinstance(record, Mapping):
        raise ArgumentError("rule", "what calibrate_cascade found", record, "calibrate the cascade again")
    names = [one.name for one in fields(CascadeRule)]
    for name in record:
        if name not in names:
            raise unknown_name("rule", name, names)
    given = {**_OPEN, **record}
    lacking = next((name for name in names if name not in given), None)
    if lacking is not None:
        raise ArgumentError(f"{lacking} of the rule", "a value", None, "calibrate the cascade again")
    for name in ("dimensions", "fingerprints"):
        given[name] = tuple(given[name]) if isinstance(given[name], list) else given[name]
    return CascadeRule(**given)


def _number(value: Any) -> float:
    """Return a number as a plain one; NaN for anything else, and for one that is too large."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def _between(value: float) -> bool:
    return 0 < value < 1


def _share(value: float) -> bool:
    return 0 <= value <= 1


def _known(value: float) -> bool:
    return not math.isnan(value)


_NUMBERS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "slope": ("a finite number", math.isfinite),
    "intercept": ("a finite number", math.isfinite),
    "low": ("a number", _known),
    "high": ("a number", _known),
    "risk": ("a number between 0 and 1", _between),
    "confidence": ("a number between 0 and 1", _between),
    "wrong": ("a share from 0 to 1", _share),
    "asked": ("a share from 0 to 1", _share),
}
