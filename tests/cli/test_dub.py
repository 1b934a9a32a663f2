"""`avreward dub`: from a folder, from the ElevenLabs protocol on a local server, and from a generator in a file."""

import json

import pandas
import pytest
import torch
from elevenlabs_server import KEY, sound_server

from avreward.clip import Clip

PIPELINE = """
import torch

def generate(clip, seed):
    return clip.with_audio((0.1 + 0.3 * seed) * torch.sin(torch.arange(8000) * 0.3)[None], 16000)
"""


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "silent"
    folder.mkdir()
    for name in ("rain", "dog"):
        Clip(video=torch.full((8, 3, 32, 48), 0.4), fps=16).save(folder / f"{name}.mp4")
        for take, level in enumerate((0.2, 0.6)):
            tone = level * torch.sin(torch.arange(8000) * 0.3)[None]
            Clip(audio=tone, sample_rate=16000).save(tmp_path / f"{name}_{take}.wav")
    return folder


def test_ready_dubs_of_a_folder(run, toy, videos, tmp_path):
    (tmp_path / "c.csv").write_text("clip,category\nrain.mp4,Water\n")
    out = tmp_path / "out"
    result = run("dub", videos, "--candidates", tmp_path, "--out", out, "--categories", tmp_path / "c.csv")
    assert result.exit_code == 0, result.stderr
    assert "2 of 2 videos dubbed" in result.stdout
    assert f"avreward ask {out / 'pairs.csv'}" in result.stdout
    assert sorted(path.name for path in (out / "best").iterdir()) == ["dog.mp4", "rain.mp4"]
    pairs = pandas.read_csv(out / "pairs.csv").set_index("group")
    assert pairs.loc["rain", "category"] == "Water"
    assert pairs.loc["rain", "chosen"].endswith("rain/1.mp4")  # the louder one
    found = json.loads(run("dub", videos, "--candidates", tmp_path, "--out", out, "--json").stdout)
    assert (found["pairs"], found["failed"]) == (2, {})


def test_elevenlabs_shows_its_plan_and_spends_only_when_told(run, toy, videos, tmp_path, monkeypatch):
    pytest.importorskip("elevenlabs")
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    (tmp_path / "p.csv").write_text("clip,prompt\nrain.mp4,heavy rain\ndog.mp4,a dog barks\n")
    out = tmp_path / "out"
    with sound_server() as server:
        arguments = ("dub", videos, "--provider", "elevenlabs", "--out", out, "--prompts", tmp_path / "p.csv")
        arguments = (*arguments, "--base-url", server.url)
        plan = run(*arguments, "--plan")
        assert plan.exit_code == 0, plan.stderr
        assert "4 requests, at most 80 credits" in plan.stdout
        assert "heavy rain" in plan.stderr
        assert list(pandas.read_csv(out / "plan.csv")["text"]) == ["a dog barks", "heavy rain"]
        refused = run(*arguments)
        assert (refused.exit_code, "add --yes" in refused.stderr) == (2, True)
        assert server.requests == []
        done = run(*arguments, "--yes")
        assert done.exit_code == 0, done.stderr
        assert len(server.requests) == 4
        assert run(*arguments, "--yes").exit_code == 0
        assert len(server.requests) == 4  # paid once
    assert len(list((out / "best").glob("*.mp4"))) == 2


def test_a_spent_budget_keeps_what_there_is(run, toy, videos, tmp_path, monkeypatch):
    pytest.importorskip("elevenlabs")
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    (tmp_path / "p.csv").write_text("clip,prompt\nrain.mp4,heavy rain\ndog.mp4,a dog barks\n")
    with sound_server() as server:
        result = run(
            "dub", videos, "--provider", "elevenlabs", "--out", tmp_path / "out", "--prompts", tmp_path / "p.csv",
            "--base-url", server.url, "--yes", "--calls", "2",
        )  # fmt: skip
    assert result.exit_code == 1
    assert "stopped:" in result.stderr
    assert len(list((tmp_path / "out" / "best").glob("*.mp4"))) == 1


def test_a_generator_in_a_file(run, toy, videos, tmp_path):
    (tmp_path / "mine.py").write_text(PIPELINE)
    out = tmp_path / "out"
    mine = f"{tmp_path / 'mine.py'}:generate"
    result = run("dub", videos, "--provider", "pipeline", "--pipeline", mine, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert len(list(out.glob("candidates/*/*.mp4"))) == 4
    wrong = run("dub", videos, "--provider", "pipeline", "--pipeline", mine[:-1], "--out", out)
    assert wrong.exit_code in (2, 3)
    assert "did you mean generate?" in wrong.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "--provider folder needs --candidates"),
        (("--provider", "pipeline"), "--provider pipeline needs --pipeline"),
        (("--provider", "elevenlabs", "--candidates", "x"), "it belongs to --provider folder"),
        (("--candidates", "x", "--plan"), "only --provider elevenlabs has a plan"),
    ],
)
def test_options_that_do_not_fit(run, videos, tmp_path, options, problem):
    result = run("dub", videos, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not (tmp_path / "out").exists()
