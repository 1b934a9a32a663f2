"""The page in a real browser, from the disk, without a network: it loads late, plays with sound, and fits a phone."""

import shutil
import time
from pathlib import Path

import pytest
import torch

from avreward.clip import Clip
from avreward.report._media import media_of
from avreward.report.data import Bar, CandidateView, FailedFile, MeasurementView, Page
from avreward.report.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
SECONDS = 1.5
NAMES = ["best one.mp4", "100% #2?.mp4", "ünïcode 'quoted' & \"more\".mp4", *(f"{i}.mp4" for i in range(4, 15))]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium; on Debian: apt install chromium chromium-driver"),
    pytest.mark.skipif(not CHROMEDRIVER, reason="no ChromeDriver; on Debian: apt install chromium-driver"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a folder, #1")
    times = torch.arange(int(15 * SECONDS)) / 15
    picture = (torch.arange(96) / 96 + times[:, None, None, None]).expand(-1, 3, 64, -1) % 1
    tone = 0.5 * torch.sin(torch.arange(int(16000 * SECONDS)) * 0.2)[None]
    Clip(video=picture, fps=15, audio=tone, sample_rate=16000).save(folder / NAMES[0])
    candidates = []
    for place, name in enumerate(NAMES):
        if place:
            shutil.copy(folder / NAMES[0], folder / name)
        value = 95.0 - 6 * place
        bars = [Bar(d, value, 0, 100, "good", others=(30.0, 60.0)) for d in ("overall", "temporal_smoothness")]
        bars.append(Bar("av_consistency", None, 0, 100, reason="a long reason why there is no score for this one"))
        measurements = [
            MeasurementView("attack_decay_asymmetry", 0.1, "LUFS", 3.0, "a source with a long name, 1998")
        ] * 3
        media = media_of(Clip.open(folder / name), folder / "page.html", name)
        candidates.append(
            CandidateView(name, value, bars, media, measurements=measurements, facts=["1.5 s", "96 × 64"])
        )
    return write_page(
        Page(
            candidates,
            failures=[FailedFile("averylongfilename" * 9 + ".mp4", "the file is empty")],
            settings={"Reward fingerprint": "0123456789abcdef" * 8},
            notes=["signals does not read the prompt"],
            same_picture=True,
        ),
        folder / "page.html",
    )


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium; pip install 'avreward[dev]'")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    except Exception as error:
        pytest.skip(f"Chromium does not start here: {str(error).splitlines()[0]}")
    yield driver
    driver.quit()


@pytest.fixture
def desk(chrome, page):
    return opened(chrome, page, 1100, 800)


def opened(chrome, page: Path, width: int, height: int, mobile: bool = False):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for kind in ("browser", "performance"):
        chrome.get_log(kind)  # what belongs to the test before
    chrome.get(page.as_uri())
    return chrome


def until(chrome, script: str, seconds: float = 20.0):
    """The value of a JavaScript expression as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := chrome.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"not true after {seconds} s: {script}"
        time.sleep(0.05)
    return value


def test_best_first_with_everything_that_failed(desk):
    assert desk.execute_script("return [...document.querySelectorAll('.card h3')].map(e => e.textContent)") == NAMES
    assert "averylong" in desk.execute_script("return document.querySelector('.failures').textContent")


def test_media_load_when_scrolled_to_and_let_go_when_far(desk):
    until(desk, "document.querySelector('#c1 video').readyState >= 1")
    last = f"document.querySelector('#c{len(NAMES)} video')"
    assert desk.execute_script(f"return [{last}.readyState, {last}.preload]") == [0, "none"]
    desk.execute_script(f"document.documentElement.style.scrollBehavior = 'auto'; {last}.scrollIntoView()")
    until(desk, f"{last}.readyState >= 1")
    # A tall gap puts the first card far away: its player is given up, and comes back with it.
    desk.execute_script("document.querySelector('#c2').style.marginTop = '9000px'; scrollTo(0, 1e6)")
    until(desk, "!document.querySelector('#c1 video').hasAttribute('src')")
    desk.execute_script("scrollTo(0, 0)")
    until(desk, "document.querySelector('#c1 video').readyState >= 1")


def test_every_name_is_found(desk):
    for rank in (1, 2, 3):
        desk.execute_script(f"document.querySelector('#c{rank} video').preload = 'auto'")
        until(desk, f"document.querySelector('#c{rank} video').readyState >= 2")


def test_it_plays_with_sound_one_at_a_time_at_the_same_place(desk):
    first, second = (f"document.querySelector('#c{rank} video')" for rank in (1, 2))
    until(desk, f"{first}.readyState >= 1 && {second}.readyState >= 1")
    desk.execute_script(f"{first}.loop = {second}.loop = true; {first}.currentTime = 0.6; {first}.play()")
    until(desk, f"{first}.currentTime > 0.7 && {first}.webkitAudioDecodedByteCount > 0")
    assert abs(desk.execute_script(f"return {first}.duration") - SECONDS) < 0.1
    desk.execute_script(f"{first}.loop = {second}.loop = false; {second}.playbackRate = 0.1")
    until(desk, "!document.getElementById('switcher').hidden")
    desk.execute_script("document.querySelector('[data-play=\"2\"]').click()")
    until(desk, f"{first}.paused && !{second}.paused && {second}.currentTime > 0.5")
    assert desk.execute_script("return document.querySelector('.card.playing').id") == "c2"
    desk.execute_script("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', bubbles: true}))")
    until(desk, f"{second}.paused")


def test_a_click_on_the_picture_of_the_sound_goes_there(desk):
    video = "document.querySelector('#c1 video')"
    until(desk, f"{video}.readyState >= 1")
    desk.execute_script(f"{video}.playbackRate = 0.1")
    desk.execute_script(
        "const strip = document.querySelector('#c1 .strip'), box = strip.getBoundingClientRect();"
        "strip.dispatchEvent(new MouseEvent('click', {clientX: box.left + box.width / 2, bubbles: true}))"
    )
    until(desk, f"Math.abs({video}.currentTime - {SECONDS / 2}) < 0.2")


def test_a_phone_needs_no_sideways_scrolling(chrome, page):
    phone = opened(chrome, page, 360, 740, mobile=True)
    phone.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    phone.execute_script("document.querySelectorAll('.card').forEach(c => c.style.contentVisibility = 'visible')")
    assert phone.execute_script("return document.documentElement.scrollWidth") == 360
    assert phone.execute_script("return innerWidth") == 360


def test_nothing_comes_from_a_network_and_nothing_is_wrong(desk):
    until(desk, "document.querySelector('#c1 video').readyState >= 1")
    said = [entry for entry in desk.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not said
    asked = [entry["message"] for entry in desk.get_log("performance") if "requestWillBeSent" in entry["message"]]
    assert asked
    assert not [message for message in asked if '"url":"http' in message]
