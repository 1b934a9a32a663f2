"""Raters that were trained here: calibration, uncertainty and reference scores come with their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avreward.errors import AvrewardError, describe
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.checkpoints._folder import card, push, save
from avreward.raters.checkpoints.network_rater import NetworkRater
from avreward.raters.scores import Scores
from avreward.raters.wrappers._calibrated import CalibratedRater
from avreward.raters.wrappers.calibration_curves import calibration_from


class TrainedRater(CalibratedRater):
    """A rater with what its training found out about its scores; `load_rater` returns one for such a folder.

    Calibrated dimensions are on the scale of the ratings. Each score has a `sigma`: how far held-out ratings were from
    it. `reference` has scores of held-out clips, for `avreward.rewards.zscore` and `percentile`.

    Args:
        rater: the rater with the trained weights.
        record: the training in plain values: ``calibration`` (dimension → kind → numbers), ``sigma`` (dimension →
            number), ``reference`` (dimension → numbers), ``temperature`` (of pairs, or `None`), ``stages``.

    Raises:
        ArgumentError: for a curve or a dimension that is none.

    Example:
        >>> rater = load_rater("my_rater")  # doctest: +SKIP
        >>> reward = zscore(rater["quality"], rater.reference["quality"])  # doctest: +SKIP
    """

    def __init__(self, rater: Rater, record: Mapping[str, Any]) -> None:
        curves = {
            name: calibration_from({kind: torch.tensor(numbers) for kind, numbers in curve.items()})
            for name, curve in record.get("calibration", {}).items()
        }
        super().__init__(rater, curves)
        self.record = record
        self.sigmas = {rater.dimension(name).name: float(size) for name, size in record.get("sigma", {}).items()}
        self._source: Mapping[str, Any] | None = None

    @property
    def reference(self) -> dict[str, Tensor]:
        """Dimension → scores (n,) of held-out clips, ascending."""
        return {name: torch.tensor(values) for name, values in self.record.get("reference", {}).items()}

    @property
    def temperature(self) -> float | None:
        """The `scale` for `avreward.preferences.BradleyTerry` that training on pairs found; `None` without pairs."""
        found = self.record.get("temperature")
        return None if found is None else float(found)

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the rater, the curves and the uncertainties."""
        text = json.dumps([self.rater.fingerprint, self._plain(), self.sigmas], sort_keys=True)
        return f"trained:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def source(self) -> Mapping[str, Any] | None:
        """The folder and options that it was loaded with; `None` before it is saved and loaded."""
        return self._source

    @source.setter
    def source(self, value: Mapping[str, Any] | None) -> None:
        self._source = value

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return calibrated scores, with the uncertainty that training measured."""
        scores = super().rate(samples, work)
        if not self.sigmas:
            return scores
        size = scores.values.new_tensor([self.sigmas.get(name, float("nan")) for name in scores.names])
        sigma = torch.where(scores.present.to(size.device), size, torch.nan)
        return replace(scores, sigma=sigma if scores.sigma is None else torch.hypot(sigma, scores.sigma))

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write weights, record and model card to a folder that `load_rater` reads, and return the folder.

        Raises:
            AvrewardError: for a folder that holds something else already.
        """
        return save(self._network(), folder, {"trained": dict(self.record)}, self.card())

    def push_to_hub(self, repository: str, private: bool = True) -> str:
        """Save the rater to a repository on the Hugging Face hub and return its address."""
        return push(self._network(), repository, private, {"trained": dict(self.record)}, self.card())

    def card(self) -> str:
        """Return the model card: how to load it, data, settings, curves, limits."""
        return f"{card(self._network())}\n{self.record.get('card', '')}"

    def _network(self) -> NetworkRater:
        assert isinstance(self.rater, NetworkRater)
        return self.rater


def trained_rater(rater: Rater, record: Any, folder: Path) -> TrainedRater:
    """Return `rater` with the record in the ``config.json`` of `folder`; raise `AvrewardError` for a damaged one."""
    try:
        return TrainedRater(rater, record)
    except (AvrewardError, AttributeError, TypeError, ValueError) as error:
        raise AvrewardError(
            f"{folder}: its config.json has a damaged record ({describe(error)}); save it again"
        ) from error
