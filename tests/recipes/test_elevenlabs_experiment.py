"""The experiment from end to end: real media, a real browser, scripted people whose answers are known."""

import csv
import json
from pathlib import Path

import elevenlabs_experiment
import media_files
import numpy as np
import pytest
import torch
from elevenlabs_server import KEY, sound_server
from headless import chromium, enter, until

from avreward import Clip
from avreward.studies import Choices, ChoiceServer

CATEGORIES = ("Sea", "Fire", "Sea", "Fire", "Sea")
NAMES = [f"{kind.lower()}{i}" for i, kind in enumerate(CATEGORIES)]


def hits(rng: np.random.Generator) -> np.ndarray:
    """Three bursts of pink noise that decay, 0.8 s at 16 kHz, with a peak of 1."""
    spectrum = np.fft.rfft(rng.normal(0, 1, 12800))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    wave = np.fft.irfft(spectrum) * (np.exp(-5 * (np.arange(12800) / 4000 % 1)) + 0.05)
    return wave / np.abs(wave).max()


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """Five silent videos, two dubs each, a table of categories."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(0)
    (folder / "dubs").mkdir()
    for i, name in enumerate(NAMES):
        media_files.write(folder / f"{name}.mp4", 8, fps=10, size=(32, 48))
        for number in (0, 1):
            gain = 30.0 if number == i % 2 else 0.3  # the other one is overdriven
            wave = gain * hits(rng) + rng.normal(0, 0.0005, 12800)
            sound = torch.from_numpy(wave.clip(-1, 1)).float()[None]
            Clip(audio=sound, sample_rate=16000).save(folder / "dubs" / f"{name}_{number}.wav")
    with (folder / "categories.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("clip", "category"), *zip(NAMES, CATEGORIES, strict=True)])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def prepare(given: Path, out: Path, *more: str) -> int:
    videos = [str(given / f"{name}.mp4") for name in NAMES]
    dubs = ["--candidates", str(given / "dubs"), "--categories", str(given / "categories.csv")]
    return elevenlabs_experiment.main(
        ["prepare", str(out), "--videos", *videos, *dubs, "--reward", "signals.audio_quality", *more]
    )


@pytest.fixture(scope="module")
def out(given, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    assert prepare(given, folder) == 0
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(out):
    with ChoiceServer(Choices(out)) as running:
        yield running


def play(driver) -> None:
    """Plays both clips, fast."""
    for place in (0, 1):
        player = f"document.querySelectorAll('video')[{place}]"
        until(driver, f"{player}.readyState >= 2")
        driver.execute_script(f"{player}.playbackRate = 4; {player}.play()")
        until(driver, f"{player}.ended")


def answer(driver, server, token: str, behave, clicks: int = 1) -> str | None:
    """One question, as a person of this behaviour; what was chosen, or nothing at the end."""
    if not (key := driver.execute_script("return document.querySelector('[name=question]')?.value")):
        return None
    question = server.choices.question(token, key)
    pick = "first" if question.first == question.video.picked else "second"
    chosen = behave(pick, {"first": "second", "second": "first"}[pick])
    play(driver)
    driver.execute_script(
        f"document.querySelector('[value={chosen}]').click(); const next = document.querySelector('button');"
        f"for (let i = 0; i < {clicks}; i++) next.click()"
    )
    until(driver, f"document.readyState == 'complete' && document.querySelector('[name=question]')?.value != '{key}'")
    return "agree" if chosen == pick else "none" if chosen == "none" else "differ"


def by_itself(choices: Choices, name: str, behave) -> list[str]:
    """All questions as `answer` answers them, without a browser."""
    token, said = choices.person(name), []
    for question in choices.questions(token):
        pick = "first" if question.first == question.video.picked else "second"
        chosen = behave(pick, {"first": "second", "second": "first"}[pick])
        choices.record(token, question.key, chosen)
        said.append("agree" if chosen == pick else "differ")
    return said


def test_scripted_people_in_a_browser(browser, server, out, capsys, monkeypatch):
    rng = np.random.default_rng(1)
    behaviours = {
        "Agnes agrees": lambda pick, other: pick,
        "Leo picks left": lambda pick, other: "first",
        "Coco flips coins": lambda pick, other: (pick, other)[rng.integers(2)],
        "Emma 80 %": lambda pick, other: pick if rng.random() < 0.8 else other,
    }
    told: dict[str, list[str]] = {name: [] for name in behaviours}
    token = enter(browser, server, "Agnes agrees")
    while said := answer(browser, server, token, behaviours["Agnes agrees"], clicks=2):  # she clicks twice
        told["Agnes agrees"].append(said)
    assert "Thank you" in browser.execute_script("return document.querySelector('h1').textContent")
    for name in list(behaviours)[1:]:
        told[name] = by_itself(server.choices, name, behaviours[name])
    assert told["Agnes agrees"] == ["agree"] * 5
    assert all(len(said) == 5 for said in told.values())
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    assert elevenlabs_experiment.main(["result", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    agreed = [said == "agree" for all_said in told.values() for said in all_said]
    assert (found["all"]["share"], found["all"]["answers"]) == (pytest.approx(sum(agreed) / 20), 20)
    assert found["all"]["low"] < found["all"]["share"] < found["all"]["high"]
    assert found["all"]["method"] == "video and person"
    assert found["people"] == dict.fromkeys(behaviours, 5)
    assert {name: part["videos"] for name, part in found["categories"].items()} == {"Sea": 3, "Fire": 2}
    assert found["paper"]["all"] == {"videos": 230, "share": 0.8}
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks the lines of the table
    assert elevenlabs_experiment.main(["result", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "80% (74%–85%)" in shown
    assert "5 videos, 4 people" in shown


def test_somebody_stops_comes_back_and_cannot_tell(browser, server):
    token = enter(browser, server, "Sam")
    assert answer(browser, server, token, lambda pick, other: "none") == "none"
    assert enter(browser, server, "sam") == token
    assert "2 of 5" in browser.execute_script("return document.body.textContent")
    mine = [said.agrees for said in server.choices.answers() if said.person == "Sam"]
    assert mine == [None]


def test_nothing_can_be_answered_before_both_were_heard(browser, server):
    enter(browser, server, "Ida")
    next_button = "document.querySelector('button')"
    browser.execute_script("document.querySelector('[value=first]').click()")
    assert browser.execute_script(f"return {next_button}.disabled")
    first, second = (f"document.querySelectorAll('video')[{place}]" for place in (0, 1))
    until(browser, f"{first}.readyState >= 2 && {second}.readyState >= 2")
    browser.execute_async_script(  # a jump is no hearing; the page is told of the new time before it is done
        f"const done = arguments[0], video = {first};"
        "video.addEventListener('seeked', () => setTimeout(done), {once: true});"
        "video.currentTime = video.duration - 0.05"
    )
    assert "not played" in browser.execute_script("return document.querySelectorAll('[data-heard]')[0].textContent")
    browser.execute_script(f"{first}.loop = true; {first}.play()")
    until(browser, f"!{first}.paused && {first}.currentTime > 0.1")
    browser.execute_script(f"{second}.play()")
    until(browser, f"{first}.paused && !{second}.paused")  # one sounds at a time
    browser.execute_script(f"{first}.loop = false")
    play(browser)
    until(browser, f"!{next_button}.disabled")
    browser.execute_script(
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}));"
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )
    until(browser, "document.body.textContent.includes('2 of 5')")
    assert [said.agrees for said in server.choices.answers() if said.person == "Ida"] == [None]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (320, 640)])
def test_both_fit_the_screen_beside_or_below_each_other(browser, server, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    enter(browser, server, f"Eva {width}")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.side')].map(e => e.getBoundingClientRect()).map(b => [b.left, b.top])"
    )
    beside = boxes[0][1] == boxes[1][1]
    assert beside == (width > 640)
    assert boxes[0] != boxes[1]
    for selector in ("button", ".side label"):
        assert browser.execute_script(f"return document.querySelector('{selector}').offsetHeight") >= 44


def test_preparing_again_does_nothing_anew_and_another_reward_needs_another_folder(given, out, capsys):
    before = {path: path.stat().st_mtime_ns for path in (out / "clips_files").iterdir()}
    assert prepare(given, out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["videos"], found["left_out"], found["equal_rewards"]) == (5, {}, [])
    assert {path: path.stat().st_mtime_ns for path in (out / "clips_files").iterdir()} == before
    assert prepare(given, out, "--reward", "signals.static_quality") == 3
    assert "name another folder" in capsys.readouterr().err


def test_the_rater_picks_the_better_dub(out):
    assert {video.name: video.picked for video in Choices(out).videos()} == {
        name: 1 - i % 2 for i, name in enumerate(NAMES)
    }


def test_dubs_of_the_service_end_to_end(given, tmp_path, monkeypatch, capsys):
    pytest.importorskip("elevenlabs", reason="no ElevenLabs SDK; pip install 'avreward[elevenlabs]'")
    from avreward.integrations import elevenlabs

    (tmp_path / "sounds.csv").write_text(f"clip,text\n{NAMES[0]},waves\n{NAMES[1]},fire\n")
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    videos = [str(given / f"{name}.mp4") for name in NAMES[:3]] + [str(given / "broken.mp4")]
    command = ["prepare", str(tmp_path / "out"), "--videos", *videos, "--elevenlabs", "--json"]
    command += ["--describe", str(tmp_path / "sounds.csv"), "--credits", "200"]
    with sound_server(cost=50) as local:
        whole = elevenlabs.ElevenLabs
        monkeypatch.setattr(elevenlabs, "ElevenLabs", lambda *a, **k: whole(*a, base_url=local.url, **k))
        assert elevenlabs_experiment.main(command) == 0
        told = capsys.readouterr()
        found = json.loads(told.out)
        assert "ElevenLabs" not in told.err  # nothing failed: a repeated request would be paid twice
        assert sorted(request["text"] for request in local.requests) == ["fire", "fire", "waves", "waves"]
        assert (found["videos"], sorted(found["left_out"])) == (2, ["broken", NAMES[2]])
        assert "no text" in found["left_out"][NAMES[2]]
        (tmp_path / "sounds.csv").write_text(f"clip,text\n{NAMES[0]},waves\n{NAMES[1]},fire\n{NAMES[2]},more\n")
        assert elevenlabs_experiment.main(command) == 0  # 200 credits are spent
        said = capsys.readouterr()
        assert json.loads(said.out)["videos"] == 2
        assert "stopped: budget: 200 of 200 credits are spent" in said.err
        assert len(local.requests) == 4


def test_serving_until_it_is_interrupted(out, monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ChoiceServer, "serve_forever", interrupted)
    assert elevenlabs_experiment.main(["serve", str(out), "--port", "0"]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().err
    assert elevenlabs_experiment.main(["serve", str(out), "--port", "80000"]) == 3
    assert "elevenlabs_experiment: port: expected a free port, got 80000 " in capsys.readouterr().err


def test_one_person_and_one_answer(given, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    video = str(given / f"{NAMES[0]}.mp4")
    out, empty = str(tmp_path / "out"), tmp_path / "empty"
    empty.mkdir()
    command = ["prepare", out, "--videos", video, "--reward", "signals.audio_quality", "--candidates"]
    assert elevenlabs_experiment.main([*command, str(empty)]) == 3
    assert "it has 0 of the 2 candidates that a choice needs" in capsys.readouterr().err
    assert elevenlabs_experiment.main([*command, str(given / "dubs")]) == 0  # nothing could be asked in the first one
    assert capsys.readouterr().out.startswith("1 video can be asked about")
    by_itself(Choices(out), "Anna", lambda pick, other: pick)
    assert elevenlabs_experiment.main(["result", out]) == 0
    shown = capsys.readouterr().out
    assert "1 video, 1 person;" in shown
    assert "There is no interval with fewer than two answers that decide." in shown
    assert "clustered" not in shown


def test_tables_that_fit_no_video_or_not_all(given, tmp_path, capsys):
    table = tmp_path / "table.csv"
    table.write_text("clip,category\nother,Sea\n")
    assert prepare(given, tmp_path / "out", "--categories", str(table)) == 3
    told = capsys.readouterr().err
    assert f"{table}: no line is about one of the videos ({NAMES[0]}.mp4, {NAMES[1]}.mp4, " in told
    assert not (tmp_path / "out").exists()
    table.write_text(f"clip,category\n{NAMES[0]},Sea\n")
    only = ["--videos", *(str(given / f"{name}.mp4") for name in NAMES[:2])]
    assert prepare(given, tmp_path / "out", "--categories", str(table), *only) == 0
    assert f"{table}: it has no category for 1 video: {NAMES[1]}.mp4" in capsys.readouterr().err


def test_wrong_calls(given, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert prepare(given, tmp_path / "file") == 3
    assert capsys.readouterr().err == (
        f"elevenlabs_experiment: {tmp_path / 'file'}: can't be made (File exists); "
        "name another folder for the experiment\n"
    )
    assert elevenlabs_experiment.main(["result", str(tmp_path / "none")]) == 3
    assert "holds no experiment" in capsys.readouterr().err
    assert prepare(given, tmp_path / "a", "--reward", "nonsense") == 3
    assert "nonsense" in capsys.readouterr().err
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    video = str(given / f"{NAMES[0]}.mp4")
    assert elevenlabs_experiment.main(["prepare", str(tmp_path / "b"), "--videos", video, "--elevenlabs"]) == 3
    assert "ELEVENLABS_API_KEY" in capsys.readouterr().err
    broken = str(given / "broken.mp4")
    command = ["prepare", str(tmp_path / "c"), "--videos", broken, "--candidates", str(given / "dubs")]
    assert elevenlabs_experiment.main(command) == 3
    assert "left out: broken" in capsys.readouterr().err
