"""The page in a browser that lets nothing play by itself: a scripted person answers, reloads, goes back, changes."""

import media_files
import pytest
import torch
from headless import chromium, enter, until

from avreward import Clip
from avreward.studies import ChoiceServer, PairRow, prepare_pairs

NASTY = "<script>document.title = 'hacked'</script> \"quoted\" & 'more' </p>"


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    """A pair of each kind, with names and prompts that would break a careless page."""
    folder = tmp_path_factory.mktemp("clips")
    for i in range(2):
        media_files.write(folder / f"silent{i}.mp4", 8 + i, fps=10, size=(36, 64))
    for i in range(3):
        wave = 0.3 * torch.sin(torch.arange(12800) * 0.1 * (i + 1))[None]
        Clip(audio=wave, sample_rate=16000).save(folder / f"<b>{i}.wav")
        Clip.open(folder / f"silent{i // 2}.mp4").with_audio(wave, 16000).save(folder / f"dub{i}.mp4")
    names = [
        ("dub0.mp4", "dub1.mp4"),
        ("dub1.mp4", "dub2.mp4"),
        ("silent0.mp4", "silent1.mp4"),
        ("<b>0.wav", "<b>1.wav"),
    ]
    rows = [PairRow((folder / one, folder / two), (one, two), 0, prompt=NASTY) for one, two in names]
    return prepare_pairs(rows, tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def server(choices):
    with ChoiceServer(choices) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), autoplay=False) as driver:
        yield driver


def keys(driver, *pressed: str) -> None:
    for key in pressed:
        driver.find_element("tag name", "body").send_keys(key)


def hear_both(driver) -> None:
    """Press the keys that play the two clips, as a person does; nothing else lets a browser make a sound."""
    for place in (0, 1):
        player = f"document.querySelectorAll('video, audio')[{place}]"
        until(driver, f"{player}.readyState >= 2")
        assert driver.execute_script(f"return [{player}.paused, {player}.muted, {player}.autoplay]") == [
            True,
            False,
            False,
        ]
        driver.execute_script(f"{player}.playbackRate = 3")
        keys(driver, str(place + 1))
        until(driver, f"{player}.ended")


def chosen(driver) -> str | None:
    return driver.execute_script("return document.querySelector('form.question').elements.choice.value || null")


def place_of(driver) -> str:
    return driver.execute_script("return document.querySelector('header p').textContent")


def answer(driver, arrow: str) -> None:
    before = driver.current_url
    keys(driver, {"first": "\ue012", "second": "\ue014", "none": "\ue015"}[arrow], "\ue007")
    until(driver, f"location.href != '{before}' && document.readyState == 'complete'")


def test_somebody_answers_reloads_goes_back_and_changes_an_answer(browser, server, choices):
    enter(browser, server, "Ada")
    hear_both(browser)
    answer(browser, "first")
    assert place_of(browser) == "2 of 4"
    browser.refresh()  # nothing is lost
    assert (place_of(browser), chosen(browser)) == ("2 of 4", None)
    assert [row[5] for row in choices.rows() if row[1] == "Ada"] == ["first"]
    browser.find_element("css selector", ".back").click()
    until(browser, "document.querySelector('header p')?.textContent == '1 of 4'")
    assert chosen(browser) == "first"
    assert not browser.execute_script("return document.querySelector('button').disabled")  # both were heard before
    answer(browser, "second")
    assert place_of(browser) == "2 of 4"
    assert [(row[5], row[8]) for row in choices.rows() if row[1] == "Ada"] == [("second", 1)]
    browser.back()
    until(browser, "document.querySelector('header p')?.textContent == '1 of 4'")
    assert chosen(browser) == "second"
    enter(browser, server, "ada")  # another day
    for place in (2, 3, 4):
        assert place_of(browser) == f"{place} of 4"
        hear_both(browser)
        answer(browser, "none")
    assert "Thank you, Ada" in browser.execute_script("return document.body.textContent")
    assert len([row for row in choices.rows() if row[1] == "Ada"]) == 4
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_what_is_asked_fits_the_clips_and_prompts_are_text(browser, server, choices):
    enter(browser, server, "Bo")
    where, found = browser.current_url.rsplit("/", 1)[0], {}
    for place in range(1, 5):
        browser.get(f"{where}/{place}")
        heading, prompt, players, silent = browser.execute_script(
            "return [document.querySelector('h1').textContent, document.querySelector('.prompt')?.textContent,"
            "[...document.querySelectorAll('video, audio')].map(e => e.tagName),"
            "document.querySelector('.told').textContent.includes('headphones')]"
        )
        found[heading] = (players[0], prompt is not None, silent)
        assert prompt is None or prompt == f"Text{NASTY}"
        assert browser.title == f"{place} of 4"
    assert found == {
        "Which sound goes better with the video?": ("VIDEO", False, True),
        "Which clip is better?": ("VIDEO", True, True),
        "Which video is better?": ("VIDEO", True, False), "Which sound is better?": ("AUDIO", True, True),
    }  # fmt: skip


def test_sound_plays_and_one_at_a_time(browser, server):
    enter(browser, server, "Cy")
    where = browser.current_url.rsplit("/", 1)[0]
    for place in range(1, 5):
        browser.get(f"{where}/{place}")
        if "sound goes" in browser.execute_script("return document.querySelector('h1').textContent"):
            break
    first, second = (f"document.querySelectorAll('video')[{i}]" for i in (0, 1))
    until(browser, f"{first}.readyState >= 2 && {second}.readyState >= 2")
    browser.execute_script("for (const v of document.querySelectorAll('video')) v.loop = true")
    keys(browser, "1")
    until(browser, f"!{first}.paused && {first}.webkitAudioDecodedByteCount > 0")
    keys(browser, "2")
    until(browser, f"{first}.paused && !{second}.paused && {second}.webkitAudioDecodedByteCount > 0")
    assert browser.execute_script(f"return [{second}.muted, {second}.volume]") == [False, 1]
    keys(browser, "2")
    until(browser, f"{second}.paused")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (320, 640)])
def test_every_question_fits_the_screen(browser, server, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    enter(browser, server, f"Eva {width}")
    where = browser.current_url.rsplit("/", 1)[0]
    for place in range(1, 5):
        browser.get(f"{where}/{place}")
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
        for selector in ("button", ".side label", ".neither", *[".back"] * (place > 1)):
            box = browser.execute_script(
                f"const box = document.querySelector('{selector}').getBoundingClientRect();"
                "return [box.left, box.right, box.height]"
            )
            assert box[0] >= 0
            assert box[1] <= width
            assert box[2] >= 44
