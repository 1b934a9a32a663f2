"""The page of a comparison of systems: its content, and in a browser that it fits and plays."""

import re

import numpy as np
import pytest
import torch
from report.test_browser import chrome, opened  # noqa: F401  # a fixture
from scored_tables import write

from avreward.clip import Clip
from avreward.evaluation import compare_systems, judge_fine_tune
from avreward.report import write_comparison
from avreward.report.compare_page import percent

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Eight groups of two systems with clips to play; one clip is gone."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    rows = []
    clip = Clip(video=torch.rand(8, 3, 32, 48), fps=8, audio=0.3 * torch.randn(1, 8000), sample_rate=8000)
    clip.save(folder / "one.mp4")
    for group in range(8):
        for system in ("a_long_name_of_a_system_" * 3, "b"):
            path = folder / f"{group}" / f"{system}.mp4"
            path.parent.mkdir(exist_ok=True)
            if (group, system) != (0, "b"):
                path.hardlink_to(folder / "one.mp4")
            shift = 9.0 * (group == 0) - 9.0 * (group == 1)
            quality = 50 + rng.normal() - shift * (system == "b")
            row = {"clip": str(path), "group": f"group {group}", "toy.quality": quality, "toy.sync": rng.normal()}
            rows.append(row)
    rows.append({"clip": f"{EVIL}.mp4", "reasons": {"clip": EVIL}})
    table = write(folder / "scores.parquet", rows, ("toy.quality", "toy.sync"), "parent")
    found = compare_systems(table, by="group")
    page = write_comparison(found, "scores.parquet", folder / "page.html", [judge_fine_tune(found, "b", ["toy.sync"])])
    return found, page


def test_the_page_has_the_numbers_and_clips(compared):
    found, page = compared
    text = page.read_text(encoding="utf-8")
    assert EVIL not in text
    assert text.count("&lt;script&gt;") == 2
    assert text.count("<video") == 5  # three groups of two; one clip is gone
    assert "Nothing to play" in text
    assert "is furthest ahead" in text
    assert "The two are closest" in text
    assert all(f"group {group}" in text for group in range(8))
    assert not re.search(r"""(src|href)=["']https?:""", text)
    for path in re.findall(r'<path class="(?:zero|span|here)" d="([^"]*)"', text):
        assert all(-0.01 <= float(n) <= 100.01 for n in re.findall(r"-?[\d.]+", path))
    assert judge_fine_tune(found, "b", ["toy.sync"]).text in text


def test_shares_in_words():
    assert [percent(0.0), percent(1.0), percent(float("nan"))] == ["0 %", "100 %", "–"]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height", "mobile"), [(1280, 900, False), (390, 800, True)])
def test_it_fits(chrome, compared, width, height, mobile):  # noqa: F811
    _, page = compared
    opened(chrome, page, width, height, mobile)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    assert chrome.execute_script("return document.querySelectorAll('.card').length") == 6
    name = chrome.execute_script(
        "return document.querySelector('.differences th[scope=row]').getBoundingClientRect().width"
    )
    assert name > 100
    chrome.execute_script("document.querySelector('.card video').play()")
    assert not [entry for entry in chrome.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
