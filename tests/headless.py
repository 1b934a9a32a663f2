"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import shutil
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
