"""Calibrated raters: raw scores mapped to the scale of human opinion scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers.base import WrapperRater
from avreward.raters.wrappers.calibration_curves import Calibration, calibration_from


class CalibratedRater(WrapperRater):
    """A rater with calibrated scores, made by `calibrated`."""

    def __init__(self, rater: Rater, calibrations: Mapping[str, Calibration]) -> None:
        super().__init__([rater], rater.name)
        self.calibrations = {rater.dimension(name).name: curve for name, curve in calibrations.items()}
        self.dimensions = tuple(
            _on_scale(d, self.calibrations[d.name]) if d.name in self.calibrations else d for d in rater.dimensions
        )

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the rater and the curves."""
        text = "\n".join(
            [self.rater.fingerprint, *(f"{name}={curve}" for name, curve in sorted(self._plain().items()))]
        )
        return f"calibrated:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]  # that of the rater may come later
        """Source of the rater and, under ``calibration``, the curves.

        `None` where the rater has none, or has curves already: a file can hold only one set.
        """
        inner = self.rater.source
        return None if inner is None or "calibration" in inner else {**inner, "calibration": self._plain()}

    def _plain(self) -> dict[str, dict[str, list[float]]]:
        """Return the curves as plain numbers: dimension → kind → those of `Calibration.state`."""
        return {name: {k: v.tolist() for k, v in c.state.items()} for name, c in self.calibrations.items()}

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the rater, and the curves."""
        return {**self.rater.settings, **{f"calibration of {n}": repr(c) for n, c in self.calibrations.items()}}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the rater's scores, calibrated by the curves; sigma is scaled by the slope of the curve."""
        raw = self.rater.rate(samples, work)
        values, sigma = raw.values, raw.sigma
        for name, curve in self.calibrations.items():
            column = raw.column(name)
            # only present scores go through the curve: its slope at NaN is NaN
            rows = raw.present[:, column].nonzero().flatten()
            at = (rows, rows.new_full(rows.shape, column))
            if sigma is not None:
                sigma = sigma.index_put(at, sigma[at] * curve.slope(raw.values[at]).abs())
            values = values.index_put(at, curve(raw.values[at]))
        return replace(raw, values=values, dimensions=self.dimensions, sigma=sigma)


def calibrated(rater: Rater, calibrations: Mapping[str, Calibration]) -> CalibratedRater:
    """Return `rater` with some dimensions on the scale of mean opinion scores, so that they have levels and compare.

    The other dimensions, and the needs, stay unchanged. A dimension made of others (``overall``) is not recomputed:
    calibrate it too.

    Args:
        rater: any rater.
        calibrations: dimension → curve from its raw scores, such as a fit of `avreward.rewards.fit_linear`.

    Raises:
        UnknownNameError: for an unknown dimension.
        ArgumentError: for a curve that contradicts its dimension: it falls though higher is better, or vice versa.

    Example:
        >>> from avreward.rewards import fit_linear
        >>> opinions = [2.0, 4.0, 3.7]
        >>> rater = calibrated(rater, {"audio_quality": fit_linear(rater(clips)["audio_quality"], opinions)})
        >>> rater(clips).levels("audio_quality")
        ['poor', 'good', 'good']
    """
    return CalibratedRater(rater, calibrations)


def save_calibrations(calibrations: Mapping[str, Calibration], path: str | PathLike[str]) -> Path:
    """Write curves to a safetensors file and return its path.

    Args:
        calibrations: dimension → curve.
        path: of the file.

    Example:
        >>> from avreward.rewards import fit_linear
        >>> save_calibrations({"audio_quality": fit_linear([0, 50, 100], [1, 3, 5])}, "opinions.safetensors")
        PosixPath('opinions.safetensors')
    """
    from safetensors.torch import save_file

    tensors = {f"{name}/{kind}": numbers for name, c in calibrations.items() for kind, numbers in c.state.items()}
    with whole_file(Path(path)) as part:
        save_file(tensors, part)
    return Path(path)


def load_calibrations(path: str | PathLike[str]) -> dict[str, Calibration]:
    """Load the curves from a file that `save_calibrations` wrote: dimension → curve.

    Args:
        path: of the file.

    Raises:
        AvrewardError: for a file that does not exist, or holds something else.

    Example:
        >>> from avreward.rewards import fit_linear
        >>> path = save_calibrations({"audio_quality": fit_linear([0, 50, 100], [1, 3, 5])}, "opinions.safetensors")
        >>> calibrated(rater, load_calibrations(path))["audio_quality"]
        signals.audio_quality
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
        pairs = {key: key.rpartition("/") for key in tensors}
        return {name: calibration_from({kind: tensors[key]}) for key, (name, _, kind) in pairs.items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise AvrewardError(f"{path}: holds no curves ({error}); save_calibrations writes such a file") from error


def _on_scale(dimension: Dimension, curve: Calibration) -> Dimension:
    if dimension.higher_is_better is not None and dimension.higher_is_better != curve.rising:
        way = "falls though higher is better" if dimension.higher_is_better else "rises though lower is better"
        expected = "a curve that agrees with the dimension"
        got = Described(f"one that {way}")
        raise ArgumentError(f"calibration of {dimension.name}", expected, got, "leave the dimension out")
    return replace(dimension, low=curve.low, high=curve.high, unit="MOS", higher_is_better=True, calibrated=True)
