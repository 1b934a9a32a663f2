"""Bootstrap intervals cover, count a content once, and are undefined where nothing can be drawn."""

from __future__ import annotations

import numpy as np

from avreward.evaluation._cluster_bootstrap import clustered_intervals, numbered


def test_they_cover_where_clips_of_a_content_are_alike() -> None:
    covered = {"by content": 0, "by clip": 0}
    for seed in range(60):
        draw = np.random.default_rng(seed)
        values = np.repeat(draw.normal(0, 1, 30), 5) + draw.normal(0, 0.5, 150)
        for name, contents in (("by content", np.repeat(np.arange(30), 5)), ("by clip", np.arange(150))):
            low, high = clustered_intervals(lambda rows, v=values: [v[rows].mean()], contents, 0.95, 200, seed)
            covered[name] += low[0] <= 0 <= high[0]
    assert covered["by content"] >= 53
    assert covered["by clip"] <= 45


def test_one_content_gives_none_and_undefined_resamples_are_left_out() -> None:
    low, high = clustered_intervals(lambda rows: [1.0, 2.0], np.zeros(5, dtype=np.int64), 0.95, 50, 0)
    assert np.isnan([*low, *high]).all()

    def mostly(rows: np.ndarray) -> list[float]:
        return [float("nan") if rows[0] == 0 else 3.0, float("nan")]

    low, high = clustered_intervals(mostly, np.arange(6), 0.95, 50, 0)
    assert (low[0], high[0]) == (3, 3)
    assert np.isnan(low[1])


def test_contents_are_numbered_as_they_appear() -> None:
    assert numbered(["b", "a", "b", ("row", 3)]).tolist() == [0, 1, 0, 2]
