"""The page of a tuning run, in a browser: curves, samples that play, warnings; on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from headless import chromium, until

from avreward import Clip
from avreward.report import TuningPage, TuningSample, write_tuning_page

WARNING = "probes: the reward prefers <black> frames " + "and_a_long_word" * 12


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a run, #1")
    tone = 0.5 * torch.sin(torch.arange(16000) * 0.2)[None]
    video = torch.rand(8, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    samples = {}
    for update in (0, 25):
        place = folder / "samples" / f"step-{update:06d}"
        place.mkdir(parents=True)
        Clip(video=video, fps=8, audio=tone, sample_rate=16000).save(place / "0.mp4")
        Clip(audio=tone, sample_rate=16000).save(place / "1.wav")
        samples[update] = [
            TuningSample(place / "0.mp4", "a kettle <whistles>", 0.5 + update, 0.25),
            TuningSample(place / "1.wav", "rain", None, None),
            TuningSample(place / "gone.mp4", "lost", 1.0, None),
        ]
    rising = [float(number) for number in range(40)]
    made = TuningPage(
        title="draft on 0.5*signals.audio_quality",
        status="Stopped after 40 of 100 updates: the held-out reward falls",
        stopped=True,
        warnings=[WARNING],
        curves=[
            ("Reward", "Mean of each update's clips.", {"reward": rising}),
            ("Gradient norm", "A gap where it was dropped.", {"gradient_norm": [None, *rising[1:]]}),
        ],
        samples=samples,
        settings={"generator": "tone.py:tone", "settings": '{"steps": 4}'},
        numbers={"reward": (0.0, 39.0), "kl": (None, 0.1)},
    )
    return write_tuning_page(made, folder / "report.html")


def test_text_is_escaped_and_no_network_is_asked(page: Path) -> None:
    text = page.read_text()
    assert "prefers &lt;black&gt; frames" in text
    assert "<whistles>" not in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(("width", "height", "mobile"), [(1280, 900, False), (390, 800, True)])
def test_it_fits_and_plays(page: Path, tmp_path, width: int, height: int, mobile: bool) -> None:
    with chromium(tmp_path) as chrome:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chrome.get(page.as_uri())
        assert until(chrome, "document.querySelectorAll('.chart path[class^=line]').length") == 2
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= width
        assert chrome.execute_script("return document.querySelectorAll('.unplayable').length") == 2
        heads = chrome.execute_script("return [...document.querySelectorAll('.checkpoint')].map(e => e.textContent)")
        assert heads == ["Before the first update", "After update 25"]
        video = "document.querySelector('#c1 video')"
        chrome.execute_script(f"{video}.scrollIntoView(); {video}.loop = true; {video}.play()")
        until(chrome, f"{video}.currentTime > 0.1 && {video}.webkitAudioDecodedByteCount > 0")
        audio = "document.querySelector('#c2 audio')"
        chrome.execute_script(f"{audio}.scrollIntoView(); {audio}.preload = 'auto'")
        until(chrome, f"{audio}.readyState >= 1")
        labels = "[...document.querySelectorAll('.plot .row, .plot .column')]"
        assert chrome.execute_script(f"return {labels}.every(e => e.getBoundingClientRect().left >= 0)")
        assert not [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
