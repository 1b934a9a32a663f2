"""A reference case, and the comparisons with it; each notes its error and the tolerance of the case."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Values = Tensor | Sequence[Any] | float


def case_id(folder: Path) -> str:
    """Return the name of a case in the ids of tests: letters, digits and underscores."""
    return re.sub(r"\W", "_", folder.name)


def _forget(name: str, value: object) -> None:
    """Note nothing."""


@dataclass(frozen=True)
class Golden:
    """One reference case: a folder with `case.json` and `tensors.safetensors`.

    Args:
        folder: of the case.
        data: what `case.json` holds.
        note: called with a name and a value for each comparison, as pytest's `record_property`.
    """

    folder: Path
    data: dict[str, Any]
    note: Callable[[str, object], None] = _forget

    def tensors(self) -> dict[str, Tensor]:
        """Return what the case stores."""
        from safetensors.torch import load_file

        return load_file(self.folder / "tensors.safetensors")

    def file(self, name: str) -> Any:
        """Return what a file of the case holds; skip the test where a case has none of this name."""
        import pytest

        path = self.folder / name
        if not path.exists():
            pytest.skip(f"{self.folder.name} has no {name}")
        return json.loads(path.read_text())

    def numbers(self, tolerance: str) -> list[float]:
        """The numbers in the sentence that states a tolerance, in order."""
        return [float(text) for text in re.findall(r"(?<!\w)\d+\.?\d*(?:e-?\d+)?", self.data["tolerances"][tolerance])]

    def check(self, found: Tensor, expected: Tensor, tolerance: str) -> None:
        """Compare as the sentence says: ``atol A rtol R``, ``atol A``, or ``T relative to the largest entry``."""
        sentence = self.data["tolerances"][tolerance]
        if "relative to the largest entry" in sentence:
            return self.near(found, expected, self.numbers(tolerance)[0])
        named = {name: float(value) for name, value in re.findall(r"(atol|rtol) ([\d.e-]+)", sentence)}
        assert named, f"{tolerance}: {sentence!r} names no tolerance"
        return self.close(found, expected, **named)

    def near(self, found: Tensor, expected: Tensor, limit: float | None = None) -> None:
        """Compare the largest difference with a share of the largest entry: that of the case, or `limit`."""
        if limit is None:
            limit = self.data["tolerances"]["max_abs_over_max_abs"]
        away = _away(found, expected)
        if away.numel():
            largest = float(expected.abs().max()) or 1.0
            self._verdict(float(away.max()) / largest, limit, f"{limit:g} of the largest entry")

    def close(self, found: Values, expected: Values, atol: float = 0.0, rtol: float = 0.0) -> None:
        """Compare each entry: no further away than `atol` plus `rtol` times the expected one."""
        found, expected = (torch.as_tensor(side, dtype=_type(side)) for side in (found, expected))
        away, limit = _away(found, expected), atol + rtol * expected.detach().double().abs()
        if not away.numel():
            return
        at = int((away - limit).argmax()) if not atol and not rtol else int((away / limit.clamp_min(1e-300)).argmax())
        stated = " + ".join(text for text, size in ((f"{atol:g}", atol), (f"{rtol:g} of the entry", rtol)) if size)
        self._verdict(float(away.flatten()[at]), float(limit.expand_as(away).flatten()[at]), stated or "exact")

    def same(self, found: Any, expected: Any) -> None:
        """Compare exactly: tables, indices, names."""
        equal = torch.equal(found, expected) if isinstance(found, Tensor) else found == expected
        self.note("golden", json.dumps({"error": float(not equal), "limit": 0.0, "stated": "exact"}))
        assert equal, f"{self.folder.name}: expected {expected}, got {found}"

    def at_most(self, error: float | Tensor, limit: float, stated: str) -> None:
        """Compare an error that a test measured by itself with `limit`, which `stated` explains."""
        self._verdict(float(error), limit, stated)

    def _verdict(self, error: float, limit: float, stated: str) -> None:
        self.note("golden", json.dumps({"error": error, "limit": limit, "stated": stated}))
        assert error <= limit, f"{self.folder.name}: {error:.3g} away, allowed are {limit:.3g} ({stated})"


def _away(found: Tensor, expected: Tensor) -> Tensor:
    assert found.shape == expected.shape, f"expected the shape {tuple(expected.shape)}, got {tuple(found.shape)}"
    return (found.detach().double() - expected.detach().double()).abs()


def _type(values: Values) -> torch.dtype | None:
    return values.dtype if isinstance(values, Tensor) else torch.float64
