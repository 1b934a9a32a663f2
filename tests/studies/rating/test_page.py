"""The page in a browser that lets nothing play by itself: a scripted person rates, reloads, goes back, changes."""

import pytest
from headless import chromium
from rating_studies import SHORT, disabled, enter, keys, move, press, send, study_of, text, until

from avreward.studies import RatingServer


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), autoplay=False) as driver:
        yield driver


@pytest.fixture(scope="module")
def sliders(tmp_path_factory):
    study = study_of(tmp_path_factory.mktemp("sliders"), "scores", SHORT, training=1)
    with RatingServer(study) as server:
        yield server


def hear(driver) -> None:
    until(driver, "document.querySelector('video').readyState >= 2")
    assert driver.execute_script("return document.querySelector('video').paused")
    driver.execute_script("document.querySelector('video').playbackRate = 3")
    keys(driver, " ")
    until(driver, "document.querySelector('video').ended")


def test_a_person_rates_reloads_goes_back_and_changes_an_answer(browser, sliders):
    study = sliders.study
    where = enter(browser, sliders, "Ada")
    assert text(browser) == "Practice"
    hear(browser)
    assert disabled(browser)  # no slider was moved
    move(browser, "score.0.quality", 1)
    assert disabled(browser)
    browser.execute_script("document.getElementsByName('score.0.fit')[0].click()")  # where it stands
    assert text(browser, ".dimension:last-child output") == "2.5"
    send(browser)
    assert text(browser) == "1 of 5"
    move(browser, "score.0.quality", 3.7)
    move(browser, "score.0.fit", 0)
    assert disabled(browser)  # not played
    hear(browser)
    assert text(browser, ".now dt") == "3–4 Good"
    send(browser)
    assert text(browser) == "2 of 5"
    browser.refresh()
    assert text(browser) == "2 of 5"
    assert browser.current_url == f"{where}/3"
    first = next(a for a in study.answers() if not a.training)
    assert list(first.answer.values()) == [{"quality": 3.7, "fit": 0.0}]
    press(browser, ".back")
    until(browser, "document.querySelector('header p')?.textContent == '1 of 5'")
    values = "[...document.querySelectorAll('output')].map((one) => one.textContent).join()"
    assert browser.execute_script(f"return {values}") == "3.7,0.0"
    move(browser, "score.0.fit", 4.2)
    send(browser)  # it was heard before
    assert text(browser) == "2 of 5"
    changed = next(a for a in study.answers() if a.question == first.question)
    assert (list(changed.answer.values()), changed.changed) == ([{"quality": 3.7, "fit": 4.2}], 1)
    enter(browser, sliders, "ada")  # another day
    for place in range(2, 6):
        assert text(browser) == f"{place} of 5"
        hear(browser)
        move(browser, "score.0.quality", place)
        move(browser, "score.0.fit", 1)
        send(browser)
    assert "All 5 questions are answered" in text(browser, "body")
    assert {a.question for a in study.answers() if not a.training} == {c.name for c in study.clips()[1:]}
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_repeat_plays_from_the_beginning(browser, sliders):
    enter(browser, sliders, "Bo")
    hear(browser)
    press(browser, "[data-repeat]")
    until(browser, "(({ended, currentTime}) => !ended && currentTime > 0)(document.querySelector('video'))")
    assert browser.execute_script("return document.querySelector('video').webkitAudioDecodedByteCount") > 0


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (320, 640)])
def test_sliders_fit_the_screen(browser, sliders, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    enter(browser, sliders, f"Eva {width}")
    fits(browser, width, ("button[type=submit]", "[data-repeat]", ".slider input"))


def fits(driver, width, selectors):
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    for selector in selectors:
        box = driver.execute_script(
            f"const box = document.querySelector('{selector}').getBoundingClientRect();"
            "return [box.left, box.right, box.height]"
        )
        assert box[0] >= 0
        assert box[1] <= width
        assert box[2] >= 44
