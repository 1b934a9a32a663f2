"""`avreward curve`: the table, the JSON, the page, and what is said of bad input."""

import json
import re

import numpy as np
import pytest
from scored_tables import pools, varied, write

from avreward.cli._common import NOTHING


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return varied(tmp_path_factory.mktemp("curve") / "scores.parquet", 24, 6)


def test_the_table_and_the_rule(run, table):
    result = run("curve", table, "--second", "toy.sync", "--gain", "1")
    assert result.exit_code == 0
    assert "144 candidates of 24 prompts, grouped by the prompt." in result.stdout
    assert re.search(r"A gain of 1 needs k = \d \(interval \d to \d\)\.", result.stdout)
    assert "Correlation with toy.sync within prompts: 0." in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if re.match(r"\s+\d ", line)]
    assert [row[:2] for row in rows] == [[str(k), "24"] for k in range(1, 7)]
    assert rows[0][-1] == "0"


def test_json(run, tmp_path):
    pools(tmp_path / "t.parquet", [[1.0, 3.0], [0.0, 0.0, 6.0]])
    result = run("curve", tmp_path / "t.parquet", "--json", "--second", "reward")
    told = json.loads(result.stdout)
    assert [(p["k"], p["prompts"], p["gain"]["value"]) for p in told["points"]] == [
        (1, 2, 0), (2, 2, 1.5), (3, 1, 4),
    ]  # fmt: skip
    assert (told["prompts"], told["candidates"], told["needed"]) == (2, 5, None)
    assert told["points"][2]["win_rate"] is None
    assert told["curse"]["correlation"]["value"] == pytest.approx(1)


def test_the_page_stands_alone(run, table, tmp_path):
    page = tmp_path / "curve.html"
    result = run("curve", table, "--second", "toy.sync", "--gain", "1", "--report", page)
    assert result.exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert not re.search(r"""(src|href)=["'](?!data:)|https?:|<script""", text)
    assert text.count('scope="row"') == 6
    for path in re.findall(r' d="([^"]*)"', text):
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", path)]
        assert numbers
        assert all(-0.01 <= n <= 100.01 for n in numbers)


def test_names_are_escaped_on_the_page(run, tmp_path):
    evil = "<script>alert(1)</script>"
    rows = [{"prompt": "a", evil: float(i)} for i in range(3)] + [{"prompt": "a", "reasons": {"clip": evil}}]
    write(tmp_path / "t.parquet", rows, scores=[evil])
    result = run("curve", tmp_path / "t.parquet", "--reward", evil, "--report", tmp_path / "c.html")
    assert result.exit_code == 0
    assert "<script" not in (tmp_path / "c.html").read_text()


def test_one_candidate_each(run, tmp_path):
    pools(tmp_path / "t.parquet", [[1.0], [2.0]])
    result = run("curve", tmp_path / "t.parquet", "--gain", "0.5", "--report", tmp_path / "c.html")
    assert "nothing to choose among" in result.stdout
    assert "A gain of 0.5 needs more than 1 candidate." in result.stdout
    assert "<svg" not in (tmp_path / "c.html").read_text()


def test_groups_that_are_no_prompts(run, tmp_path):
    rows = [{"prompt": "a", "clip": f"{folder}/{i}.mp4", "reward": float(i)} for folder in "xyz" for i in range(2)]
    table = write(tmp_path / "t.parquet", rows)
    result = run("curve", table, "--group-by", "parent", "--report", tmp_path / "c.html")
    said = "6 candidates in 3 groups by the folder of the clip; each group counts as one prompt."
    assert said in result.stdout
    assert said in (tmp_path / "c.html").read_text()


def test_what_is_left_out_is_said(run, tmp_path):
    rows = [{"prompt": "a", "reward": 1.0}] + [{"prompt": "a", "reasons": {"clip": f"broken {i}"}} for i in range(9)]
    rows += [{"prompt": "a", "reasons": {"clip": "the file is empty"}}] * 2
    result = run("curve", write(tmp_path / "t.parquet", rows))
    assert "left out: 2 × the file is empty" in result.stderr
    assert "left out: 5 × 5 other reasons" in result.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--reward", "speed"), "got 'speed'"),
        (("--second", "speed"), "got 'speed'"),
        (("--group-by", "video"), "score the clips again with --group-by video"),
        (("--gain", "-1"), "avreward: --gain: expected a number above 0"),
        (("--level", "95"), "avreward: --level: expected a number between 0 and 1"),
    ],
)
def test_bad_input(run, table, options, problem):
    result = run("curve", table, *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_page_where_it_cannot_be_written(run, table, tmp_path):
    assert run("curve", table, "--report", tmp_path / "page.png").exit_code == 2
    page = tmp_path / f"{'c' * 252}.html"  # longer than a file's name may be
    result = run("curve", table, "--report", page)
    assert result.exit_code == NOTHING
    assert "File name too long" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_pool_of_equal_rewards(run, tmp_path):
    pools(tmp_path / "t.parquet", np.full((3, 4), 2.0).tolist())
    result = run("curve", tmp_path / "t.parquet", "--second", "reward")
    assert "In 3 of 3 prompts several candidates share the highest reward" in result.stdout
    assert "within prompts: –" in result.stdout  # nothing correlates with a constant
