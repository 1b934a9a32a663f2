"""`avreward leaderboard`: from comparisons or candidates to a table, a page and JSON."""

import csv
import json
from pathlib import Path

import pytest
import torch

from avreward import Clip
from avreward.datasets import scene


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    generator = torch.Generator().manual_seed(1)
    with (folder / "choices.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["first", "second", "preferred", "group"])
        for group in range(4):
            (folder / str(group)).mkdir()
            for side, size in enumerate((0.4, 0.05)):
                wave = size * torch.sin(torch.arange(3000) * 0.05) + 0.01 * torch.randn(3000, generator=generator)
                Clip(audio=wave.clamp(-1, 1)[None], sample_rate=8000).save(folder / f"{group}/{side}.wav")
            table.writerow([f"{group}/0.wav", f"{group}/1.wav", "first", group])
    return folder


def test_a_study_becomes_a_leaderboard(run, study, tmp_path):
    out = tmp_path / "board.html"
    result = run("leaderboard", "good=loudness", "clipping", "--study", study / "choices.csv", "--attacked", "0",
                 "--out", out, "--out", tmp_path / "board.csv", "--json", "--no-isolate")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [row["reward"] for row in told["rewards"]] == ["good", "clipping"]
    assert told["rewards"][0]["pairs"] == 4
    assert told["rewards"][0]["agreement"] == 1.0
    assert (told["clips"], told["groups"]) == (8, 4)
    assert told["rewards"][0]["held_out"] == ""  # both read signals
    assert "avreward leaderboard" in out.read_text()
    assert len((tmp_path / "board.csv").read_text().splitlines()) == 3


def test_candidates_without_people(run, study):
    (study / "3" / "broken.wav").write_bytes(b"RIFF")
    result = run("leaderboard", "audio_quality", "--clips", study, "--attacked", "0", "--no-isolate")
    (study / "3" / "broken.wav").unlink()
    assert result.exit_code == 1
    assert "broken.wav" in result.stderr
    assert "No preferences of people" in result.stdout
    assert "nothing is held out" in result.stdout


def test_wrong_calls(run, study, tmp_path):
    for arguments, match in (
        ((), "give one of --study, --clips and --generator"),
        (("--study", study / "choices.csv", "--clips", study), "give one of --study, --clips and --generator"),
        (("--clips", study, "--out", tmp_path / "board.txt"), "end the name in"),
    ):
        result = run("leaderboard", "audio_quality", *arguments)
        assert result.exit_code == 2
        assert match in result.stderr
    for arguments in (("--generator", "x.py:f"), ("--clips", study, "--keep", tmp_path)):
        result = run("leaderboard", "audio_quality", *arguments)
        assert "--generator needs --conditions" in result.stderr
    result = run("leaderboard", "audio_quality", "audio_quality", "--clips", study)
    assert "expected each reward once" in result.stderr


GENERATORS = """
import torch
from avreward import Clip
from avreward.raters import term

def generate(clip, seed, prompt):
    if prompt == "nothing" and seed == 1:
        raise RuntimeError("out of ideas")
    noise = torch.randn(3000, generator=torch.Generator().manual_seed(seed))
    wave = 0.4 * torch.sin(torch.arange(3000) * 0.05) + 0.02 * seed * noise
    return Clip(audio=wave.clamp(-1, 1)[None], sample_rate=8000)

def broken():
    return 7

@term(needs="audio", low=0, high=1)
def level(clip):
    return clip.sound().abs().mean()
"""


def test_clips_that_a_generator_makes(run, tmp_path):
    (tmp_path / "make.py").write_text(GENERATORS)
    (tmp_path / "prompts.txt").write_text("a tone\nnothing\n")
    generated = ("--generator", f"{tmp_path}/make.py:generate", "--conditions", tmp_path / "prompts.txt", "-n", "3")
    result = run("leaderboard", "audio_quality", "loud=mine.level", "--rater", "signals", "--rater",
                 f"mine={tmp_path}/make.py:level", *generated, "--attacked", "0", "--json",
                 "--keep", tmp_path / "kept")  # fmt: skip
    assert result.exit_code == 1, result.stderr  # one candidate is missing
    assert "candidate 1 of 0001: RuntimeError: out of ideas" in result.stderr
    told = json.loads(result.stdout)
    assert (told["clips"], told["groups"]) == (5, 2)
    assert told["rewards"][0]["held_out"] == "loud"
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["0000_0.wav", "0000_1.wav", "0000_2.wav", "0001_0.wav", "0001_2.wav"]
    wrong = run("leaderboard", "audio_quality", *generated[2:], "--generator", f"{tmp_path}/make.py:broken")
    assert "--generator: expected generate(clip, seed) -> Clip" in wrong.stderr


@pytest.mark.slow
def test_a_flow_generator_of_the_recipes(run, tmp_path):
    (tmp_path / "videos").mkdir()
    for number in range(2):
        clip = scene(number, seconds=2.0).clip
        Clip(video=clip.video, fps=clip.fps).save(tmp_path / f"videos/{number}.mkv")
    tiny = Path(__file__).parents[3] / "recipes" / "tuning" / "tiny.py"
    result = run("leaderboard", "sync=av_consistency", "sound=audio_quality", "--generator", f"{tiny}:video_to_audio",
                 "--conditions", tmp_path / "videos", "-n", "2", "--attacked", "0", "--json",
                 "--no-isolate")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["clips"], told["groups"]) == (4, 2)
    assert [row["rated"] for row in told["rewards"]] == [4, 4]
