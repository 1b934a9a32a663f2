"""Small files to judge, files that can't be, and a way to run commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lmm_folders import agav_folder, omni_folder  # noqa: F401  # fixtures
from toy_raters import Toy
from typer.testing import CliRunner

from avreward.cli.main import app
from avreward.clip import Clip


@dataclass(frozen=True)
class Files:
    """What lies in a folder for the tests; `loud` beats `soft` on power and on overall."""

    folder: Path
    loud: Path
    soft: Path
    silent: Path
    wav: Path
    bad: dict[str, Path]


def tone(level: float, samples: int = 8000) -> torch.Tensor:
    return level * torch.sin(torch.arange(samples) * 0.3)[None]


@pytest.fixture(autouse=True)
def store(tmp_path_factory, monkeypatch) -> Path:
    """Give each test a shared store of its own."""
    folder = tmp_path_factory.mktemp("shared") / "store"
    monkeypatch.setenv("AVREWARD_STORE", str(folder))
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("clips")
    picture = torch.linspace(0.2, 0.6, 8)[:, None, None, None].expand(8, 3, 32, 48)
    made = Files(
        folder,
        folder / "loud.mp4",
        folder / "soft.mp4",
        folder / "silent.mp4",
        folder / "dub.wav",
        {name: folder / name for name in ("truncated.mp4", "empty.mp4", "text.mp4", "folder.mp4", "missing.mp4")},
    )
    silent = Clip(video=picture, fps=16)
    silent.save(made.silent)
    silent.with_audio(tone(0.8), 16000).save(made.loud)
    silent.with_audio(tone(0.2), 16000).save(made.soft)
    Clip(audio=tone(0.5), sample_rate=16000).save(made.wav)
    made.bad["truncated.mp4"].write_bytes(made.loud.read_bytes()[:300])
    made.bad["empty.mp4"].touch()
    made.bad["text.mp4"].write_text("this is no film")
    made.bad["folder.mp4"].mkdir()
    return made


@pytest.fixture
def dubs(files, tmp_path) -> Path:
    """Two folders: in `rain` the loud dub is the first, in `drum` the second."""
    folder = tmp_path / "dubs"
    for name, source in {
        "drum/1.mp4": files.soft, "drum/2.mp4": files.loud, "rain/1.mp4": files.loud, "rain/2.mp4": files.soft,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture
def toy(monkeypatch) -> Toy:
    """A rater whose scores are known by hand, in the place of every rater."""
    rater = Toy()
    monkeypatch.setattr("avreward.raters.hub.load_rater", lambda name="signals": rater)
    return rater


@pytest.fixture
def run() -> Callable:
    """Runs a command; the result has `exit_code`, `stdout` and `stderr`. A traceback fails the test."""

    def invoke(*arguments: object, environment: dict[str, str] | None = None):
        result = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"} | (environment or {})).invoke(
            app, [str(a) for a in arguments]
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
