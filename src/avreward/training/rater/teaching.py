"""Teach a rater from choices, in minutes, with an honest check of what it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from avreward._display import counted
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Rater
from avreward.raters.listener._encoders import ALWAYS, encoder_of, is_vector
from avreward.raters.listener.head import strongest
from avreward.raters.listener.rater import ListenerRater
from avreward.training.rater._teach_checks import GROUPS, Checks, HeldOutAgreement, check, together
from avreward.training.rater._teach_features import Table, table_of
from avreward.training.rater._teach_parts import Form, fit_head
from avreward.training.rater.teach_choices import Judgment

FEWEST = 10  # groups


@dataclass(frozen=True)
class TaughtRater:
    """A rater that was taught, and what is known of it.

    Attributes:
        rater: a rater like any other: ``rater([clip])["preference"]``, differentiable where its encoders are.
        checks: agreement with held-out choices: of this rater on new groups and on new systems, of `signals`, of the
            names of the systems alone.
        warnings: where it learned nothing, or something else than quality.
        strongest: the values with the largest weights.
        left_out: (name, why) of each clip that could not be used; clips may have the same name.
    """

    rater: ListenerRater
    checks: tuple[HeldOutAgreement, ...]
    warnings: tuple[str, ...] = ()
    strongest: tuple[tuple[str, float], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def learned(self) -> bool:
        """Whether it agrees with choices in groups that it has not seen more often than a coin, for sure."""
        return next(row for row in self.checks if row.by == GROUPS).low > 0.5

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write the rater with its card to a folder that `load_rater` reads; see `ListenerRater.save_pretrained`."""
        return self.rater.save_pretrained(folder)


def teach(
    judgments: Sequence[Judgment],
    encoders: Sequence[str | Rater] = (),
    *,
    degrade: bool = True,
    seed: int = 0,
    step: Callable[[str], None] = lambda name: None,
) -> TaughtRater:
    """Return a rater that prefers what the judgments prefer, and how well it does on judgments it has not seen.

    A small head on frozen features is fitted by conditional logit with a ridge (for two clips this is Bradley–Terry's
    model). Ridge, encoders and form are chosen by cross-validation inside the training groups; the checks hold out
    whole groups, and whole systems where these are named.

    Args:
        judgments: choices, comparisons or ratings (`judgments_of_ratings`), from ten groups or more.
        encoders: features beside the measurements of `signals`: ``"aisfx"``, ``"efficientnet_lite0"`` (installed
            packages), an embedding model, the hidden state of a rater that asks a language model, or the scores of any
            rater; names as for `load_rater`, or raters.
        degrade: also learn from copies with audio of low rate and through a codec, the same for all clips of a group,
            so that the format can't be what is learned.
        seed: of the degraded copies and the folds.
        step: called with the name of each clip that is measured.

    Raises:
        ArgumentError: if there are fewer than ten groups.
        AvrewardError: if nothing that is measured differs between the clips of a group.
    """
    named: dict[str, Rater] = {}
    for given in (ALWAYS, *encoders):
        rater = encoder_of(given)
        if rater.name in named and given != ALWAYS:
            raise ArgumentError("encoders", "each encoder once", Described(f"{rater.name} twice"))
        named[rater.name] = rater
    _check_groups(len({one.group for one in judgments}))
    table = table_of(judgments, named, degrade, seed, step)
    _check_groups(len(table.groups), table.left_out)
    forms = _forms(table, named)
    arguments = table.features, table.columns, table.sets, table.degraded, forms, table.systems, table.baselines
    checks = check(*arguments, seed)
    fitted = fit_head(table.features, table.columns, together(table.sets, table.degraded), forms)
    head = fitted.head()
    if not head.used.any():
        raise AvrewardError(
            "teach: expected measurements that differ between the clips of a group, got none; choose among clips that "
            "differ in what the encoders read"
        )
    clips = np.unique(table.sets.rows[table.sets.rows >= 0])
    shift = float(np.mean(fitted.utility(table.features)[clips]))
    rater = ListenerRater(named, table.columns, head, _about(table, checks, fitted.form, judgments, shift))
    top = tuple(strongest(head, fitted.parts.names))
    return TaughtRater(rater, checks.rows, checks.warnings, top, table.left_out)


def _check_groups(count: int, left_out: Sequence[tuple[str, str]] = ()) -> None:
    if count < FEWEST:
        why = f" ({counted(len(left_out), 'clip')} left out: {left_out[0][1]})" if left_out else ""
        got = Described(f"{count}{why}")
        raise ArgumentError("choices", f"choices in at least {FEWEST} groups", got, "ask for more")


def _forms(table: Table, raters: Mapping[str, Rater]) -> list[Form]:
    """Return the forms to choose from: measurements, with a best middle, with the other encoders, with products."""
    names = tuple(raters)
    forms = [Form((ALWAYS,), False), Form((ALWAYS,), True)]
    if len(names) > 1:
        forms += [Form(names, False), Form(names[1:], False)]
    heard, seen = (_vectors(table, raters, side) for side in ("audio", "video"))
    if heard and seen:
        forms += [Form(names, False, (heard, seen)), Form((), False, (heard, seen))]
    return forms


def _vectors(table: Table, raters: Mapping[str, Rater], side: str) -> tuple[int, ...]:
    """Return the columns of vectors that depend on one track alone, and that every clip has."""
    return tuple(
        i
        for i, (key, name) in enumerate(table.columns)
        if is_vector(name) and raters[key].dimension(name).needs == {side} and np.isfinite(table.features[:, i]).any()
    )


def _about(table: Table, checks: Checks, form: Form, judgments: Sequence[Judgment], shift: float) -> dict[str, Any]:
    own = checks[GROUPS]
    return {
        "choices": len(judgments),
        "groups": len(table.groups),
        "systems": None if table.systems is None else len(set(table.systems)),
        "accuracy": f"{own.pairs:.2f} of comparisons in groups that it has not seen ({own.low:.2f} to {own.high:.2f})",
        "chance": f"0.50; best of the group {own.chance:.2f}",
        "form": form.words,
        "mean score": round(shift, 4),
        "left out": len(table.left_out),
        "table": [row.row for row in checks.rows],
        "warnings": list(checks.warnings),
    }
