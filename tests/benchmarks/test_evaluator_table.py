"""The benchmark of the evaluation loop runs both versions and notices rewards that differ."""

from __future__ import annotations

import re
from pathlib import Path

import evaluator
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_both_versions_run_and_the_table_compares_them(monkeypatch, capsys) -> None:
    monkeypatch.setattr(evaluator, "TASKS", ("best-of-N",))
    monkeypatch.setattr(evaluator, "REPEATS", 1)
    arguments = ["evaluator.py", "--before", str(ROOT), "--rounds", "1", "--clips", "2", "--seconds", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    evaluator.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| best-of-N")]
    assert len(lines) == len(evaluator.MEASURES)
    for line in lines:
        ratio = float(line.split("|")[-2])
        low, median, high = map(float, re.findall(r"[0-9]+", line.split("|")[3]))
        assert 0 < low <= median <= high
        assert ratio > 0


def test_other_rewards_are_an_error(monkeypatch) -> None:
    values = iter([1.0, 1.1])
    monkeypatch.setattr(evaluator, "run", lambda *_: {"values": [next(values)], "cpu": [1.0]})
    with pytest.raises(SystemExit, match=r"score_files: the rewards of the two versions differ by 0\.1"):
        evaluator.measure({"before": Path(), "after": Path()}, [], 1)


def test_each_number_is_counted_and_the_order_alternates(monkeypatch) -> None:
    asked: list[str] = []

    def run(task: str, source: Path, paths: list[Path]) -> dict[str, list[float]]:
        asked.append(source.name)
        return {"values": [1.0], "cpu": [1.0, 3.0], "wall": [2.0, 2.0], "peak": [5.0]}

    monkeypatch.setattr(evaluator, "run", run)
    found = evaluator.measure({"before": Path("b"), "after": Path("a")}, [], 2)
    assert found["TRL step", "after", "cpu"] == [1.0, 3.0, 1.0, 3.0]
    assert asked == ["b", "a"] * 3 + ["a", "b"] * 3
    found["TRL step", "after", "cpu"] = [2.0, 4.0, 6.0]
    assert "| TRL step | CPU ms a clip | 1 / 2 / 3 | 2 / 4 / 6 | 2.00 |" in evaluator.table(found)


def test_a_checkout_is_asked_for(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.argv", ["evaluator.py", "--before", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"--before: .* holds no src/avreward"):
        evaluator.main()
