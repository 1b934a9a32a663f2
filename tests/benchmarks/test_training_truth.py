"""`benchmarks/training_truth.py` at a small size."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

import training_truth


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_training_orders_sounds_that_it_has_not_heard(monkeypatch, capsys) -> None:
    monkeypatch.setattr(training_truth, "two_processes", lambda: (0.0, 1.0))
    training_truth.main(["--seeds", "0", "--train", "48", "--held-out", "32"])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| 0 |"))
    before, rated, compared, both = (float(cell) for cell in row.strip("| ").split(" | ")[1:])
    assert min(rated, compared) > max(before, 0.5)
    assert both > 0.5
