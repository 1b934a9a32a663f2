"""`avreward study`: clips are prepared and served; what people said is printed."""

import json

import pandas
import pytest
from rating_studies import answer_everything, dubs

from avreward.cli._common import NOTHING, SOME_FAILED, USAGE
from avreward.studies import RatingServer, RatingStudy


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A manifest of two groups of three dubs, and one that is gone."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{one.path.name},{one.columns['group']}" for one in dubs(tmp_path)]
    (tmp_path / "clips.csv").write_text("\n".join(["clip,group", *rows]) + "\n")
    return tmp_path / "clips.csv"


@pytest.fixture(autouse=True)
def answering(monkeypatch):
    """Two people answer as soon as the page is served, and Ctrl-C is pressed."""

    def answered(server: RatingServer) -> None:
        for name in ("Anna", "Ben"):
            answer_everything(server.study, server.study.person(name))
        raise KeyboardInterrupt

    monkeypatch.setattr(RatingServer, "serve_forever", answered)


def test_clips_are_rated_and_the_study_goes_on(run, clips):
    result = run("study", "clips.csv", "--port", "0", "--json")
    assert "People rate at http://127.0.0.1:" in result.stderr
    found = json.loads(result.stdout)
    assert (result.exit_code, found["people"], found["questions"]) == (0, {"Anna": 6, "Ben": 6}, 6)
    again = run("study", "study", "--result", "--json")
    assert json.loads(again.stdout) == found
    assert "6 clips, 6 questions, 12 answers." in run("study", "clips.csv", "--result").stdout


@pytest.mark.parametrize(
    ("options", "questions"),
    [(["--mode", "soundtracks"], 2), (["--mode", "pairs"], 6), (["--mode", "pairs", "--group-by", "parent"], 15),
     (["--mode", "soundtracks", "--dimension", "overall", "--training", "NAME00.mp4"], 1)],
)  # fmt: skip
def test_modes(run, clips, options, questions):
    if "--training" in options:
        clips.write_text("\n".join(line for line in clips.read_text().splitlines() if "NAME0" not in line))
    result = run("study", "clips.csv", *options, "--port", "0", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["questions"] == questions


def test_own_criteria_practice_and_a_limit(run, clips):
    clips.with_name("own.yaml").write_text("speech: {title: Speech, criteria: [a, b, c, d, e]}\nfit:\n")
    clips.write_text("clip,group\nNAME00.mp4,a\nNAME01.mp4,a\ngone.mp4,a\n")
    options = ["--criteria", "own.yaml", "--training", "NAME10.mp4", "--daily-limit", "1", "--port", "0"]
    result = run("study", "clips.csv", *options, "--json")
    assert result.exit_code == SOME_FAILED
    found = json.loads(result.stdout)
    assert [one["name"] for one in found["dimensions"]] == ["speech", "fit"]
    assert (found["people"], found["practice"], found["daily_limit"]) == ({"Anna": 1, "Ben": 1}, 2, 1)
    assert "left out: gone.mp4:" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["clips.csv", "--mode", "stars"], USAGE, "stars"),
        (["clips.csv", "--dimension", "audio_qualty"], USAGE, "did you mean 'audio_quality'"),
        (["clips.csv", "--criteria", "none.yaml"], NOTHING, "none.yaml: can't be read as criteria"),
        (["clips.csv", "--training", "NAME00.mp4"], USAGE, "--training: expected clips that are not rated"),
        (["clips.csv", "--daily-limit", "0"], USAGE, "--daily-limit"),
        (["clips.csv", "--mode", "pairs", "--group-by", "stem", "--port", "0"], NOTHING, "nothing can be asked about"),
        (["clips.csv", "--result"], NOTHING, "holds no study"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run, clips, words, code, told):
    result = run("study", *words)
    assert result.exit_code == code
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_study_keeps_its_settings(run, clips):
    RatingStudy("study", "scores")
    result = run("study", "study", "--mode", "pairs")
    assert result.exit_code == USAGE
    assert "a study that is there keeps its settings" in " ".join(result.stderr.split()).replace("│ ", "")


def test_ratings_opinions_and_comparisons_are_written(run, clips):
    result = run("study", "clips.csv", "--port", "0", "--export", "ratings.csv", "--mos", "mos.csv")
    assert result.exit_code == 0, result.stderr
    assert len(pandas.read_csv("ratings.csv")) == 12
    assert list(pandas.read_csv("mos.csv")["overall_ratings"]) == [2] * 6
    assert "Anna" in result.stdout
    result = run("study", "clips.csv", "--mode", "pairs", "--out", "p", "--port", "0", "--export", "pairs.csv")
    assert result.exit_code == 0, result.stderr
    assert {"group", "first", "second", "overall", "person"} <= set(pandas.read_csv("pairs.csv"))
    assert "Order in GROUP0:" in result.stdout
    again = run("study", "p", "--result", "--mos", "mos.csv")
    assert again.exit_code == USAGE
    assert "mean opinion scores need sliders" in " ".join(again.stderr.split()).replace("│ ", "")
    every = run("study", "clips.csv", "--every-pair", "--out", "q")
    assert every.exit_code == USAGE
    hostile = RatingStudy("p")
    hostile.person("[red]\x1b[31mX")
    answer_everything(hostile, hostile.person("[red]\x1b[31mX"))
    assert "\x1b[31m" not in run("study", "p", "--result").stdout
