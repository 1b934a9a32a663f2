"""The benchmarks of scoring past one process, at tiny size: nothing lost or wrong, and tables that add up."""

import cascades
import fleet
import pytest
import scale
import scale_ray
import students
import torch

from avreward import Clip
from avreward.raters import term


def test_a_fleet_is_limited_by_what_does_not_fall_with_its_size():
    alone, share = fleet.hours(1_000_000, 0.36, 1e-5, 1)
    assert (alone, share) == (pytest.approx(100), 1.0)
    many, share = fleet.hours(1_000_000, 0.36, 1e-5, 1000)
    assert many == pytest.approx(1_000_000 * 3 / 5500 / 3600)  # the object store's requests
    assert share == pytest.approx(360 / (3e6 / 5500))
    slow, _ = fleet.hours(1_000_000, 0.36, 1e-2, 1000)
    assert slow == pytest.approx(1e4 / 3600)  # the one process that writes
    text = fleet.table({"a rater": 0.36}, 1_000_000, 1e-5)
    assert "| a rater | 0.36 | 100 | 100 | 12.5 |" in text
    assert "0.152 (66%) |" in text


def test_a_row_of_a_table_costs_time():
    written, read = fleet.rows(50)
    assert written > 0
    assert read > 0


def test_the_table_of_students():
    row = {
        "data": "sounds", "dimension": "audio_quality", "views": 1, "clips": 600, "held_out_groups": 60,
        "srcc": 0.91234, "low": 0.9, "high": 0.93, "error": 0.4, "coverage": 0.95, "cost": 0.5,
        "asked": None, "wrong": None, "cascade_srcc": None,
    }  # fmt: skip
    lines = students.table([row, {**row, "asked": 0.25, "wrong": 0.05, "cascade_srcc": 0.97}]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.912 | 0.900 to 0.930 |" in lines[2]
    assert lines[2].endswith("| – | – | – |")
    assert lines[3].endswith("| 25% | 5% | 0.970 |")
    groups, clips = zip(*students.sounds(2), strict=True)
    assert groups == (0, 0, 0, 0, 1, 1, 1, 1)
    assert len({float(clip.sound().square().mean()) for clip in clips}) == 8


def test_the_costs_and_the_agreement_of_cascades():
    asked = [{0: 0.5, 1: 1.0}, {1: 0.0, 2: 0.5}]
    losses = [{0: 0.0, 1: 1.0}, {1: 0.0, 2: 0.0}]
    found = cascades.summary(asked, losses, (0.01, 0.04))
    assert found["asked"] == pytest.approx(0.5)
    assert found["cost"] == pytest.approx(0.75)
    assert found["agreement"] == pytest.approx(0.75)
    assert (found["worst"], found["high"]) == (0.5, 1.0)
    assert found["low"] <= 0.75

    @term(needs="audio", low=0, high=1)
    def level(clip):
        return clip.sound().abs().mean()

    halves = students.over_windows(level, "level", 2)
    wave = torch.cat([torch.zeros(1, 400), torch.ones(1, 400)], 1)
    assert float(halves([Clip(audio=wave, sample_rate=24000)]).values[0, 0]) == pytest.approx(0.5)


@pytest.mark.slow
def test_the_service_loses_nothing():
    found = scale.killed(120, 4)
    assert found == {"requests": 120, "answered": 120, "lost": 0, "wrong": 0}
    rates = scale.throughput(20, 4, rounds=1)
    assert rates["ratio"] == pytest.approx(rates["served"] / rates["direct"])
    assert 0 < rates["p50"] <= rates["p99"]
    assert rates["cpu"] > 0


@pytest.mark.slow
def test_plain_processes_share_out_the_clips(tmp_path):
    files = scale_ray.sounds(tmp_path / "sounds", 6)
    table = tmp_path / "list.jsonl"
    table.write_text("".join(f'{{"clip": "{path}"}}\n' for path in files))
    wall, cpu = scale_ray.by_processes(table, tmp_path)
    assert wall > 0
    assert cpu > 0
    assert len(scale_ray.read_table(tmp_path / "plain.parquet")) == 6
