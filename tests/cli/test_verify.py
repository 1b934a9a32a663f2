"""`avreward verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch

from avreward import Clip, load_rater
from avreward.cli._common import SOME_FAILED
from avreward.raters.agav.rater import PUBLISHED

NAMES = ("audio_quality", "av_consistency", "overall")


@pytest.fixture
def known(files, tmp_path) -> dict[str, Path]:
    """Files that are called like the published ones."""
    found = {}
    for number, source in ((0, files.loud), (1, files.soft)):
        path = tmp_path / f"33_sora_elevenlabs_{number} (copy).mp4"
        path.write_bytes(source.read_bytes())
        found[f"33_sora_elevenlabs_{number}"] = path
    return found


@pytest.fixture
def expected(agav_folder, known, tmp_path):
    """A table with the scores that the tiny rater gives, changed by a function."""
    rater = load_rater(agav_folder)
    with torch.no_grad():
        scores = {name: rater([Clip.open(path)]).values[0].tolist() for name, path in known.items()}

    def write(change=lambda value: value) -> Path:
        rows = [",".join([name, *(str(change(value)) for value in values)]) for name, values in scores.items()]
        path = tmp_path / "expected.csv"
        path.write_text("\n".join([",".join(["clip", *NAMES]), *rows]))
        return path

    return write


def test_scores_that_agree(run, agav_folder, known, expected) -> None:
    result = run("verify", agav_folder, *known.values(), "--expected", expected())
    assert result.exit_code == 0
    assert "Verified: all 6 scores agree with the published ones." in result.stdout
    assert result.stdout.count("agrees") == 6
    assert result.stderr == ""


def test_scores_that_differ(run, agav_folder, known, expected) -> None:
    result = run("verify", agav_folder, *known.values(), "--expected", expected(lambda value: value + 3))
    assert result.exit_code == SOME_FAILED
    assert "Not verified: 6 of 6 scores differ, most " in result.stdout
    assert result.stdout.count("differs") == 6


def test_json(run, agav_folder, known, expected) -> None:
    result = run("verify", agav_folder, *known.values(), "--json", "--expected", expected(lambda value: value + 3))
    told = json.loads(result.stdout)
    assert result.exit_code == SOME_FAILED
    assert told["passed"] is False
    assert told["verdict"].startswith("not verified")
    assert len(told["rows"]) == 6
    assert {row["dimension"] for row in told["rows"]} == set(NAMES)
    assert not any(row["agrees"] for row in told["rows"])


def test_a_clip_without_sound_is_missing_in_json(run, agav_folder, files, tmp_path) -> None:
    (tmp_path / "e.csv").write_text("clip,overall\nsilent,50\n")
    told = json.loads(run("verify", agav_folder, files.silent, "--json", "--expected", tmp_path / "e.csv").stdout)
    assert told["rows"][0]["ours"] is None


def test_published_scores_are_known_for_the_checkpoint(run, agav_folder, known) -> None:
    """A tiny network with random weights doesn't give them."""
    result = run("verify", agav_folder, *known.values(), "--json")
    assert result.exit_code == SOME_FAILED
    rows = json.loads(result.stdout)["rows"]
    assert [row["published"] for row in rows] == [PUBLISHED[name][dimension] for name in known for dimension in NAMES]


def test_the_scores_have_to_be_there(run, agav_folder, omni_folder, files, known) -> None:
    for code, arguments, said in (
        (2, ("signals", files.loud), "rater: expected one with published scores, got 'signals'; name a checkpoint"),
        (2, ("nosuch", files.loud), "rater 'nosuch': unknown"),
        (3, (omni_folder, files.loud), "its authors published no scores that avreward knows; give --expected FILE"),
        (2, (agav_folder, files.loud), "clips: expected files whose names start with "),
        (3, (agav_folder, files.bad["text.mp4"]), "text.mp4"),
        (
            3,
            (agav_folder, *known.values(), "--expected", files.folder / "absent.csv"),
            "absent.csv: can't be read as CSV",
        ),
    ):
        result = run("verify", *arguments)
        assert result.exit_code == code
        assert said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_column_that_is_no_dimension(run, agav_folder, known, tmp_path) -> None:
    (tmp_path / "e.csv").write_text("clip,loudness\n33_sora,50\n")
    result = run("verify", agav_folder, *known.values(), "--expected", tmp_path / "e.csv")
    assert result.exit_code == 2
    assert "dimension of agav: expected one of audio_quality, av_consistency, overall, got 'loudness'" in result.stderr
