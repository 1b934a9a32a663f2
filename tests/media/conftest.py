"""What the tests of this folder share: reference cases, found by content, and a check of gradients."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

# A few small cases travel with the tests; the variable names the folder of all of them.
GOLDENS = Path(os.environ.get("AVREWARD_GOLDENS") or Path(__file__).parent.parent / "goldens")


@dataclass(frozen=True)
class Golden:
    """One reference case: a folder with `case.json` and `tensors.safetensors`."""

    folder: Path
    data: dict[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        return load_file(self.folder / "tensors.safetensors")

    def numbers(self, tolerance: str) -> list[float]:
        """The numbers in the sentence that states a tolerance, in order."""
        return [float(text) for text in re.findall(r"(?<!\w)\d+\.?\d*(?:e-?\d+)?", self.data["tolerances"][tolerance])]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "golden(path): runs for each case with an entry at this dotted path (through lists)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" not in metafunc.fixturenames:
        return
    keys = metafunc.definition.get_closest_marker("golden").args[0].split(".")
    found = [(path.parent, json.loads(path.read_text())) for path in sorted(GOLDENS.glob("*/case.json"))]
    cases = [Golden(folder, data) for folder, data in found if _has(data, keys)]
    cases = [pytest.param(case, id=f"golden-{case.folder.name}") for case in cases]
    absent = pytest.mark.skip(f"no case of this kind in {GOLDENS}: AVREWARD_GOLDENS names the folder of all")
    metafunc.parametrize("golden", cases or [pytest.param(None, id="golden-none", marks=absent)])


def _has(data: Any, keys: list[str]) -> bool:
    if isinstance(data, list):
        return any(_has(entry, keys) for entry in data)
    return not keys or (isinstance(data, dict) and keys[0] in data and _has(data[keys[0]], keys[1:]))


@pytest.fixture
def check_gradient() -> Callable[..., None]:
    """Compare the gradient with central differences along random directions; everything is float64."""

    def check(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-6, rtol: float = 1e-5) -> None:
        generator = torch.Generator().manual_seed(7)
        point = at.double().requires_grad_()
        out = function(point)
        weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((out * weights).sum(), point)
        assert gradient.isfinite().all()
        for _ in range(3):
            direction = torch.randn(point.shape, generator=generator, dtype=torch.float64)
            direction /= direction.norm()
            with torch.no_grad():
                ahead, behind = (function(point + sign * step * direction) for sign in (1, -1))
                numeric = float(((ahead - behind) * weights).sum()) / (2 * step)
            assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=rtol, abs=rtol * 1e-2)

    return check
