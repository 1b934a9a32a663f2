"""What tests share: settings, reference cases, and a check of gradients."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_case import Golden, case_id
from hypothesis import settings
from torch import Tensor

from avreward.raters import registry

settings.register_profile("avreward", deadline=None)  # cores are shared: a slow example is not a failing one
settings.load_profile("avreward")

# Small cases travel with the tests; the variable names the folder of all of them.
GOLDENS = Path(os.environ.get("AVREWARD_GOLDENS") or Path(__file__).parent / "goldens")


def pytest_configure(config: pytest.Config) -> None:
    kept = config.stash[_STORE] = tempfile.TemporaryDirectory()
    os.environ["AVREWARD_STORE"] = kept.name  # the store that commands share is nobody's own here
    config.addinivalue_line(
        "markers",
        "golden(path, case=None): runs for each case with an entry at this dotted path (through lists), "
        "or for each case of this name, which may go on after an underscore",
    )


_STORE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_COLLECTED = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed before the fixtures: what a test draws does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_rater_left() -> Iterator[None]:
    """Take back what a test registers, which others would find in lists and messages."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what was collected before `-m` or `-k` deselects tests."""
    config.stash[_COLLECTED] = [item.nodeid for item in items]


@pytest.fixture(scope="session")
def collected(request: pytest.FixtureRequest) -> list[str]:
    """The ids of all tests that were collected, deselected ones too."""
    return request.config.stash[_COLLECTED]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("golden")
    found = [(path.parent, json.loads(path.read_text())) for path in sorted(GOLDENS.glob("*/case.json"))]
    cases = [
        Golden(folder, data) for folder, data in found if _wanted(folder.name, data, *marker.args, **marker.kwargs)
    ]
    cases = [pytest.param(case, id=f"golden-{case_id(case.folder)}") for case in cases]
    absent = pytest.mark.skip(f"no case of this kind in {GOLDENS}: AVREWARD_GOLDENS names the folder of all")
    metafunc.parametrize("golden", cases or [pytest.param(None, id="golden-none", marks=absent)], indirect=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Golden:
    """A reference case, whose comparisons stand in the report of ``--junitxml``."""
    return replace(request.param, note=record_property)


def _wanted(name: str, data: Any, path: str | None = None, case: str | None = None) -> bool:
    if case is not None:
        return any(f"{text}_".startswith(f"{case}_") for text in (name, data.get("case", "")))
    return _has(data, path.split("."))


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
