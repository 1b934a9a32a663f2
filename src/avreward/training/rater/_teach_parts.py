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
MATCHED = 6  # directions of what is heard, and of what is seen, that are multiplied, at most
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
BEND = 4.0  # a square needs so much more evidence than a slope
INNER = 4  # folds that choose ridge and form


@dataclass(frozen=True)
class Form:
    """What a head may use: the encoders, by name, whether a middle may be best, and what is multiplied.

    `match` has the columns of vectors of the audio, and those of the video.
    """

    encoders: tuple[str, ...]
    squares: bool
    match: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def words(self) -> str:
        """What it is, for the card."""
        made = "slopes and squares" if self.squares else "slopes"
        return f"{', '.join(self.encoders)}; {made}{' of products of sound and picture' if self.match else ''}"


@dataclass(frozen=True)
class Parts:
    """Values z as the head computes them, fitted to the clips of some choices."""

    names: tuple[str, ...]
    projection: Numbers  # (parts, features)
    center: Numbers
    factor: Numbers  # (parts, features)
    level: Numbers
    scale: Numbers

    def of(self, features: Numbers) -> Numbers:
        """Return z (clips, parts)."""
        x = np.nan_to_num(features)
        return np.arcsinh((x @ self.projection.T - self.center) * (x @ self.factor.T + self.level) / self.scale)


def parts_of(features: Numbers, columns: Sequence[tuple[str, str]], sets: ChoiceSets, form: Form) -> Parts:
    """Return the values that differ between the candidates of `sets`, each about one in size.

    A measurement is one value; an embedding is projected on the directions in which the candidates of a choice differ
    most. A feature that some clip lacks is left out. With `match` there are the products of each direction in which the
    audio of the clips varies with each of the video as well.
    """
    spread = _within(features, sets)
    known = np.isfinite(features).all(0) & (spread.std(0) > 1e-9 * (1 + np.abs(np.nan_to_num(features)).max(0)))
    rows: list[Numbers] = []
    names: list[str] = []
    eye = np.eye(features.shape[1])
    for encoder in form.encoders:
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
    plain = Parts(tuple(names), projection, center, np.zeros_like(projection), np.ones(len(rows)), scale)
    return plain if form.match is None else _joined(plain, _products(features[seen], form.match, sets))


def _products(features: Numbers, match: tuple[tuple[int, ...], tuple[int, ...]], sets: ChoiceSets) -> Parts:
    """Return the products of directions of two vectors, in which the rows of `features` vary most."""
    count = min(MATCHED, max(1, len(np.unique(sets.group)) // 8))
    eye = np.eye(features.shape[1])
    sides = []
    for own in match:
        part = np.nan_to_num(features[:, own])
        _, values, directions = np.linalg.svd(part - part.mean(0), full_matrices=False)
        kept = directions[:count][values[:count] > 1e-9 * max(1.0, float(values.max(initial=0)))]
        projection = kept @ eye[list(own)]
        found = np.nan_to_num(features) @ projection.T
        sides.append((projection, found.mean(0), found.std(0)))
    (first, heard, loud), (second, seen, wide) = sides
    pairs = [(i, j) for i in range(len(first)) for j in range(len(second))]
    of_first, of_second = [i for i, _ in pairs], [j for _, j in pairs]
    names = tuple(f"direction {i + 1} of the sound × {j + 1} of the picture" for i, j in pairs)
    scale = (loud[of_first] * wide[of_second]) if pairs else np.zeros(0)
    return Parts(names, first[of_first], heard[of_first], second[of_second], -seen[of_second], scale)


def _joined(first: Parts, second: Parts) -> Parts:
    def both(name: str) -> Numbers:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    return Parts(first.names + second.names, *map(both, ("projection", "center", "factor", "level", "scale")))


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
            "projection": self.parts.projection, "center": self.parts.center, "factor": self.parts.factor,
            "level": self.parts.level, "scale": self.parts.scale, "middle": self.middle, "weight": self.weight,
            "curve": self.curve,
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
            parts = parts_of(features, columns, train, form)
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
    parts = parts_of(features, columns, sets, form)
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
