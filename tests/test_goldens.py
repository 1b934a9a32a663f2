"""Known reference cases are run wherever they are: one that tests would pass over in silence fails here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest
from golden_case import case_id

TESTS = Path(__file__).parent
GOLDENS = Path(os.environ.get("AVREWARD_GOLDENS") or TESTS / "goldens")

# Case (with its variants, CASE_NAME) → what will read it. A case that is neither tested nor planned fails, and so does
# one that is both.
PLANNED: dict[str, str] = {}

# What the tests find a case by, beside its name.
KNOWN = {
    "pair_accuracy_ties": ("items.accuracy_with_ties", "items.accuracy_without_ties", "items.best_threshold"),
    "agav_fbank": ("clip_table",),
    "agav_beats": (),
    "agav_stc": (),
    "agav_rater": ("frame_index_table", "tensors.resized_uint8"),
    "agav_losses": (),
    "videoreward": ("frame_table", "resize_table", "tensor_names.rewards_output_dim3", "tensors.video0_resized"),
}


def _has(data: Any, keys: list[str]) -> bool:
    if isinstance(data, list):
        return any(_has(entry, keys) for entry in data)
    return not keys or (isinstance(data, dict) and keys[0] in data and _has(data[keys[0]], keys[1:]))


@pytest.mark.parametrize("case", KNOWN)
def test_golden_case_is_not_passed_over(case: str) -> None:
    folder = GOLDENS / case
    if not folder.exists():
        pytest.skip(f"no {case} in {GOLDENS}: AVREWARD_GOLDENS names the folder of all")
    data = json.loads((folder / "case.json").read_text())
    absent = [path for path in KNOWN[case] if not _has(data, path.split("."))]
    assert not absent, f"{folder}: no {', '.join(absent)} in case.json, so its tests would not run"
    assert (folder / "tensors.safetensors").exists()


@pytest.fixture(scope="module")
def tested(collected: list[str]) -> set[str]:
    """The cases whose names are in the ids of tests: of this run, or, where it leaves out files, of all files."""
    files = {str(path) for path in TESTS.rglob("test_*.py") if re.search(r"mark\.golden\(", path.read_text())}
    here = {str(TESTS.parent / name.partition("::")[0]) for name in collected}
    if files - {__file__} <= here:
        return cases_in(collected)
    options = ["-o", "addopts=--import-mode=importlib -q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--collect-only", *options, *sorted(files)]
    listed = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=250)
    assert listed.returncode == 0, listed.stdout[-2000:] + listed.stderr[-2000:]
    return cases_in(listed.stdout.splitlines())


def cases_in(ids: Iterable[str]) -> set[str]:
    """The reference cases that ids of tests name."""
    return {found[1] for name in ids if (found := re.search(r"\[(?:.*-)?golden-(\w+)", name))} - {"none"}


def problems(cases: Iterable[Path], tested: set[str], planned: Collection[str]) -> list[str]:
    """A line for each case that is neither tested nor planned, or both."""
    found = []
    for folder in cases:
        stated = json.loads((folder / "case.json").read_text()).get("case", "")
        later = [name for name in planned if any(f"{text}_".startswith(f"{name}_") for text in (folder.name, stated))]
        if case_id(folder) in tested and folder.name in planned:
            found.append(f"{folder.name}: it is tested; take it out of PLANNED")
        elif case_id(folder) not in tested and not later:
            found.append(f"{folder.name}: no test runs it; write one, or name it in PLANNED")
    return found


def test_each_golden_case_is_tested_or_planned(tested: set[str]) -> None:
    cases = sorted(path.parent for path in GOLDENS.glob("*/case.json"))
    assert cases, f"no cases in {GOLDENS}"
    assert not problems(cases, tested, PLANNED)


def test_a_case_that_nothing_runs_and_one_that_is_both_are_found(tmp_path: Path) -> None:
    for name, stated in (("a", "a"), ("a-2", "a"), ("b", "b"), ("c", "c"), ("c_wide", "c"), ("twin", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.json").write_text(json.dumps({"case": stated}))
    cases = sorted(tmp_path.iterdir())
    assert problems(cases, {"a", "a_2"}, ["c"]) == ["b: no test runs it; write one, or name it in PLANNED"]
    assert problems(cases, {"a", "a_2", "b", "c"}, ["c"]) == ["c: it is tested; take it out of PLANNED"]
    assert cases_in(["f.py::test_x[golden-a]", "f.py::test_x[1-golden-b_c-2]", "f.py::test_y[golden-none]"]) == {
        "a",
        "b_c",
    }
