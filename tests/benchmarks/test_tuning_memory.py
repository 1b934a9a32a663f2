"""Memory of the loops: the counter, and what it finds."""

from __future__ import annotations

import torch
from tuning_memory import frames_table, groups_table, layers_peak, layers_table, peak_of, steps_table, v2a_peak


def test_the_counter_finds_the_largest_sum_alive():
    a = torch.zeros(1000)
    with peak_of() as counted:
        b = a + 1  # 4 kB
        c = b + 1  # 8 kB
        del b
        d = c.view(10, 100)  # no more
        e = d + 1  # 8 kB
        del c, d, e
        f = a + 1  # 4 kB
    assert counted.peak == 8000
    del f
    with peak_of() as kept:
        x = a.clone().requires_grad_()
        (x.exp().exp().sum()).backward()
    assert kept.peak >= 4 * 4000  # x, two results that are kept, the gradient


def test_memory_does_not_grow_with_steps_outside_the_truncation():
    few, many = (v2a_peak(steps=steps, truncation=1) for steps in (2, 6))
    assert many < 1.02 * few
    one, three = (v2a_peak(steps=6, truncation=last, checkpointing=False) for last in (1, 3))
    assert three > 1.4 * one
    assert v2a_peak(steps=6, truncation=3) < 0.8 * three


def test_memory_hardly_grows_with_layers():
    """A layer adds its input, which is a tenth or less of what its activations take."""
    few, many = (layers_peak(layers, True) for layers in (2, 8))
    assert many < 1.5 * few
    kept = [layers_peak(layers, False) for layers in (2, 8)]
    assert kept[1] > 2 * kept[0]
    assert many - few < 0.15 * (kept[1] - kept[0])


def test_memory_follows_the_clips_at_once():
    settings = {"steps": 2, "window": 1}
    alone, together = (v2a_peak("flow_grpo", 4, rows=rows, **settings) for rows in (1, 4))
    assert alone < 0.5 * together


def test_the_tables_have_a_row_a_case():
    steps = steps_table(lambda steps, truncation, seconds, checkpointing: 1e6 * steps * truncation)
    assert "| 8 | 4 | 2 s | 32.00 MB | 32.00 MB |" in steps
    assert len(steps.splitlines()) == 2 + 8
    assert "| 9 | 9.00 MB | 1.00 MB |" in frames_table(lambda count, frames=None: 1e6 * (frames or count))
    assert "| 8 | 8.00 MB | 16.00 MB |" in layers_table(lambda layers, on: 1e6 * layers * (1 if on else 2))
    groups = groups_table(lambda loop, group, rows, checkpointing, **_: 1e6 * rows * (1 if checkpointing else 2))
    assert "| `nft` | 8 | 1.00 MB | 4.00 MB | 8.00 MB | 16.00 MB |" in groups
    for table in (steps, groups):
        assert len({line.count("|") for line in table.splitlines()}) == 1
