"""Distill a rater: a small differentiable network that predicts its scores, and knows where it can't."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.evaluation._cluster_bootstrap import clustered_intervals, numbered
from avreward.evaluation.cascade import FewGroupsError, NoRuleError, cascade_rule, check_settings
from avreward.evaluation.correlation import srcc
from avreward.raters._tensors import dimension_of
from avreward.raters.base import Rater
from avreward.raters.listener._encoders import encoder_of, feature_names
from avreward.raters.listener.student import StudentRater
from avreward.raters.scores import Scores
from avreward.raters.wrappers._cascade_rule import CascadeRule, Decision
from avreward.raters.wrappers.cascade import CascadeRater
from avreward.training.rater._distill_fit import Groups, Numbers, fit_student

HELD, FEWEST, DRAWS = 0.4, 15, 1000  # share of the groups that is held out; fewest groups; of the bootstrap
CONFIDENCE = 0.95  # of the fallback's bound
AT_ONCE = 8  # clips


@dataclass(frozen=True)
class DistilledRater:
    """A student, and what held-out groups say of it.

    Attributes:
        student: a rater like any other, differentiable where its encoders are.
        teacher: the rater that it was fitted to.
        clips, groups: how many were rated; `held_out` of the groups were not trained on, and all
            numbers are from them, except seconds, which are of all clips.
        srcc: rank correlation of the student's scores with the teacher's, with its 95 % interval over groups.
        error: root mean square error, in the teacher's unit.
        spread: standard deviation of the teacher's scores, for comparison.
        coverage: share of clips whose teacher's score is within 1.96 sigma of the student's.
        seconds: a clip, of student and teacher, decoding included.
        why_no_rule: why there is no rule of when to ask the teacher; empty if there is one.
        cascade_srcc: rank correlation of student with fallback and teacher; NaN without a rule.
        left_out: (name, why) of each clip that could not be used; clips may have the same name.
    """

    student: StudentRater
    teacher: Rater
    clips: int
    groups: int
    held_out: int
    srcc: tuple[float, float, float]
    error: float
    spread: float
    coverage: float
    seconds: tuple[float, float]
    why_no_rule: str
    cascade_srcc: float
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def rule(self) -> CascadeRule | None:
        """Where to ask the teacher; `None` if that could not be calibrated."""
        return self.student.rule

    @property
    def cascade(self) -> CascadeRater:
        """The student, with its teacher where it is unsure.

        Raises:
            AvrewardError: without a rule.
        """
        if self.rule is None:
            raise AvrewardError(f"fallback: expected a rule of when to ask the teacher, got none: {self.why_no_rule}")
        return CascadeRater(self.student, self.teacher, self.rule)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write the student with its card to a folder that `load_rater` reads; see `StudentRater.save_pretrained`."""
        return self.student.save_pretrained(folder)


def distill(
    teacher: Rater,
    clips: Sequence[Clip],
    groups: Sequence[Hashable] | None = None,
    *,
    dimension: str | None = None,
    encoders: Sequence[str | Rater] = ("glance",),
    decision: Decision = "best",
    risk: float = 0.1,
    seed: int = 0,
    step: Callable[[str], None] = lambda name: None,
) -> DistilledRater:
    """Return a small network that predicts a rater's scores, with its uncertainty, and how well it does so.

    The teacher rates all clips, without gradients. An ensemble of small networks on frozen features is fitted to 60 %
    of the groups; its uncertainty is fitted to errors in folds of these. The other groups give all figures, and the
    rule by which the student falls back on its teacher where its sigma is large (`calibrate_cascade`, with its bound).
    Without groups of two clips or more, unrelated clips are paired for this. Since 40 % are held out, a bound at a risk
    of 0.1 takes about 110 groups, or 220 independent clips.

    Args:
        teacher: any rater.
        clips: of the kind that the student will rate; several hundred.
        groups: what clips have in common that are not independent, prompt or video (*optional*, each its own).
        dimension: which score (*optional*, the only one, or ``"overall"``).
        encoders: features, see `teach`; ``"glance"`` costs little beyond decoding.
        decision: what the fallback's bound is about, see `calibrate_cascade`.
        risk: the largest accepted risk of the fallback.
        seed: of folds and networks.
        step: called with the name of each clip that is rated.

    Raises:
        ArgumentError: for no encoder, one twice, lengths that differ, fewer than fifteen groups, or settings that
            `calibrate_cascade` refuses.
        AvrewardError: if the teacher's scores are all equal, or no feature is known of all clips.

    Example:
        >>> found = distill(load_rater("./agav"), clips, prompts, dimension="overall")  # doctest: +SKIP
        >>> found.srcc, found.seconds  # doctest: +SKIP
        >>> found.save("student")  # doctest: +SKIP
    """
    check_settings(decision, risk, CONFIDENCE, seed)
    name = dimension_of(teacher, dimension)
    contents = list(range(len(clips))) if groups is None else list(groups)
    if len(contents) != len(clips):
        raise ArgumentError("groups", f"one a clip ({len(clips)})", Described(str(len(contents))))
    known = _encoders(encoders)
    _check_count(len(set(contents)))
    truth, own, seconds = _rated(teacher, list(known.values()), clips, step)
    column = truth.column(name)
    columns = [(key, feature) for key, rater in known.items() for feature in feature_names(rater)]
    features = np.stack([_column(own[key], feature) for key, feature in columns], 1)
    rated = truth.present[:, column].cpu().numpy() & np.isfinite(features).any(1)
    left_out = tuple(
        (clip.name, truth.reasons[i].get(name, "no feature is known of it"))
        for i, clip in enumerate(clips) if not rated[i]
    )  # fmt: skip
    rows = np.flatnonzero(rated)
    group = numbered([contents[i] for i in rows])
    _check_count(len(np.unique(group)), left_out)
    y = truth.values[:, column].detach().double().cpu().numpy()[rows]
    if not np.ptp(y) > 0:
        raise AvrewardError(f"distill: expected scores of {teacher.name}.{name} that differ, got equal ones")
    order = np.random.default_rng(seed).permutation(int(group.max()) + 1)
    held = order[group] < max(1, round(HELD * len(order)))
    usable = _usable(features[rows], columns, known, teacher, name)
    head, _ = fit_student(features[rows][~held], y[~held], numbered(group[~held].tolist()), usable, seed)
    base = StudentRater(known, columns, head, teacher.dimension(name))
    fresh = [clips[i] for i in rows[held]]
    with torch.no_grad():
        said = base(fresh)
    taught = _rows_of(truth, rows[held])
    rule, why = _rule(base, teacher, name, said, taught, group[held], decision, risk, seed)
    found = _figures(said, y[held], group[held], rule)
    counts = {"clips": len(rows), "groups": len(order), "held": int(held.sum()), "left out": len(left_out)}
    about = _about(f"{teacher.name}.{name} ({teacher.fingerprint})", counts, found, float(y[held].std()), seconds)
    about["fallback"] = rule.promise if rule is not None else f"none: {why}"
    student = StudentRater(known, columns, head, teacher.dimension(name), about, teacher.source, rule)
    return DistilledRater(
        student, teacher, len(rows), len(order), len(np.unique(group[held])), found["srcc"], found["error"],
        float(y[held].std()), found["coverage"], seconds, why, found["cascade"], left_out,
    )  # fmt: skip


def _about(
    teacher: str, counts: Mapping[str, int], found: Mapping[str, Any], spread: float, seconds: tuple[float, float]
) -> dict[str, Any]:
    """Return what the card says."""
    rank, low, high = found["srcc"]
    unseen = f"on {counts['held']} clips of groups that it has not seen"
    return {
        "teacher": teacher,
        "clips": counts["clips"],
        "groups": counts["groups"],
        "left out": counts["left out"],
        "srcc": f"{rank:.3f} with the teacher {unseen} ({low:.3f} to {high:.3f})",
        "error": f"{found['error']:.4g}, where the teacher's scores have a standard deviation of {spread:.4g}",
        "within 1.96 sigma": f"{found['coverage']:.0%}",
        "seconds a clip": f"{seconds[0]:.4f}, its teacher {seconds[1]:.4f}",
    }


def _rows_of(scores: Scores, rows: Groups) -> Scores:
    """Return some rows of scores."""
    index = torch.from_numpy(rows).to(scores.values.device)
    sigma = None if scores.sigma is None else scores.sigma[index]
    there = scores.present[index.to(scores.present.device)]
    return Scores(scores.values[index], there, [scores.reasons[i] for i in rows], scores.dimensions, sigma=sigma)


def _encoders(encoders: Sequence[str | Rater]) -> dict[str, Rater]:
    found: dict[str, Rater] = {}
    for given in encoders:
        rater = encoder_of(given)
        if rater.name in found:
            raise ArgumentError("encoders", "each encoder once", Described(f"{rater.name} twice"))
        found[rater.name] = rater
    if not found:
        raise ArgumentError("encoders", "at least one encoder", Described("none"), "leave it out for glance")
    return found


def _check_count(count: int, left_out: Sequence[tuple[str, str]] = ()) -> None:
    if count < FEWEST:
        why = f" ({len(left_out)} clips left out: {left_out[0][1]})" if left_out else ""
        raise ArgumentError("clips", f"clips of at least {FEWEST} groups", Described(f"{count}{why}"), "pass more")


def _rated(
    teacher: Rater, encoders: Sequence[Rater], clips: Sequence[Clip], step: Callable[[str], None]
) -> tuple[Scores, dict[str, Scores], tuple[float, float]]:
    """Return the scores of teacher and encoders, and the seconds a clip that (encoders, teacher) take."""
    parts: list[list[Scores]] = [[] for _ in range(1 + len(encoders))]
    spent = np.zeros(1 + len(encoders))
    for start in range(0, len(clips), AT_ONCE):
        some = clips[start : start + AT_ONCE]
        for k, rater in enumerate((teacher, *encoders)):
            begun = time.perf_counter()
            with torch.no_grad():
                parts[k].append(rater(some))
            spent[k] += time.perf_counter() - begun
        for clip in some:
            step(clip.name)
    truth, *rest = map(Scores.concatenate, parts)
    own = {rater.name: scores for rater, scores in zip(encoders, rest, strict=True)}
    return truth, own, (float(spent[1:].sum()) / len(clips), float(spent[0]) / len(clips))


def _column(scores: Scores, name: str) -> Numbers:
    values: Numbers = scores[name].detach().double().cpu().numpy()
    return values


def _usable(
    features: Numbers, columns: Sequence[tuple[str, str]], encoders: dict[str, Rater], teacher: Rater, name: str
) -> list[bool]:
    """Return which features are known of all clips, differ, and are about tracks that the teacher's score needs."""
    needs = teacher.dimension(name).needs
    about = [not needs or encoders[key].dimension(feature).needs <= needs for key, feature in columns]
    known = np.isfinite(features).all(0) & (np.ptp(np.nan_to_num(features), 0) > 0)
    usable = [bool(one and other) for one, other in zip(known, about, strict=True)]
    if not any(usable):
        got = "features that are known of all clips, and differ"
        raise AvrewardError(f"distill: expected {got}, got none; pass other encoders, or clips with the same tracks")
    return usable


def _rule(
    student: StudentRater, teacher: Rater, name: str, said: Scores, taught: Scores, group: Groups,
    decision: Decision, risk: float, seed: int,
) -> tuple[CascadeRule | None, str]:  # fmt: skip
    """Return when to ask the teacher, or why that can't be said."""
    if teacher.dimension(name).higher_is_better is None:
        return None, f"neither end of {teacher.name}.{name} is better"
    if np.bincount(group).max() == 1:  # independent clips: pairs of them are independent groups
        group = np.random.default_rng(seed).permutation(len(group)) // 2
    try:
        first, second = (student, student.dimensions[0].name), (teacher, name)
        rule = cascade_rule(
            first, second, said, taught, group.tolist(), decision=decision, risk=risk, confidence=CONFIDENCE, seed=seed
        )
    except (FewGroupsError, NoRuleError) as error:
        return None, str(error)
    return rule, ""


def _figures(said: Scores, truth: Numbers, group: Groups, rule: CascadeRule | None) -> dict[str, Any]:
    there = said.present[:, 0].cpu().numpy()
    own, real = said.values[:, 0].double().cpu().numpy()[there], truth[there]
    assert said.sigma is not None
    sigma = said.sigma[:, 0].double().cpu().numpy()[there]
    rank = srcc(own, real)
    low, high = clustered_intervals(lambda rows: [srcc(own[rows], real[rows])], group[there], 0.95, DRAWS, 0)
    joint = float("nan")
    if rule is not None:
        asked = (sigma >= rule.low) & (sigma <= rule.high)
        joint = srcc(np.where(asked, real, rule.slope * own + rule.intercept), real)
    return {
        "srcc": (rank, float(low[0]), float(high[0])),
        "error": float(np.sqrt(np.mean((own - real) ** 2))),
        "coverage": float(np.mean(np.abs(own - real) <= 1.96 * sigma)),
        "cascade": joint,
    }
