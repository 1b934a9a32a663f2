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


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    study = study_of(tmp_path_factory.mktemp("pairs"), "pairs", SHORT, training=0)
    with RatingServer(study) as server:
        yield server


@pytest.fixture(scope="module")
def soundtracks(tmp_path_factory):
    study = study_of(tmp_path_factory.mktemp("soundtracks"), "soundtracks")
    with RatingServer(study) as server:
        yield server


def vote(driver, **choices: str) -> None:
    for name, value in choices.items():
        driver.execute_script(f'document.querySelector(\'[name="vote.{name}"][value="{value}"]\').click()')


def hear_both(driver) -> None:
    for place in (0, 1):
        player = f"document.querySelectorAll('video')[{place}]"
        until(driver, f"{player}.readyState >= 2")
        driver.execute_script(f"{player}.playbackRate = 3")
        keys(driver, str(place + 1))
        until(driver, f"{player}.ended")


def test_a_person_compares_two_clips_and_changes_a_vote(browser, pairs):
    where = enter(browser, pairs, "Ada")
    vote(browser, quality="first", fit="tie")
    assert disabled(browser)
    hear_both(browser)
    send(browser)
    (stored,) = pairs.study.answers()
    assert (stored.answer, len(stored.clips)) == ({"quality": "first", "fit": "tie"}, 2)
    browser.get(f"{where}/1")
    assert browser.execute_script("return [...document.querySelectorAll('input:checked')].map((e) => e.value)") == [
        "first",
        "tie",
    ]
    vote(browser, quality="tie")
    send(browser)
    assert browser.current_url == f"{where}/2"
    (stored,) = pairs.study.answers()
    assert (stored.answer["quality"], stored.changed) == ("tie", 1)
    page = browser.page_source
    assert "NAME" not in page
    assert "SYSTEM" not in page
    assert "a prompt &amp; &lt;b&gt;" in page


def test_one_soundtrack_is_heard_at_a_time_and_the_video_goes_on(browser, soundtracks):
    enter(browser, soundtracks, "Cy")
    players = "[...document.querySelectorAll('video')]"
    until(browser, f"{players}.every((one) => one.readyState >= 2)")
    assert browser.execute_script(f"return {players}.every((one) => one.paused)")
    press(browser, "[data-listen='1']")
    until(browser, f"{players}[1].currentTime > 0.1 && {players}[1].webkitAudioDecodedByteCount > 0")
    state = f"return {players}.map((one) => [one.muted, one.paused, getComputedStyle(one).visibility])"
    hidden, shown = [True, False, "hidden"], [False, False, "visible"]
    assert browser.execute_script(state) == [hidden, shown, hidden]
    press(browser, "[data-listen='2']")
    assert browser.execute_script(state) == [hidden, hidden, shown]  # none has stopped
    near = (
        f"Math.max(...{players}.map((one) => one.currentTime)) - Math.min(...{players}.map((one) => one.currentTime))"
    )
    until(browser, f"{near} < 0.2")
    for place in range(3):
        assert disabled(browser)
        press(browser, f"[data-listen='{place}']")
        until(browser, f"!document.querySelectorAll('[data-heard]')[{place}].textContent")
    press(browser, "[data-play]")
    until(browser, f"{players}.every((one) => one.paused)")
    assert disabled(browser)  # nothing is chosen
    press(browser, "[name=best][value='2']")
    best = soundtracks.study.task(soundtracks.study.person("Cy"), 1).clips[2].name
    send(browser)
    assert [answer.answer for answer in soundtracks.study.answers()] == [{"best": best}]
    assert text(browser) == "2 of 2"
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_pairs_and_soundtracks_fit_the_screen(browser, pairs, soundtracks, width):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    enter(browser, pairs, f"Eva {width}")
    fits(browser, width, ("button[type=submit]", "[data-repeat]", ".options label"))
    enter(browser, soundtracks, f"Eva {width}")
    fits(browser, width, ("button[type=submit]", ".listen", ".track label", ".neither", "[data-play]"))
