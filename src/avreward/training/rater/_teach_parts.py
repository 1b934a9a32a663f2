"""From features to the values that a taught rater's head weights, and the head that is fitted to choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avreward.raters.listener._encoders import is_vector
from avreward.raters.listener.head import PreferenceHead
from avreward.training.rater._conditional_logit import ChoiceSets, Numbers, choice_loss, fit_choices

DIRECTIONS = 12  # of an embedding, at most
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
BEND = 4.0  # a square needs so much more evidence than a slope
INNER = 4  # folds that choose ridge and form


@dataclass(frozen=True)
class Form:
    """What a head may use: the encoders, by name, and whether a middle may be best."""

    encoders: tuple[str, ...]
    squares: bool


@dataclass(frozen=True)
class Parts:
    """Values z as the head computes them, fitted to the clips of some choices."""

    names: tuple[str, ...]
    projection: Numbers  # (parts, features)
    center: Numbers
    scale: Numbers

    def of(self, features: Numbers) -> Numbers:
        """Return z (clips, parts)."""
        return np.arcsinh((np.nan_to_num(features) @ self.projection.T - self.center) / self.scale)


def parts_of(features: Numbers, columns: Sequence[tuple[str, str]], sets: ChoiceSets, encoders: Sequence[str]) -> Parts:
    """Return the values that differ between the candidates of `sets`, each about one in size.

    A measurement is one value; an embedding is projected on the directions in which the candidates of a choice differ
    most. A feature that some clip lacks is left out.
    """
    spread = _within(features, sets)
    known = np.isfinite(features).all(0) & (spread.std(0) > 1e-9 * (1 + np.abs(np.nan_to_num(features)).max(0)))
    rows: list[Numbers] = []
    names: list[str] = []
    eye = np.eye(features.shape[1])
    for encoder in encoders:
        own = [i for i, (key, _) in enumerate(columns) if key == encoder and known[i]]
        vector = [i for i in own if is_vector(columns[i][1])]
        single = [i for i in own if not is_vector(columns[i][1])]
        rows += [eye[i] for i in single]
        names += [f"{encoder}.{columns[i][1]}" for i in single]
        if vector:
            count = min(DIRECTIONS, len(vector), max(1, len(np.unique(sets.group)) // 3))
            _, _, directions = np.linalg.svd(spread[:, vector], full_matrices=False)
            for k, direction in enumerate(directions[:count]):
                rows.append(direction @ eye[vector])
                names.append(f"{encoder}, direction {k + 1}")
    projection = np.stack(rows) if rows else np.zeros((0, features.shape[1]))
    seen = np.unique(sets.rows[sets.rows >= 0])
    values = np.nan_to_num(features[seen]) @ projection.T
    center = np.median(values, 0) if rows else np.zeros(0)
    varied = spread @ projection.T
    usual = 1.4826 * np.median(np.abs(varied), 0) if rows else np.zeros(0)
    scale = np.maximum(np.maximum(usual, 0.25 * varied.std(0)), 1e-12)
    return Parts(tuple(names), projection, center, scale)


def _within(features: Numbers, sets: ChoiceSets) -> Numbers:
    """Return the differences of candidates from the mean of their choice."""
    present = sets.rows >= 0
    x = np.nan_to_num(features)[np.where(present, sets.rows, 0)]
    x = x - (x * present[..., None]).sum(1, keepdims=True) / present.sum(1)[:, None, None]
    return np.asarray(x[present])


@dataclass(frozen=True)
class FittedHead:
    """A head: parts, their slopes and squares' weights, and how it was chosen."""

    parts: Parts
    weight: Numbers
    curve: Numbers
    middle: Numbers
    form: Form
    ridge: float

    def utility(self, features: Numbers) -> Numbers:
        """Return a number a clip."""
        z = self.parts.of(features)
        return np.asarray(z @ self.weight + (z**2 - self.middle) @ self.curve)

    def head(self) -> PreferenceHead:
        """Return the differentiable head."""
        head = PreferenceHead(self.parts.projection.shape[1], len(self.parts.names))
        given = {
            "projection": self.parts.projection, "center": self.parts.center, "scale": self.parts.scale,
            "middle": self.middle, "weight": self.weight, "curve": self.curve,
        }  # fmt: skip
        head.load_state_dict({name: torch.from_numpy(np.asarray(value)).float() for name, value in given.items()})
        return head


def fit_head(
    features: Numbers, columns: Sequence[tuple[str, str]], sets: ChoiceSets, forms: Sequence[Form]
) -> FittedHead:
    """Return the head of the form and ridge that predict held-out groups of `sets` best."""
    folds = folds_of(sets.group, INNER)
    best: tuple[float, Form, float] | None = None
    for form in forms:
        losses = np.zeros(len(RIDGES))
        for fold in range(INNER):
            train, test = sets.only(folds != fold), sets.only(folds == fold)
            if not len(train) or not len(test):
                continue
            parts = parts_of(features, columns, train, form.encoders)
            z, _ = _expanded(parts, features, train, form)
            for k, ridge in enumerate(RIDGES):
                weights = fit_choices(z, train, _ridge(ridge, len(parts.names), form))
                losses[k] += choice_loss(z, test, weights) * float(test.weight.sum())
        k = int(losses.argmin())
        if best is None or losses[k] < best[0]:
            best = float(losses[k]), form, RIDGES[k]
    assert best is not None
    return fit_form(features, columns, sets, best[1], best[2])


def fit_form(
    features: Numbers, columns: Sequence[tuple[str, str]], sets: ChoiceSets, form: Form, ridge: float
) -> FittedHead:
    """Return the head of one form, fitted to `sets`."""
    parts = parts_of(features, columns, sets, form.encoders)
    z, middle = _expanded(parts, features, sets, form)
    count = len(parts.names)
    weights = fit_choices(z, sets, _ridge(ridge, count, form))
    curve = weights[count:] if form.squares else np.zeros(count)
    return FittedHead(parts, weights[:count], curve, middle, form, ridge)


def _expanded(parts: Parts, features: Numbers, sets: ChoiceSets, form: Form) -> tuple[Numbers, Numbers]:
    z = parts.of(features)
    middle = (z[np.unique(sets.rows[sets.rows >= 0])] ** 2).mean(0)
    return (np.concatenate([z, z**2 - middle], 1) if form.squares else z), middle


def _ridge(ridge: float, count: int, form: Form) -> Numbers:
    return np.concatenate([np.full(count, ridge), np.full(count if form.squares else 0, BEND * ridge)])


def folds_of(group: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each entry: whole groups, spread evenly."""
    known = np.unique(group)
    order = np.random.default_rng(seed).permutation(len(known)) % count
    return np.asarray(order[np.searchsorted(known, group)])
