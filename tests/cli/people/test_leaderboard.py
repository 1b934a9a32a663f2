"""`avreward leaderboard`: from comparisons or candidates to a table, a page and JSON."""

import csv
import json

import pytest
import torch

from avreward import Clip


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
        ((), "give one of --study and --clips"),
        (("--study", study / "choices.csv", "--clips", study), "give one of --study and --clips"),
        (("--clips", study, "--out", tmp_path / "board.txt"), "end the name in"),
    ):
        result = run("leaderboard", "audio_quality", *arguments)
        assert result.exit_code == 2
        assert match in result.stderr
    result = run("leaderboard", "audio_quality", "audio_quality", "--clips", study)
    assert "expected each reward once" in result.stderr
