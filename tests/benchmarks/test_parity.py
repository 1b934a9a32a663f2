"""The table of parity shows every case: passed, failed, absent, or read by no test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import parity
import pytest

CASES = Path(__file__).parents[1] / "goldens"


def entry(test: str, case: str, body: str = "", *comparisons: tuple[float, float, str]) -> str:
    noted = "".join(
        f"<property name='golden' value='{json.dumps({'error': e, 'limit': li, 'stated': s})}'/>"
        for e, li, s in comparisons
    )
    return f"<testcase name='{test}[{case}]'><properties>{noted}</properties>{body}</testcase>"


def test_the_comparison_closest_to_its_tolerance_is_kept() -> None:
    report = ElementTree.fromstring(
        "<testsuite>"
        + entry("test_a", "golden-dover", "", (1e-6, 2e-5, "2e-05"), (3e-5, 1e-4, "1e-04"), (0.0, 0.0, "exact"))
        + entry("test_b", "one-golden-dover-two", "<failure/>", (1e-9, 2e-5, "2e-05"))
        + entry("test_c", "golden-aigveval", "<skipped/>")
        + "<testcase name='test_d'/></testsuite>"
    )
    cases = parity.read(report)
    assert cases.keys() == {"dover"}
    found = cases["dover"]
    assert (found.tests, found.failed, found.comparisons) == (2, ["test_b"], 4)
    assert (found.error, found.stated, found.test) == (3e-5, "1e-04", "a")


def test_failures_and_absent_cases_have_rows_and_no_number_is_the_worst() -> None:
    case = parity.Case(tests=1)
    case.add("b", float("nan"), 1e-5, "1e-05")
    case.add("b", 1e-6, 1e-5, "1e-05")
    lines, well = parity.rows({"dover": case}, ["dover", "other"])
    assert not well
    assert "| DOVER | `dover` | 2 | nan | 1e-05 | `b` | 1 test passed |" in lines
    assert "|  | `other` | 0 | – | – | – | no test reads it |" in lines
    assert "| AIGVEval | `aigveval` | 0 | – | – | – | ABSENT |" in lines
    whole = {name: parity.Case(tests=1) for names in parity.SYSTEMS.values() for name in names}
    assert parity.rows(whole, list(whole))[1]
    whole["dover"].failed.append("test_a")
    lines, well = parity.rows(whole, list(whole))
    assert not well
    assert any("FAILED: test_a" in line for line in lines)


@pytest.mark.slow
def test_the_tests_of_cases_are_run(tmp_path) -> None:
    for name in ("dover_plus_plus", "dover_plus_plus_wrong"):
        shutil.copytree(CASES / "dover_plus_plus", tmp_path / name)
    data = json.loads((tmp_path / name / "case.json").read_text())
    data["rows"][0]["technical"] += 1e-3
    (tmp_path / name / "case.json").write_text(json.dumps(data))
    found = parity.ran(tmp_path, ["-p", "no:cacheprovider", "-p", "no:xdist"])
    assert found["dover_plus_plus"].failed == []
    assert found["dover_plus_plus_wrong"].failed == ["test_the_original_scores_and_grades"]
    assert found["dover_plus_plus_wrong"].error == pytest.approx(1e-3, rel=0.01)
