"""Results show themselves as tables: short, aligned, and in HTML with every text escaped."""

from __future__ import annotations

import re

import pytest
import scored_tables
import torch
from toy_raters import Toy, both, picture, sound

from avreward import Clip, best_of_n
from avreward._display import html_table, number, text_table
from avreward.audit import run_probes
from avreward.errors import ArgumentError, AvrewardError
from avreward.preferences import FromReward
from avreward.scoring import read_table
from avreward.selection import Search, by_sorting, candidates_of, make_pairs

COLUMNS = ("toy.power", "toy.brightness")


@pytest.fixture
def table(tmp_path):
    rows = [
        {"clip": f"{g}/<b>{i}.mp4", "prompt": f"<i>prompt {g}", "reward": float(10 * g + i), "toy.power": float(i)}
        for g in range(3)
        for i in range(4)
    ]
    scored_tables.write(tmp_path / "t.parquet", rows, COLUMNS)
    return read_table(tmp_path / "t.parquet")


def shown(value) -> list[str]:
    """The lines of its text, which its HTML says too."""
    text, html = repr(value), value._repr_html_()
    assert html.startswith("<table>")
    assert not re.search(r"<(b|i)>", html)
    title = re.search(r"<caption>(.*?)</caption>", html)
    assert title is not None
    return text.splitlines()


def test_numbers() -> None:
    assert [number(v) for v in (71.5, 3.0, 0.1234567, None, float("nan"), -2.0)] == ["71.5", "3", "0.123", "", "", "-2"]
    assert [number(v) for v in (0.0, 1e-5, 123456789.0, float("inf"))] == ["0", "1e-05", "1.235e+08", "inf"]


def test_a_long_table_is_cut_and_says_so() -> None:
    rows = [(f"<{i}>", i) for i in range(12)]
    lines = text_table("12 things", ["name", "value"], rows, 12).splitlines()
    assert lines[:3] == ["12 things", "  name  value", "  <0>   0"]
    assert len(lines) == 13
    assert lines[-1] == "  … and 2 more"
    html = html_table("a & b", ["<x>"], [("<script>",)] * 12, 12)
    assert html.count("&lt;script&gt;") == 10
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert "and 2 more" in html


def test_rewards_and_their_reasons() -> None:
    reward = 2 * Toy()["power"] + Toy()["brightness"]
    lines = shown(reward.evaluate([both(0.5, 0.25), sound(0.5)]))
    assert lines[0] == "Rewards of 2 clips"
    assert lines[1].split()[:4] == ["clip", "reward", "toy.power", "toy.brightness"]
    assert lines[2].split() == ["0", "1.25", "0.5", "0.25"]
    assert "no video was given" in lines[3]
    html = reward._repr_html_()
    assert "<caption>2*toy.power + toy.brightness</caption>" in html
    assert "<td>toy.brightness</td>" in html


def test_preferences_and_tournaments() -> None:
    prefers = FromReward(Toy()["power"])
    lines = shown(prefers.evaluate([sound(0.5), sound(0.25)], [sound(0.5), picture(0.5)]))
    assert lines[0] == "Preferences of 2 pairs"
    assert lines[2].split() == ["0", "0.5", "0", "0.5"]
    assert "no audio was given" in lines[3]
    lines = shown(by_sorting([sound(0.25), sound(0.5)], prefers))
    assert lines[0] == "Selection: 2 of 2 candidates ranked, 1 comparison"
    assert lines[2].split()[:3] == ["1", "candidate", "1"]


def test_a_probed_reward() -> None:
    lines = shown(run_probes(Toy()["power"], [sound(0.1), sound(0.2)]))
    assert re.fullmatch(r"Probes on 2 clips: \d+ of \d+ beat the median clip", lines[0])
    assert lines[1].split() == ["probe", "median", "reward", "verdict"]


def test_scored_tables_and_candidates(table) -> None:
    lines = shown(table)
    assert lines[0].endswith("t.parquet: 12 clips")
    assert lines[-1] == "  … and 2 more"
    lines = shown(candidates_of(table, group_by="prompt"))
    assert "12 candidates in 3 groups by the" in lines[0]
    assert lines[1].split() == ["group", "candidates", "best", "reward"]
    assert lines[2].split() == ["<i>prompt", "0", "4", "3"]


def test_pairs(table) -> None:
    pairs = make_pairs(candidates_of(table, group_by="prompt"))
    lines = shown(pairs)
    assert lines[0].startswith(f"{len(pairs)} preference pairs in 3 groups")
    assert lines[1].split() == ["group", "chosen", "rejected", "margin"]


def test_mistyped_names_get_a_suggestion(table) -> None:
    with pytest.raises(AvrewardError, match=r"expected one of clip.*, got 'toy\.pwer'; did you mean 'toy\.power'"):
        table.numbers("toy.pwer")
    with pytest.raises(AvrewardError, match=r"expected one of toy.*, got 'toy\.pwer'; did you mean 'toy\.power'"):
        candidates_of(table, "toy.pwer")
    with pytest.raises(ArgumentError, match=r"strategy: expected one of best_of_n, .*did you mean 'evolution'\?"):
        Search(lambda condition, seed: sound(0.5), Toy()["power"], "evolutoin")


def test_gradients_are_no_hindrance() -> None:
    audio = torch.full((1, 8), 0.5, requires_grad=True)
    picked = best_of_n([Clip(audio=audio, sample_rate=16000)], 2 * Toy()["power"])
    assert "0.5" in repr(picked)
    assert "0.5" in repr(picked.rewards)
