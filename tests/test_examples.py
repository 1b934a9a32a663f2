"""Every example in a docstring runs and gives what it says.

What an example may take as given, beside the names of its own module, is what a reader would guess:

- `torch`, and what ``from avreward import *`` gives;
- `clips`: three dubs of one film of one second: its own sound under noise, its own sound, and that of another film;
  `clip`: the second, the best;
- `paths`: the names of their files, ``dub1.mp4`` to ``dub3.mp4``, which lie in the working directory;
- ``scores.parquet`` there: what `avreward score` writes, of 24 prompts with four clips each;
- ``checkpoints/a`` and ``checkpoints/b`` there: trained raters, here tiny AGAV-Raters with random weights;
- `rater`: ``load_rater("signals")``; `reward`: its ``rater["overall"]``.

Lines with ``# doctest: +SKIP`` need a published checkpoint, a trainer or the like; they only have to compile.
"""

from __future__ import annotations

import doctest
import os
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scored_tables
import torch
from tiny_agav_rater import write_tiny

import avreward
from avreward import Clip, load_rater
from avreward.datasets.synthetic.scenes import scene
from avreward.rewards.function_base import FUNCTIONS

RECIPES = Path(__file__).parents[1] / "recipes"
MODULES = ["avreward", *sorted(found.name for found in pkgutil.walk_packages(avreward.__path__, "avreward."))]
MODULES += sorted(path.stem for path in RECIPES.glob("tiny_*") if path.suffix in ("", ".py"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PATHS = ["dub1.mp4", "dub2.mp4", "dub3.mp4"]


def examples(module: ModuleType, names: Mapping[str, Any]) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs={**names, **vars(module)})
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    own, other = (scene(seed, "bursts", seconds=1.0).clip for seed in (7, 9))
    film = Clip(video=own.video, fps=own.fps, prompt="fireworks")
    noise = 0.02 * torch.randn(own.audio.shape, generator=torch.Generator().manual_seed(0))
    waves = [(own.audio + noise, own), (own.audio, own), (other.audio, other)]
    return [film.with_audio(wave, of.sample_rate) for wave, of in waves]


@pytest.fixture(scope="module")
def names(clips) -> dict[str, object]:
    public = {name: getattr(avreward, name) for name in avreward.__all__}
    rater = load_rater("signals")
    given = {"clips": clips, "clip": clips[1], "paths": PATHS, "rater": rater, "reward": rater["overall"]}
    return {"torch": torch, **public, **given}


@pytest.fixture(scope="module")
def files(clips, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    clips[1].save(folder / PATHS[1])
    film = Clip.open(folder / PATHS[1])  # whose packets are copied, so that the dubs share their picture
    for path, clip in ((PATHS[0], clips[0]), (PATHS[2], clips[2])):
        film.with_audio(clip.audio, clip.sample_rate).save(folder / path)
    for seed, name in enumerate("ab"):
        write_tiny(folder / "checkpoints" / name, seed, frames=2)
    columns = ("signals.overall", "signals.audio_quality")
    drawn = np.random.default_rng(0).normal(60, 5, (96, 2))
    rows = [
        {
            "prompt": f"prompt {i // 4}",
            "seed": i % 4,
            "reward": a,
            "sigma": 1.0,
            **dict(zip(columns, (a, b), strict=True)),
        }
        for i, (a, b) in enumerate(drawn)
    ]
    scored_tables.write(folder / "scores.parquet", rows, columns)
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, names, files, tmp_path, monkeypatch) -> None:
    module = import_module(name)
    tests = examples(module, names)
    if tests:
        copytree(files, tmp_path, copy_function=os.link, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
    said: list[str] = []
    for test in tests:
        for example in test.examples:
            compile(example.source, test.name, "single")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    FUNCTIONS.pop("twice", None)  # what an example registers
    if said:
        pytest.fail("".join(said), pytrace=False)
