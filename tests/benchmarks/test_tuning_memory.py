"""Memory of reward backpropagation: the counter, what it finds, and the computed table."""

from __future__ import annotations

import torch
from tuning_memory import BUDGET, LARGE, MODELS, computed, measured, parts_of, peak_of, update_peak, wan, wan_tokens


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
    few, many = (update_peak(steps, 1, 1.0, True) for steps in (2, 6))
    assert many < 1.02 * few
    one, three = (update_peak(6, last, 1.0, False) for last in (1, 3))
    assert three > 1.4 * one
    assert update_peak(6, 3, 1.0, True) < 0.8 * three


def test_the_measured_table_has_a_row_a_case():
    table = measured(lambda steps, truncation, seconds, checkpointing: 1e6 * steps * truncation)
    assert "| 16 | 8 | 2 s | 128.00 MB | 128.00 MB |" in table
    assert len(table.splitlines()) == 2 + 11


def test_the_computed_table():
    assert wan_tokens(81, 480, 832) == 32760
    small, large = parts_of(wan("14B", LARGE, 33, 480, 832)), parts_of(wan("14B", LARGE, 81, 720, 1280))
    assert small["all"] < BUDGET < large["all"]
    assert small["weights"] == large["weights"] == 2 * (14e9 + 0.13e9)
    assert large["transformer"] > 4 * small["transformer"]
    assert parts_of(MODELS[0], reward=None)["rater"] == 0
    assert len(computed().splitlines()) == 2 + len(MODELS)
