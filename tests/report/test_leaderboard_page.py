"""The leaderboard's page, table and JSON: what they hold, escaped, on a desk and on a phone."""

import csv
import json
import math

import pytest
from report.test_browser import CHROMEDRIVER, CHROMIUM, chrome, opened  # noqa: F401  # a fixture

from avreward.audit import Exploit, Leaderboard, LeaderboardRow
from avreward.report import write_leaderboard


def board():
    nothing = Exploit(math.nan, math.nan, math.nan, 0, "not differentiable: <b>")
    rows = tuple(
        LeaderboardRow(name, "0.4*signals.audio_quality+" * 8, 90, (0.75, 0.61, 0.88), 40, (math.nan,) * 3, 0,
                       {"gradient": nothing, "search": Exploit(1.5, -0.25, 0.5, 4), "edits": nothing}, 0.01, 0.31, ())
        for name in ("=evil()", "<script>alert(1)</script>" * 3)
    )  # fmt: skip
    return Leaderboard(rows, 120, 40, (("averylongfilename" * 9 + ".mp4", "it is <damaged>"),), ("A note.",))


def test_table_and_json(tmp_path):
    with write_leaderboard(board(), tmp_path / "board.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["reward"] == "'=evil()"
    assert (rows[0]["agreement"], rows[0]["search_gap"], rows[0]["gradient_gain"]) == ("0.75", "1.75", "")
    told = json.loads(write_leaderboard(board(), tmp_path / "board.json").read_text())
    assert told["rewards"][0]["search_held_out"] == -0.25
    assert told["rewards"][0]["best_of_n"] is None
    assert told["clips"] == 120


def test_the_page_is_escaped(tmp_path):
    text = write_leaderboard(board(), tmp_path / "board.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;damaged&gt;" in text
    assert "default-src &#39;none&#39;" in text
    assert "0.61 … 0.88" in text


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no Chromium or no ChromeDriver")
@pytest.mark.parametrize(("width", "height", "mobile"), [(1280, 900, False), (390, 800, True)])
def test_it_fits(chrome, tmp_path, width, height, mobile):  # noqa: F811
    opened(chrome, write_leaderboard(board(), tmp_path / "board.html"), width, height, mobile)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    outside = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll table'))"
    cut = f"{outside}.filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert chrome.execute_script(f"return {cut}.map(e => e.tagName + ' ' + e.className)") == []
    assert not [entry for entry in chrome.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
