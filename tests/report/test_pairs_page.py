"""The page of pairs: what it holds, that it is text, and that a browser pages, searches, filters and plays."""

import json
import re
import time

import media_files
import pytest
import torch
from headless import chromium
from scored_tables import pools, varied

from avreward import Clip
from avreward.report import write_pairs_page
from avreward.report.pairs_page import FEW, clips_to_prepare
from avreward.scoring import read_table
from avreward.selection import PairRule, candidates_of, make_pairs

NASTY = "</script><script>document.title = 'hacked'</script> \"q\" & 'more' <b>bold</b>"


def data_of(path) -> dict:
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Three groups of clips with sound, one of which is missing, with a prompt that is markup."""
    folder = tmp_path_factory.mktemp("few #1")
    names = []
    for group in range(3):
        media_files.write(folder / f"silent{group}.mp4", 8 + group, fps=10, size=(32, 48))
        names.append([])
        for number in range(3):
            path = folder / f"<i>{group} {number}.mp4"
            wave = 0.3 * torch.sin(torch.arange(12800) * 0.1 * (number + 1 + group))[None]
            Clip.open(folder / f"silent{group}.mp4").with_audio(wave, 16000).save(path)
            names[-1].append(str(path))
    (folder / "<i>2 2.mp4").unlink()
    prompts = [[NASTY] * 3, ["rain on a roof"] * 3, ["the sea"] * 3]
    values = [[5.0, 3.0, 4.5], [2.0, 4.0, 1.0], [0.0, 1.0, 7.0]]
    quality = [[1.0, 2.0, 3.0], [6.0, 5.0, 4.0], [7.0, 8.0, 9.0]]
    table = pools(folder / "scores.parquet", values, clip=names, group=prompts, **{"toy.quality": quality})
    pairs = make_pairs(candidates_of(table), PairRule("all", dimensions=["toy.quality"]))
    return pairs, write_pairs_page(folder / "pairs.html", pairs)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    table = read_table(varied(folder / "scores.parquet", prompts=400, n=11))
    pairs = make_pairs(candidates_of(table), PairRule("all", test=0.2))
    return pairs, write_pairs_page(folder / "pairs.html", pairs)


def test_it_holds_every_pair_once(few, many):
    for pairs, path in (few, many):
        data = data_of(path)
        assert [[data["clips"][one][0], data["clips"][other][0]] for one, other, *_ in data["pairs"]] == [
            list(both) for both in zip(
                *(pairs.pool.table.column("clip").take(rows).to_pylist() for rows in (pairs.chosen, pairs.rejected)),
                strict=True,
            )
        ]  # fmt: skip
        assert [pair[3] for pair in data["pairs"]] == [float(f"{margin:.5g}") for margin in pairs.margin]
        assert [data["groups"][pair[2]] for pair in data["pairs"]] == [pairs.pool.names[i] for i in pairs.group]
        assert [bool(pair[4]) for pair in data["pairs"]] == pairs.worse.any(axis=1).tolist()
        assert sum(pair[5] for pair in data["pairs"]) == pairs.test.sum()


def test_few_clips_are_checked_and_many_are_linked(few, many):
    assert clips_to_prepare(few[0]) == 9
    assert clips_to_prepare(many[0]) == 0
    clips = {clip[0].rsplit("/", 1)[-1]: clip for clip in data_of(few[1])["clips"]}
    assert clips["<i>2 2.mp4"][1] == ""
    assert "<i>2 2.mp4" in clips["<i>2 2.mp4"][4]
    assert clips["<i>0 0.mp4"][1] == "./%3Ci%3E0%200.mp4"
    assert clips["<i>0 0.mp4"][3].startswith("data:image/jpeg")
    assert len(data_of(many[1])["clips"]) > FEW
    assert all(clip[4].endswith(": no such file") for clip in data_of(many[1])["clips"])
    assert many[1].stat().st_size < 60 * len(many[0]) + 200 * len(data_of(many[1])["clips"]) + 40_000


def test_text_from_data_is_no_markup(few):
    text = few[1].read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "<i>" not in text
    assert "<b>bold" not in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def until(driver, script: str, seconds: float = 30.0):
    end = time.monotonic() + seconds
    while not (value := driver.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"not true after {seconds} s: {script}"
        time.sleep(0.03)
    return value


def opened(driver, page, width: int = 1280, height: int = 900):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get_log("browser")
    driver.get(page[1].as_uri())
    return driver


def told(driver) -> str:
    return driver.execute_script("return document.getElementById('count').textContent")


def typed(driver, name: str, text: str) -> None:
    script = "const box = document.getElementById(arguments[0]); box.value = arguments[1]; "
    driver.execute_script(f"{script} box.dispatchEvent(new Event('input'))", name, text)


def test_thousands_of_pairs_in_pages(browser, many):
    pairs, _ = many
    opened(browser, many)
    assert len(pairs) > 20_000
    assert browser.execute_script("return document.querySelectorAll('.pair').length") == 20
    pages = -(-len(pairs) // 20)
    assert browser.execute_script("return document.getElementById('pages').textContent") == f"of {pages:,}"
    browser.find_element("css selector", "[data-go='1']").click()
    assert "no. 21" in browser.execute_script("return document.querySelector('.pair h3').textContent")
    browser.find_element("id", "page").clear()
    browser.find_element("id", "page").send_keys(f"{pages}\n")
    until(
        browser,
        f"document.getElementById('page').value == '{pages}' && document.querySelector('[data-go=\"1\"]').disabled",
    )
    assert browser.execute_script("return document.querySelectorAll('.pair').length") == len(pairs) - 20 * (pages - 1)


def test_search_margin_order_and_split(browser, many):
    pairs, _ = many
    opened(browser, many)
    typed(browser, "search", "PROMPT 37")
    wanted = sum("37" in pairs.pool.names[i] for i in pairs.group)  # each word is looked for
    until(browser, f"document.getElementById('count').textContent == '{wanted} of {len(pairs):,} pairs'")
    typed(browser, "search", "")
    typed(browser, "low", "3.5")
    wanted = int((pairs.margin >= 3.5).sum())
    until(browser, f"document.getElementById('count').textContent.startsWith('{wanted:,} of')")
    browser.execute_script(
        "const box = document.getElementById('order'); box.value = 'widest'; box.dispatchEvent(new Event('change'))"
    )
    first = browser.execute_script("return document.querySelector('.pair .at').textContent")
    assert float(first.split()[1]) == pytest.approx(pairs.margin.max(), rel=1e-3)
    browser.execute_script(
        "const box = document.getElementById('split'); box.value = '1'; box.dispatchEvent(new Event('change'))"
    )
    wanted = int(((pairs.margin >= 3.5) & pairs.test).sum())
    assert told(browser).startswith(f"{wanted:,} of")
    typed(browser, "search", "nothing is called so")
    until(browser, "!document.getElementById('nothing').hidden")


def test_clips_load_when_near_and_play_one_at_a_time_with_sound(browser, few):
    opened(browser, few)
    assert browser.title == f"{len(few[0])} preference pairs"
    first, second = (f"document.querySelectorAll('.pair video')[{i}]" for i in (0, 1))
    until(browser, f"{first}.readyState >= 1")
    browser.execute_script(f"{first}.loop = true; {first}.play()")
    until(browser, f"!{first}.paused && {first}.webkitAudioDecodedByteCount > 0")
    browser.execute_script(f"{second}.loop = true; {second}.play()")
    until(browser, f"{first}.paused && !{second}.paused")
    assert not browser.execute_script(f"return {second}.muted || {first}.closest('.one').classList.contains('playing')")
    heads = browser.execute_script(
        "return [...document.querySelectorAll('.pair h3')].map(e => e.firstChild.textContent)"
    )
    assert NASTY in heads
    missing = browser.execute_script("return [...document.querySelectorAll('.unplayable')].map(e => e.textContent)")
    assert missing
    assert all("<i>2 2.mp4" in text for text in missing)
    names = browser.execute_script("return [...document.querySelectorAll('.one span')].map(e => e.textContent)")
    assert names[:2] == ["<i>0 0.mp4", "<i>0 1.mp4"]  # of all clips the same folder
    worse = browser.execute_script("return document.querySelectorAll('.worse').length")
    assert worse == few[0].worse.sum()
    browser.find_element("id", "torn").click()
    assert told(browser) == f"{int(few[0].worse.any(axis=1).sum())} of {len(few[0])} pairs"
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_it_fits_the_screen(browser, few, width):
    opened(browser, few, width)
    assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for selector in ("[data-go='1']", ".pager input", "#search"):
        box = browser.execute_script(
            f'const box = document.querySelector("{selector}").getBoundingClientRect(); return [box.left, box.right]'
        )
        assert 0 <= box[0] < box[1] <= width
