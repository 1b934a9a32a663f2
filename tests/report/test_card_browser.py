"""The reward card in a real browser: it fits a desk and a phone, needs nothing, and says nothing in the console."""

import pytest
from report.test_browser import CHROMEDRIVER, CHROMIUM, chrome, opened  # noqa: F401  # a fixture
from report.test_card import card

from avreward.audit._statistics import Difference
from avreward.report.card import write_card

pytestmark = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no Chromium or no ChromeDriver")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    long = Difference(-123.456, -1234.5, -12.3, -123.4, 5)
    rows = [
        type(row)(
            **{**row.__dict__, "name": "a very long name of a probe " * 3, "to_median": long if row.there else None}
        )
        for row in card().probes
    ]
    made = card(probes=rows, clips=["averylongfilename" * 9 + ".mp4"], expression="0.4*signals.audio_quality+" * 12)
    return write_card(made, tmp_path_factory.mktemp("card") / "card.html")


@pytest.mark.parametrize(("width", "height", "mobile"), [(1280, 900, False), (390, 800, True)])
def test_it_fits(chrome, page, width, height, mobile) -> None:  # noqa: F811
    opened(chrome, page, width, height, mobile)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert chrome.execute_script(f"return {cut}.map(e => e.tagName + ' ' + e.className)") == []
    assert chrome.execute_script("return document.querySelectorAll('.charts svg .trained').length") == 2
    ticks = "document.querySelectorAll('.range .one')"
    assert chrome.execute_script(f"return {ticks}.length") == 5
    assert chrome.execute_script(f"return {ticks}[0].getBoundingClientRect().height") > 5
    assert not [entry for entry in chrome.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    asked = [entry["message"] for entry in chrome.get_log("performance") if "requestWillBeSent" in entry["message"]]
    assert not [message for message in asked if '"url":"http' in message]
