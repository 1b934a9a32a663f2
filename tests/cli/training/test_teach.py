"""`avreward teach`: from a table of choices or ratings to a rater, with what it learned."""

import csv
import json

import pytest
import torch

from avreward import Clip, load_rater
from avreward.datasets import scene

GROUPS = 12


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two sounds a group; the first one has less noise in every second group."""
    folder = tmp_path_factory.mktemp("sounds")
    generator = torch.Generator().manual_seed(1)
    for group in range(GROUPS):
        for side in (0, 1):
            noise = 0.02 if side == group % 2 else 0.2
            wave = 0.3 * torch.sin(torch.arange(6000) * 0.05) + noise * torch.randn(6000, generator=generator)
            Clip(audio=wave.clamp(-1, 1)[None], sample_rate=12000).save(folder / f"{group}_{side}.wav")
    return folder


def table(folder, name, head, rows):
    with (folder / name).open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return folder / name


def test_choices_become_a_rater(run, sounds, tmp_path):
    rows = [
        (f"{g}_0.wav", f"{g}_1.wav", "second" if g % 2 else "first", "second", g) for g in range(GROUPS)
    ]  # `picked` is what a rater thinks: not what is learned
    choices = table(sounds, "choices.csv", ("first", "second", "preferred", "picked", "group"), rows)
    result = run("teach", choices, "--out", tmp_path / "mine", "--json")
    assert result.exit_code in (0, 1), result.stderr
    told = json.loads(result.stdout)
    assert told["learned"]
    assert [row["by"] for row in told["checks"]][:2] == ["new groups", "new groups, degraded"]
    assert float(told["checks"][0]["pairs"]) > 0.9
    rater = load_rater(tmp_path / "mine")
    for g in (0, 1):
        clean, noisy = (Clip.open(sounds / f"{g}_{side}.wav") for side in (g % 2, 1 - g % 2))
        better, worse = rater([clean, noisy])["preference"].tolist()
        assert better > worse


def test_ratings(run, sounds, tmp_path):
    rows = [(str(sounds / f"{g}_{s}.wav"), g, 4 if s == g % 2 else 2.5) for g in range(GROUPS) for s in (0, 1)]
    ratings = table(sounds, "ratings.csv", ("clip", "group", "mos"), rows)
    result = run("teach", ratings, "--ratings", "mos", "--out", tmp_path / "mine")
    assert result.exit_code in (0, 1), result.stderr
    assert "new groups" in result.stdout
    assert "It goes by: signals." in result.stdout


def test_wrong_use(run, sounds, tmp_path):
    rows = [(f"{g}_0.wav", f"{g}_1.wav", "first", g) for g in range(3)]
    few = table(sounds, "few.csv", ("first", "second", "preferred", "group"), rows)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    for arguments, says in {
        (few, "--out", tmp_path / "mine"): "expected choices in at least 10 groups, got 3",
        (few, "--out", tmp_path / "full"): "expected a new or empty folder",
        (few, "--out", tmp_path / "mine", "--own", "--ratings", "mos"): "one of --own and --ratings",
        (few, "--out", tmp_path / "mine", "--verdict", "preferrd"): "preferrd",
    }.items():
        result = run("teach", *arguments)
        assert result.exit_code == 2, result.stderr
        assert says in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "mine").exists()


@pytest.mark.slow
def test_real_videos_need_no_choices(run, tmp_path):
    """In each video a sound comes when something moves; the sounds of the others and shifts do not fit."""
    (tmp_path / "videos").mkdir()
    for seed in range(10):
        scene(seed, seconds=1.0).clip.save(tmp_path / "videos" / f"{seed}.mp4")
    result = run("teach", tmp_path / "videos", "--own", "--out", tmp_path / "mine", "--json")
    assert result.exit_code in (0, 1), result.stderr
    told = json.loads(result.stdout)
    assert told["checks"][0]["groups"] == 10
    assert told["chance"] == pytest.approx(0.2)
    assert not told["left_out"]
    assert load_rater(tmp_path / "mine").dimension("preference").needs >= {"audio"}
