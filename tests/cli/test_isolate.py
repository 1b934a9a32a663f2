"""`--isolate`: every command that decodes many files can do it in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from typer.main import get_command

from avreward.cli.main import app
from avreward.media._isolated import workers

FEW = {"demo", "raters", "convert", "explain", "verify"}  # they decode a clip or two, or none
TUNING = "generator: g.py:make\nconditions: clips\nreward: audio_quality\noutput: tuned\nloop: draft\nupdates: 1\n"
INPUTS = {
    "score": ["clips", "--out", "o.csv"],
    "rank": ["clips"],
    "curve": ["clips"],
    "filter": ["clips", "--top", "1", "--out", "o.csv"],
    "pairs": ["clips", "--out", "o"],
    "compare": ["clips"],
    "probe": ["audio_quality", "clips"],
    "perturb": ["clips", "--out", "o"],
    "evaluate": ["signals", "rated.csv"],
    "teach": ["judged.csv", "--out", "o"],
    "ask": ["judged.csv", "--out", "o"],
    "study": ["clips", "--out", "o"],
    "dub": ["clips", "--provider", "folder", "--candidates", "clips", "--out", "o"],
    "tune": ["tune.yaml"],
    "distill": ["signals", "clips", "--dimension", "audio_quality", "--out", "o"],
    "leaderboard": ["audio_quality", "overall", "--clips", "clips"],
}
ELSEWHERE = {"train"}  # which counts its examples itself
ALWAYS = {"serve"}


@pytest.fixture
def entered(tmp_path, monkeypatch) -> list[bool]:
    """Files that don't decode, and what is noted when decoding in other processes begins."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        (tmp_path / "clips" / f"{name}.wav").write_bytes(b"RIFF" + name.encode())
    (tmp_path / "judged.csv").write_text("first,second,preferred,prompt\nclips/a.wav,clips/b.wav,first,rain\n")
    (tmp_path / "rated.csv").write_text("clip,overall\nclips/a.wav,3\nclips/b.wav,4\n")
    (tmp_path / "tune.yaml").write_text(TUNING)
    noted: list[bool] = []

    @contextmanager
    def isolated(pool: object = None) -> Iterator[None]:
        noted.append(True)
        yield

    monkeypatch.setattr(workers, "_entered", isolated)
    return noted


def commands() -> dict[str, set[str]]:
    found = get_command(app).commands
    return {name: {option for one in command.params for option in one.opts} for name, command in found.items()}


def test_every_command_that_decodes_many_files_has_the_option():
    assert {name for name, options in commands().items() if "--isolate" not in options} == FEW | ALWAYS
    assert set(commands()) == FEW | ALWAYS | ELSEWHERE | set(INPUTS)


@pytest.mark.parametrize("name", INPUTS)
def test_decoding_in_processes_of_their_own(run, entered, name):
    assert run(name, *INPUTS[name], "--isolate").exit_code in (1, 2, 3)
    assert entered == [True]
    entered.clear()
    run(name, *INPUTS[name])  # few files
    run(name, *INPUTS[name], "--no-isolate")
    assert entered == []


@pytest.mark.parametrize("name", ["score", "rank", "pairs", "curve", "teach"])
def test_by_default_for_many_files(run, entered, tmp_path, name):
    for number in range(33):
        (tmp_path / "clips" / f"{number}.wav").write_bytes(b"RIFF" + str(number).encode())
    rows = "".join(f"clips/{i}.wav,clips/{i + 1}.wav,first,rain\n" for i in range(32))
    (tmp_path / "judged.csv").write_text("first,second,preferred,prompt\n" + rows)
    run(name, *INPUTS[name])
    assert entered == [True]


@pytest.mark.slow
def test_a_file_that_crashes_its_decoder_is_named(run, files, tmp_path, monkeypatch):
    from functools import partial

    from avreward.clip import Clip

    monkeypatch.setattr(workers, "Workers", partial(workers.Workers, modules=["attacks.bad_decoder"]))
    for name, level in (("a", 0.1), ("b", 0.2), ("crash", 0.3)):
        (tmp_path / "clips").mkdir(exist_ok=True)
        Clip(audio=level * torch.sin(torch.arange(4000) * 0.3)[None], sample_rate=8000).save(
            tmp_path / f"clips/{name}.wav"
        )
    found = run("curve", tmp_path / "clips", "--isolate", "--json")
    assert found.exit_code == 0
    assert "crash.wav: its decoder ended (SIGSEGV)" in found.stderr.replace("\n", " ")
    assert json.loads(found.stdout)["candidates"] == 2
