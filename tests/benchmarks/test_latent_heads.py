"""The benchmark of latent heads: what it measures, and its tables."""

from __future__ import annotations

from dataclasses import replace

import latent_heads
import pytest
from latent_heads import error_table, gain_table

ERROR = {"clips": 8, "srcc": 0.9, "rmse": 0.1, "deviation": 0.4}
RUN = {"gain": 0.5, "seconds": 1.0}
ROW = {
    "reward": "level",
    "errors": {64: [ERROR, ERROR | {"srcc": 0.7, "rmse": 0.3}]},
    "seconds": (0.012, 0.001),
    "runs": {"reward": [RUN, RUN], "head": [RUN | {"drift": 2.5, "updates with the head": 4}]},
}


def test_the_tables():
    assert "| level | 64 | 0.80 | 0.50 | 12.0 | 1.0 |" in error_table([ROW])
    assert "| level | +0.500 ± 0.000 | +0.500 | 4 | 2.5 |" in gain_table([ROW])
    refused = ROW | {"runs": ROW["runs"] | {"head": []}}
    assert "| level | +0.500 ± 0.000 | refused |  |  |" in gain_table([refused])


@pytest.mark.slow
def test_a_small_run(monkeypatch):
    for count in ("TRAIN", "TEST"):
        monkeypatch.setattr(f"tuned_tasks.{count}", 2)
    monkeypatch.setattr(latent_heads, "UPDATES", 2)
    monkeypatch.setattr(latent_heads, "BATCH", 1)
    monkeypatch.setattr(latent_heads, "dubbing", lambda whole=latent_heads.dubbing: replace(whole(), noises=1, steps=4))
    row = latent_heads.measured("level", [24], [0])
    (error,) = row["errors"][24]
    assert error["clips"] == 6
    assert error["rmse"] < error["deviation"]
    decoded, head = row["seconds"]
    assert 0 < head < decoded
    assert row["runs"]["head"][0]["drift"] > 0
    assert abs(row["runs"]["reward"][0]["gain"]) > 0
