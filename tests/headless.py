"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--mute-audio",
)  # fmt: skip
AUTOPLAY = "--autoplay-policy=no-user-gesture-required"


@contextmanager
def chromium(profile: Path, autoplay: bool = True) -> Iterator[Any]:
    """A driver; the test is skipped where there is none. Without `autoplay`, sound needs a gesture, as on a phone."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium; pip install 'avreward[dev]'")
    if not CHROMIUM or not CHROMEDRIVER:
        pytest.skip("no Chromium or ChromeDriver; on Debian: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *[AUTOPLAY] * autoplay, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    except Exception as error:
        pytest.skip(f"Chromium does not start here: {str(error).splitlines()[0]}")
    try:
        yield driver
    finally:
        driver.quit()


def until(driver: Any, script: str, seconds: float = 30.0) -> Any:
    """The value of a script as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := driver.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"not true after {seconds} s: {script}"
        time.sleep(0.03)
    return value


def enter(driver: Any, server: Any, name: str) -> str:
    """A person's token, after the name was given to a study's server."""
    driver.get(server.url)
    driver.find_element("name", "name").send_keys(name)
    driver.find_element("css selector", "button").click()
    until(driver, "location.pathname.startsWith('/ask/') && document.readyState == 'complete'")
    return str(driver.current_url.split("/")[4])
