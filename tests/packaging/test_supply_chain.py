"""The lock file, the audit and the bounds of versions."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([\w.-]+)==(\S+?)(?: \\)?$", re.MULTILINE)


def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_hashes_are_of_the_versions_that_are_tested():
    text = (ROOT / "hashes.txt").read_text()
    assert PIN.findall(text) == PIN.findall((ROOT / "constraints.txt").read_text())
    for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block), block[:80]


def test_where_interfaces_change_with_a_major_version_there_is_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    bounded = {re.match(r"[\w-]+", one)[0] for one in asked if "<" in one}
    assert {"av", "numpy", "pandas", "typer", "transformers", "trl", "diffusers", "elevenlabs", "starlette"} <= bounded
    tested = dict(PIN.findall((ROOT / "constraints.txt").read_text()))
    for one in asked:
        for bound in re.findall(r"<(\d+)(?:[,;\s]|$)", one):
            assert int(tested[re.match(r"[\w-]+", one)[0]].partition(".")[0]) < int(bound), one


@pytest.mark.parametrize(
    ("install", "told", "code", "said"),
    [
        ((1, "", "ERROR: No matching distribution found for pip-audit"), None, 0, "audit skipped: pip-audit can't be"),
        ((0, "", ""), (1, "", "ServiceError: ConnectionError: Max retries exceeded"), 0, "audit skipped: the database"),
        ((0, "", ""), (1, "Found 1 known vulnerability in 1 package", ""), 1, "Found 1 known vulnerability"),
        ((0, "", ""), (0, "", "No known vulnerabilities found"), 0, "No known vulnerabilities found"),
    ],
)
def test_the_audit_says_what_it_found_or_why_it_is_skipped(tmp_path, monkeypatch, capsys, install, told, code, said):
    module, answers = audit(), [install, told]
    monkeypatch.setattr(module.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(module, "run", lambda command: subprocess.CompletedProcess(command, *answers.pop(0)))
    assert module.main(tmp_path) == code
    assert said in capsys.readouterr().out
