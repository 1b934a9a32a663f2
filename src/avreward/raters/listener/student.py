"""Students: small differentiable networks that were fitted to the scores of another rater, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.listener._feature_rater import FeatureRater
from avreward.raters.listener._head_files import card_of, save_head, saved_head, usable_options
from avreward.raters.listener._student_card import MODEL_TYPE
from avreward.raters.listener._student_head import StudentHead
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers._cascade_rule import CascadeRule, rule_from
from avreward.raters.wrappers.cascade import CascadeRater

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading


class StudentRater(FeatureRater):
    """One dimension of another rater, its teacher, as a small network on cheap features predicts it.

    `Scores.sigma` is how far the teacher's score may be off: the standard deviation of errors on groups that it was not
    trained on, larger where its members disagree. Made by `avreward.training.distill`.

    Args:
        encoders: name → rater whose scores are the features.
        columns: (name of the encoder, its dimension) a feature.
        head: from features to score and sigma.
        dimension: that of the teacher.
        about: what the card says, as plain values.
        teacher: source of the teacher, by which a file names it; `None` where it has none.
        rule: where to ask the teacher (*optional*).
        name: as used in expressions.
    """

    kind = "student"

    def __init__(
        self,
        encoders: Mapping[str, Rater],
        columns: Sequence[tuple[str, str]],
        head: StudentHead,
        dimension: Dimension,
        about: Mapping[str, Any] | None = None,
        teacher: Mapping[str, Any] | None = None,
        rule: CascadeRule | None = None,
        name: str = "student",
    ) -> None:
        super().__init__(encoders, columns, head, name)
        self._network = head
        needs = self.feature_needs | (dimension.needs - {"prompt"} - {n for n in dimension.needs if "." in n})
        self.dimensions = self._own = (replace(dimension, needs=needs, streams=frozenset(dimension.streams) & needs),)
        self.about, self.teacher, self.rule = dict(about or {}), teacher, rule

    @property
    def settings(self) -> Mapping[str, str]:
        """The encoders, and how well it knows its teacher."""
        told = {label: str(self.about[label]) for label in ("teacher", "srcc") if label in self.about}
        return {"encoders": ", ".join(self.encoders)} | told

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the predicted scores of what `load` decoded, with their standard deviations."""
        name = self._own[0].name
        rows: list[tuple[dict[str, Tensor], dict[str, str], dict[str, Any]]] = []
        sigmas: list[Tensor] = []
        for features in self.features(samples, work):
            if isinstance(features, str):
                rows.append(({}, {name: features}, {}))
                sigmas.append(torch.tensor(float("nan")))
                continue
            with no_autocast():
                score, sigma = self.head(features[None])
            rows.append(({name: score[0]}, {}, {}))
            sigmas.append(sigma[0])
        scores = Scores.collect(rows, self._own)
        if not sigmas:
            return scores
        return replace(scores, sigma=torch.stack([sigma.to(scores.values) for sigma in sigmas])[:, None])

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the network, the settings and the card to a folder that `load_rater` reads, and return it.

        Neither the weights of encoders nor the teacher are in it: only their names and fingerprints are.

        Raises:
            ArgumentError: if `folder` is a file, or holds other files than such a rater.
            AvrewardError: if an encoder can't be named by a file.
        """
        dimension = {**asdict(self._own[0]), **{n: sorted(getattr(self._own[0], n)) for n in ("needs", "streams")}}
        config = {
            "model_type": MODEL_TYPE,
            **self.saved_settings,
            "shape": list(self._network.inner.shape),
            "dimension": {key: value for key, value in dimension.items() if key not in ("low", "high")},
            "range": [str(self._own[0].low), str(self._own[0].high)],  # JSON has no infinity
            "teacher": None if self.teacher is None else dict(self.teacher),
            "rule": None if self.rule is None else self.rule.record,
            "about": self.about,
        }
        return save_head(self.head, folder, config, card_text(self))


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, fallback: bool = False) -> Rater:
    """Load what `StudentRater.save_pretrained` wrote; with `fallback` as a cascade that asks its teacher where unsure.

    Raises:
        ArgumentError: for an option of networks with weights of their own; with `fallback` the teacher takes those of
            the machine (`device`, `device_map`, `checkpointing`).
        AvrewardError: for damaged files, an encoder or a teacher that is not there or has changed, no rule, or a
            teacher that `load_rater` alone can't make, such as an ensemble.
    """
    from avreward.raters.hub import load_rater

    machine = usable_options(loading, ("device", "device_map", "checkpointing") if fallback else ())
    encoders, columns, state = saved_head(folder, config)
    members, hidden, features = config["shape"]
    head = StudentHead(features, members, hidden)
    head.load_state_dict(state)
    given, (low, high) = config["dimension"], map(float, config["range"])
    sets = {name: frozenset(given[name]) for name in ("needs", "streams")}
    dimension = Dimension(**{**given, **sets, "low": low, "high": high})
    rule = None if config.get("rule") is None else rule_from(config["rule"])
    student = StudentRater(encoders, columns, head, dimension, config.get("about", {}), config.get("teacher"), rule)
    if not fallback:
        return student
    if rule is None or student.teacher is None:
        why = "no rule of when to ask it" if student.teacher is not None else "a teacher that no file can name"
        raise AvrewardError(f"{folder}: expected a student with a teacher to fall back on, got {why}; distill it again")
    options = dict(student.teacher)
    if "rater" not in options or "calibration" in options or "streams" in options:
        remedy = "make that teacher yourself, and use CascadeRater(student, teacher, student.rule)"
        raise AvrewardError(f"{folder}: expected a teacher that load_rater makes, got one made of others; {remedy}")
    return CascadeRater(student, load_rater(str(options.pop("rater")), **options, **machine), rule)


def card_text(rater: StudentRater) -> str:
    """Return the text of the model card: whose student it is, and how well it knows its teacher."""
    intro = f"One dimension, `{rater.dimensions[0].name}`."
    load = "Load it with `avreward.load_rater(FOLDER)`, or with `fallback=True` and its teacher."
    return card_of("A distilled rater", f"{load} {intro}", rater.about, rater.encoders)
