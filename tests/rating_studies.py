"""A study of clips that are made here, and a person in a browser who rates them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import media_files
import torch
from headless import until

from avreward import Clip
from avreward.scoring import ListedClip
from avreward.studies import RatedDimension, RatingStudy, prepare_study

SHORT = [
    RatedDimension("quality", "Quality", "How good it is.", ("a", "b", "c", "d", "e")),
    RatedDimension("fit", "Fit"),
]


def dubs(folder: Path, groups: int = 2, each: int = 3, seconds: float = 0.8) -> list[ListedClip]:
    """Videos with several soundtracks each, of different loudness; `group` is a column."""
    listed = []
    for group in range(groups):
        length = seconds + 0.4 * group
        silent = folder / f"silent{group}.mp4"
        media_files.write(silent, round(10 * length), fps=10, size=(36 + 2 * group, 64))
        for number in range(each):
            wave = 0.4 / (1 + number) * torch.sin(torch.arange(round(16000 * length)) * 0.05 * (1 + number))[None]
            path = folder / f"NAME{group}{number}.mp4"
            Clip.open(silent).with_audio(wave, 16000).save(path)
            columns = {"group": f"GROUP{group}", "system": f"SYSTEM{number}"}
            listed.append(ListedClip(path, f"a prompt & <b>{group}</b>", columns))
    return listed


def study_of(folder: Path, mode: str, dimensions: Any = None, training: int = 0, **more: Any) -> RatingStudy:
    """A study of two groups of three dubs; the first `training` clips are for practice."""
    folder.mkdir(exist_ok=True)
    clips = dubs(folder)
    study = RatingStudy(folder / "study", mode, dimensions, **more)
    prepare_study(study, clips[training:], clips[:training])
    return study


def answer_everything(study: RatingStudy, token: str) -> None:
    """Answer what a person is asked: 0.0, 0.1, … on sliders, the first of two clips, the first sound as the best."""
    while (place := study.progress(token).place) is not None:
        task, names = study.task(token, place), [one.name for one in study.dimensions]
        if study.mode == "pairs":
            answer: dict[str, Any] = dict.fromkeys(names, "first")
        elif not names:
            answer = {"best": task.clips[0].name}
        else:
            answer = {clip.name: dict.fromkeys(names, place % 50 / 10) for clip in task.clips}
        study.record(token, task.key, answer)


def enter(driver: Any, server: Any, name: str) -> str:
    """Enter a name; return the address of the person."""
    driver.get(server.url)
    driver.find_element("name", "name").send_keys(name)
    driver.find_element("css selector", "button").click()
    until(driver, "location.pathname.startsWith('/rate/') && document.readyState == 'complete'")
    return driver.current_url.rsplit("/", 1)[0]


def keys(driver: Any, *pressed: str) -> None:
    for key in pressed:
        driver.find_element("tag name", "body").send_keys(key)


def disabled(driver: Any) -> bool:
    return driver.execute_script("return document.querySelector('button[type=submit]').disabled")


def move(driver: Any, name: str, value: float) -> None:
    """Drag a slider, as far as a page can tell."""
    driver.execute_script(
        "const input = document.getElementsByName(arguments[0])[0]; input.value = arguments[1];"
        "input.dispatchEvent(new Event('input', {bubbles: true}))",
        name,
        value,
    )


def press(driver: Any, selector: str) -> None:
    """Click what is scrolled to first."""
    scroll = "document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})"
    driver.execute_script(scroll, selector)
    driver.find_element("css selector", selector).click()


def send(driver: Any) -> None:
    """Press Next, and wait for the page that follows."""
    before = driver.current_url
    until(driver, "!document.querySelector('button[type=submit]').disabled")
    press(driver, "button[type=submit]")
    until(driver, f"location.href != '{before}' && document.readyState == 'complete'")


def text(driver: Any, selector: str = "header p") -> str:
    return driver.execute_script(f"return document.querySelector('{selector}')?.textContent ?? ''")
