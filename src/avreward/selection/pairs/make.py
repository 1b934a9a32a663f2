"""Make preference pairs from a scored table, by a rule on margins, uncertainty and covariates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward._display import Shown, ShownAsTable
from avreward.errors import ArgumentError, AvrewardError
from avreward.selection.candidates import CandidateTable, by_size
from avreward.selection.pairs._rule import PairRule
from avreward.selection.pairs._splits import ClipContents, contents_of, copies, test_groups, unkept
from avreward.selection.pairs.matching import Covariate, covariates_of, leaks, mirrored

Rows = NDArray[np.int64]
AT_ONCE = 1 << 21  # candidate pairs in memory
MOST = 200_000_000  # candidate pairs at most; more means a wrong grouping


@dataclass(frozen=True, eq=False, repr=False)
class PreferencePairs(ShownAsTable):
    """Preference pairs of candidates, and how they were made.

    Attributes:
        pool: the candidates; `chosen` and `rejected` are rows of its table.
        rule: see `PairRule`.
        chosen: int64 (pairs,) rows of the chosen clips.
        rejected: int64 (pairs,) rows of the rejected clips.
        margin: float64 (pairs,) difference of the rewards.
        worse: bool (pairs, dimensions) whether the chosen clip is worse, in the order of the rule's dimensions.
        test: bool (pairs,) whether the pair's group is for testing.
        ids: (rows,) hexadecimal keys of the candidates' contents.
        dropped: reason → number of candidate pairs that were left out for it.
        leaks: covariate → how often it alone separates chosen from rejected, before and after matching; 0.5 is chance.
    """

    pool: CandidateTable
    rule: PairRule
    chosen: Rows
    rejected: Rows
    margin: NDArray[np.float64]
    worse: NDArray[np.bool_]
    test: NDArray[np.bool_]
    ids: Any
    dropped: Mapping[str, int]
    leaks: Mapping[str, tuple[float, float]]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def group(self) -> Rows:
        """(pairs,) the group of each pair, an index into ``pool.names``."""
        return self.pool.group[self.chosen]

    def only(self, keep: NDArray[np.bool_], why: str) -> PreferencePairs:
        """Return the pairs of the mask `keep`; the others are counted in ``dropped`` under the reason `why`."""
        lost = int((~keep).sum())
        dropped = dict(self.dropped) | ({why: self.dropped.get(why, 0) + lost} if lost else {})
        parts = {name: getattr(self, name)[keep] for name in ("chosen", "rejected", "margin", "worse", "test")}
        return replace(self, **parts, dropped=dropped)

    def _shown(self) -> Shown:
        from avreward.selection.pairs._table import shown  # late, since it imports this file

        return shown(self)


def make_pairs(pool: CandidateTable, rule: PairRule | None = None) -> PreferencePairs:
    """Make preference pairs by a rule, in the order of the table.

    Copies of the same content in a group count once (the earliest), and so does a pair that occurs in two groups. A
    candidate of a search whose file was not kept is in no pair. Groups that share a clip are in the same split. Of
    equal rewards the earliest is the best.

    Args:
        pool: the candidates by group; see `candidates_of`.
        rule: which pairs to make. Default: ``PairRule()``, the best against the worst of each group.

    Raises:
        ArgumentError: if no clip has a value of a covariate or of ``sigma`` that the rule needs.
        AvrewardError: if no pair is left, a column does not exist, or the groups are too large for all pairs.

    Example:
        >>> from avreward.scoring import read_table
        >>> from avreward.selection import candidates_of
        >>> found = make_pairs(candidates_of(read_table("scores.parquet")), PairRule("all", margin=5, test=0.1))
        >>> len(found), found.dropped
        (71, {'a margin of 5 or less': 73})
    """
    rule = PairRule() if rule is None else rule
    contents = contents_of(pool)
    gone = unkept(pool)
    pool = replace(pool, group=np.where(gone, -1, pool.group))
    twice = copies(pool, contents)
    pool = replace(pool, group=np.where(twice, -1, pool.group))
    why: Counter[str] = Counter({
        f"the candidate has no file (clips, not pairs){_named(pool, gone)}": int(gone.sum()),
        "a copy of another clip of its group (clips, not pairs)": int(twice.sum()),
    })  # fmt: skip
    covariates = covariates_of(pool.table, rule.match)
    found = _made(pool, rule, covariates, contents, why)
    separation: dict[str, tuple[float, float]] = {}
    if covariates:
        plain = _made(pool, replace(rule, match={}), (), contents, Counter())
        before = leaks(covariates, plain.chosen, plain.rejected, plain.group)
        found = check_any(_balanced(check_any(found), covariates))
        after = leaks(covariates, found.chosen, found.rejected, found.group)
        separation = {name: (before[name], after[name]) for name in after}
    return check_any(replace(found, leaks=separation))


def _named(pool: CandidateTable, gone: NDArray[np.bool_]) -> str:
    """Return the first candidates without a file, and what to do."""
    rows = np.flatnonzero(gone)
    names = pool.table.column("clip").take(rows[:3]).to_pylist()
    return f", such as {', '.join(names)}: search again with out= and keep= of 2 or more" if names else ""


def check_any(found: PreferencePairs) -> PreferencePairs:
    """Return `found` itself; raise `AvrewardError` with all reasons if it is empty."""
    if len(found):
        return found
    reasons = "; ".join(f"{count} × {why}" for why, count in found.dropped.items()) or "no group has two candidates"
    raise AvrewardError(
        f"{found.pool.table.path}: expected at least one pair, got none ({reasons}); relax the rule, or regroup"
    )


def _made(
    pool: CandidateTable, rule: PairRule, covariates: Sequence[Covariate], contents: ClipContents, why: Counter[str]
) -> PreferencePairs:
    """Return pairs that meet all conditions except balance."""
    conditions = _Conditions(pool, rule, covariates)
    parts = []
    for one, other in _candidates(pool, rule):
        chosen, rejected = conditions.met(one, other, why)
        parts.append(_widest(pool, chosen, rejected) if rule.which == "best_worst" else (chosen, rejected))
    chosen, rejected = (np.concatenate([part[side] for part in parts] or [np.empty(0, np.int64)]) for side in (0, 1))
    order = np.lexsort((rejected, chosen, pool.group[chosen]))
    chosen, rejected = chosen[order], rejected[order]
    once = _once(contents, chosen, rejected)
    why["the same two clips as in another group"] += int((~once).sum())
    chosen, rejected = chosen[once], rejected[once]
    return PreferencePairs(
        pool,
        rule,
        chosen,
        rejected,
        pool.values[chosen] - pool.values[rejected],
        conditions.worse(chosen, rejected),
        test_groups(pool, contents, rule.test, rule.seed)[pool.group[chosen]],
        contents.names,
        {reason: count for reason, count in why.items() if count},
        {},
    )


class _Conditions:
    """The conditions on a pair, as arrays over the table's rows."""

    def __init__(self, pool: CandidateTable, rule: PairRule, covariates: Sequence[Covariate]) -> None:
        self.rule, self.values, self.covariates = rule, pool.values, covariates
        self.dimensions = [pool.table.numbers(name) for name in rule.dimensions]
        if rule.sigmas is not None:
            self.sigma = pool.table.numbers("sigma")
            if not np.isfinite(self.sigma).any():
                expected = "None for a table without values of sigma"
                remedy = "score with a reward that has one (an ensemble), or leave sigmas out"
                raise ArgumentError("sigmas", expected, rule.sigmas, remedy)

    def met(self, one: Rows, other: Rows, why: Counter[str]) -> tuple[Rows, Rows]:
        """Return chosen and rejected of the pairs that meet the conditions; the others are counted in `why`."""
        ahead = self.values[one] >= self.values[other]
        chosen, rejected = np.where(ahead, one, other), np.where(ahead, other, one)
        for reason, keep in self._tests(chosen, rejected):
            why[reason] += int((~keep).sum())
            chosen, rejected = chosen[keep], rejected[keep]
        return chosen, rejected

    def worse(self, chosen: Rows, rejected: Rows) -> NDArray[np.bool_]:
        """Return (pairs, dimensions) whether the chosen clip is worse."""
        found = [scores[chosen] < scores[rejected] for scores in self.dimensions]
        return np.stack(found, axis=1) if found else np.zeros((len(chosen), 0), dtype=bool)

    def _tests(self, chosen: Rows, rejected: Rows) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Yield the conditions in turn, each over the pairs that met those before."""
        met = np.ones(len(chosen), dtype=bool)

        def test(reason: str, good: NDArray[np.bool_]) -> tuple[str, NDArray[np.bool_]]:
            keep = good[met]
            met[met] = keep
            return reason, keep

        margin = self.values[chosen] - self.values[rejected]
        yield test("equal rewards", margin > 0)
        yield test(f"a margin of {self.rule.margin:g} or less", margin > self.rule.margin)
        if self.rule.sigmas is not None:
            error = np.hypot(self.sigma[chosen], self.sigma[rejected])
            yield test("no sigma", np.isfinite(error))
            yield test(f"a margin of {self.rule.sigmas:g} standard errors or less", margin > self.rule.sigmas * error)
        for covariate in self.covariates:
            near = np.abs(covariate.difference(chosen, rejected)) <= covariate.tolerance
            yield test(f"different in {covariate.name}", near)
        if self.rule.conflicts == "drop":
            for name, scores in zip(self.rule.dimensions, self.dimensions, strict=True):
                apart = scores[chosen] - scores[rejected]
                yield test(f"no score under {name}", np.isfinite(apart))
                yield test(f"worse in {name}", apart >= 0)


def _candidates(pool: CandidateTable, rule: PairRule) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs of rows, the earlier first, for whole groups at a time."""
    sized = [(rows, rows.shape[1]) for _, rows in by_size(pool.group[pool.kept], pool.kept)]
    free = rule.which == "best_worst" and not rule.match and rule.sigmas is None and rule.conflicts == "keep"
    total = sum(len(rows) * n * (n - 1) // 2 for rows, n in sized)
    if not free and total > MOST:
        largest = max(n for _, n in sized)
        raise AvrewardError(
            f"{pool.table.path}: expected at most {MOST} pairs, got {total}, as the largest group has {largest} clips; "
            'make smaller groups, or use which="best_worst" without further conditions'
        )
    for rows, n in sized:
        if n < 2:
            continue
        if free:
            values, line = pool.values[rows], np.arange(len(rows))
            yield rows[line, values.argmax(axis=1)], rows[line, values.argmin(axis=1)]
            continue
        first, second = np.triu_indices(n, 1)
        step = max(1, AT_ONCE // len(first))
        for at in range(0, len(rows), step):
            some = rows[at : at + step]
            yield some[:, first].ravel(), some[:, second].ravel()


def _widest(pool: CandidateTable, chosen: Rows, rejected: Rows) -> tuple[Rows, Rows]:
    """Return the pair of the largest margin of each group; of equal ones the earliest."""
    group, margin = pool.group[chosen], pool.values[chosen] - pool.values[rejected]
    order = np.lexsort((rejected, chosen, -margin, group))
    best = order[np.unique(group[order], return_index=True)[1]]
    return chosen[best], rejected[best]


def _once(contents: ClipContents, chosen: Rows, rejected: Rows) -> NDArray[np.bool_]:
    """Return which pairs are the first with their two contents, in either order."""
    one, other = contents.code[chosen], contents.code[rejected]
    both = np.minimum(one, other) * (int(contents.code.max(initial=0)) + 1) + np.maximum(one, other)
    found = np.zeros(len(chosen), dtype=bool)
    found[np.unique(both, return_index=True)[1]] = True
    return found


def _balanced(found: PreferencePairs, covariates: Sequence[Covariate]) -> PreferencePairs:
    """Return, in each split, the pairs that have a mirror image."""
    rank = np.random.default_rng(found.rule.seed).permutation(len(found))
    keep = np.zeros(len(found), dtype=bool)
    for side in (found.test, ~found.test):
        keep[side] = mirrored(covariates, found.chosen[side], found.rejected[side], rank[side])
    return found.only(keep, f"no counterpart with the opposite difference in {', '.join(c.name for c in covariates)}")
