"""Mutants: which there are, which tests watch a module, and what a test's verdict is."""

from pathlib import Path

import mutants
import pytest
from mutants import mutants_of, run_tests, watchers


def changed(text: str) -> list[str]:
    return [mutant.new.rstrip("\n") for mutant in mutants_of(text, "x.py")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a < b", {"a <= b"}),
        ("x = (a) is not b", {"x = (a) is b"}),
        ("x = a if b in c else d", {"x = a if b not in c else d"}),
        ("x = 'ä' + b * c", {"x = 'ä' - b * c", "x = 'ä' + b / c"}),
        ("a and b and c", {"a or b and c"}),
        ("x = [2, 0.5, True, 'two']", {"x = [3, 0.5, True, 'two']", "x = [2, 1.5, True, 'two']"}),
        ("def f(a: Literal[1] = 2) -> Literal[3]: return a", {
            "def f(a: Literal[1] = 3) -> Literal[3]: return a", "def f(a: Literal[1] = 2) -> Literal[3]: return None",
        }),
        ("if a: raise ValueError(f'{a + 1}')", {"if False: raise ValueError(f'{a + 1}')"}),
        ("for x in y: continue", {"for x in y: pass"}),
    ],
)  # fmt: skip
def test_what_is_changed(line: str, expected: set[str]) -> None:
    assert set(changed(line)) == expected


def test_what_does_nothing_is_left_alone() -> None:
    assert changed('"""A docstring of 1 < 2."""\nif TYPE_CHECKING:\n    x = 1 + 1\nassert x < 1\n') == []


def test_lines_that_are_broken_up_are_left_alone() -> None:
    assert changed("x = (a +\n     b)\n") == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module, whose test sees one of its two functions."""
    files = {
        "src/avreward/raters/_sums.py": "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n",
        "src/avreward/__init__.py": "",
        "src/avreward/raters/__init__.py": "from avreward.raters._sums import add as add\n",
        "tests/raters/test_sums.py": "from avreward.raters._sums import add\ndef test(): assert add(1, 2) == 3\n",
        "tests/test_other.py": "from avreward.raters import add\n",
        "tests/test_third.py": "from avreward.raters import more\n",
        "tests/raters/test_fourth.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return tmp_path


def test_the_mirror_and_those_that_import_watch_a_module(package: Path) -> None:
    module = package / "src/avreward/raters/_sums.py"
    names = ["tests/raters/test_sums.py", "tests/test_other.py"]
    assert watchers(module, package) == [package / name for name in names]
    module.with_name("alone.py").write_text("x = 1\n")
    folder = watchers(module.with_name("alone.py"), package)
    assert [path.name for path in folder] == ["test_fourth.py", "test_sums.py"]  # nobody's: all of the folder


def test_survivors_are_listed_and_a_second_run_knows_them(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--packages", "raters", "--workers", "1", "--out", str(package / "mutants.jsonl")]
    assert mutants.main(options) == 0
    shown = capsys.readouterr().out
    assert "4 of 4 mutants, 0 known" in shown
    assert "2 of 4 mutants survived (50%)" in shown
    assert "-    return a - b\n+    return a + b\n" in shown
    assert "+    return a - b\n" not in shown  # it was killed
    assert (package / "src/avreward/raters/_sums.py").read_text().count("return a - b") == 1
    assert mutants.main(options) == 0
    assert "4 of 4 mutants, 4 known" in capsys.readouterr().out


def test_tests_that_fail_anyway_end_the_run(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "tests/raters/test_sums.py").write_text("def test(): assert False\n")
    assert mutants.main(["--packages", "raters", "--out", str(package / "mutants.jsonl")]) == 1
    assert "fix them first" in capsys.readouterr().err


def test_a_test_that_hangs_has_noticed(package: Path) -> None:
    (package / "tests/raters/test_sums.py").write_text("import threading\ndef test(): threading.Event().wait()\n")
    assert run_tests([package / "tests/raters/test_sums.py"], package / "src", 3.0) == "killed by time"
