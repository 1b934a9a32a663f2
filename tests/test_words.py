"""The check of words finds the phrases that the style avoids, and only in what people read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def check(*roots: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_words.py"), *map(str, roots)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout


def test_the_project_has_none() -> None:
    assert check() == (0, "no banned phrase\n")


def test_docstrings_comments_messages_and_prose_are_read(tmp_path) -> None:
    code = '"""This is no reward."""\n\nfilm = 1  # mend it\n\nraise ValueError(f"{film} is no number")\n'
    (tmp_path / "a.py").write_text(code)
    (tmp_path / "b.md").write_text("Text.\n\nThe film of a scene.\n\n```python\nfilm = 1\n```\n`film` is a name.\n")
    status, out = check(tmp_path)
    found = [line.split(": ", 1)[0].removeprefix(f"{tmp_path}/") for line in out.splitlines()]
    assert status == 1
    assert found == ["a.py:1", "a.py:3", "a.py:5", "b.md:3"]


def test_what_there_is_none_of_may_be_said(tmp_path) -> None:
    (tmp_path / "a.md").write_text("Where there is no clip there is no score. Film grain is noise.\n")
    assert check(tmp_path)[0] == 0
