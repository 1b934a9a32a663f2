"""`avreward ask`: pairs are prepared and served; what people said is printed and written."""

import json
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pandas
import pytest
import torch
from study_requests import answered, key_in, question_at, started

from avreward import Clip
from avreward.cli._common import NOTHING, SOME_FAILED, USAGE
from avreward.studies import Choices, ChoiceServer


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """A table of three pairs of sounds; the clip of one of them is missing."""
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        wave = 0.3 * torch.sin(torch.arange(8000) * 0.05 * ord(name))[None]
        Clip(audio=wave, sample_rate=8000).save(tmp_path / f"{name}.wav")
    rows = [
        "first,second,picked,group,category",
        "a.wav,b.wav,second,x,Sea",
        "c.wav,d.wav,first,y,Fire",
        "a.wav,gone.wav,first,y,",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "pairs.csv"


@pytest.fixture
def answering(monkeypatch):
    """Two people answer as soon as the page is served, and Ctrl-C is pressed."""

    def answered(server: ChoiceServer) -> None:
        for name in ("Anna", "Ben"):
            token = server.choices.person(name)
            for question in server.choices.questions(token):
                pick = "first" if question.first == question.video.picked else "second"
                server.choices.record(token, question.key, pick if name == "Anna" else "none")
        raise KeyboardInterrupt

    monkeypatch.setattr(ChoiceServer, "serve_forever", answered)


def test_pairs_are_served_and_the_answers_are_printed_and_written(run, pairs, answering):
    result = run("ask", "pairs.csv", "--port", "0", "--export", "answers.csv")
    assert result.exit_code == SOME_FAILED
    assert "People choose at http://127.0.0.1:" in result.stderr
    assert "left out: a.wav / gone.wav: gone.wav: there is no such file" in " ".join(result.stderr.split())
    assert "100% (" in result.stdout
    assert "2 pairs, 2 people." in result.stdout
    for name in ("Sea", "Fire"):
        assert name in result.stdout
    table = pandas.read_csv("answers.csv")
    assert sorted(zip(table["person"], table["pair"], strict=True)) == [
        ("Anna", "a.wav / b.wav"), ("Anna", "c.wav / d.wav"), ("Ben", "a.wav / b.wav"), ("Ben", "c.wav / d.wav"),
    ]  # fmt: skip
    assert (table[table["person"] == "Anna"]["preferred"] == table[table["person"] == "Anna"]["picked"]).all()
    again = run("ask", "pairs.csv", "--result", "--json")
    found = json.loads(again.stdout)
    assert (again.exit_code, found["all"]["answers"], found["all"]["undecided"]) == (0, 2, 2)
    assert run("ask", str(pairs.parent / "pairs-answers"), "--result", "--json").stdout == again.stdout.replace(
        '"experiment": "pairs-answers', f'"experiment": "{pairs.parent}/pairs-answers'
    )


def test_a_limit_and_a_folder_of_ones_own(run, pairs, answering):
    result = run("ask", "pairs.csv", "--out", "mine", "--limit", "1", "--seed", "3", "--port", "0", "--json")
    found = json.loads(result.stdout)
    assert found["videos"] + len(found["left_out"]) == 1
    assert Choices("mine").about["seed"] == 3


def test_nothing_to_ask_about(run, pairs, answering):
    (pairs.parent / "none.csv").write_text("first,second,picked\na.wav,gone.wav,first\n")
    result = run("ask", "none.csv")
    assert result.exit_code == NOTHING
    assert "gone.wav: there is no such file" in " ".join(result.stderr.split())
    assert "no pair can be asked about" in result.stderr


def test_wrong_calls(run, pairs, answering):
    for arguments, code, told in (
        (["nowhere"], USAGE, "expected a folder of pairs, or a table, got nowhere, which is not there"),
        (["pairs.csv", "--verdict", "catgory"], USAGE, "--verdict: expected one of .* did you mean 'category'"),
        (["pairs.csv", "--port", "90000"], USAGE, "--port: expected a free port, got 90000"),
        (["pairs.csv", "--host", "no host"], USAGE, "--host: expected an address of this machine"),
        (["pairs.csv", "--export", "a.xlsx"], USAGE, "end the name in .csv or .jsonl or .parquet"),
        (["pairs.csv", "--limit", "0"], USAGE, "--limit"),
        (["pairs.csv", "--result", "--out", "empty"], NOTHING, "empty: holds no experiment"),
    ):  # fmt: skip
        result = run("ask", *arguments)
        assert result.exit_code == code, (arguments, result.stderr)

        assert re.search(told, " ".join(result.stderr.replace("│", " ").split())), (arguments, result.stderr)


def test_another_set_of_pairs_needs_another_folder(run, pairs, answering):
    assert run("ask", "pairs.csv", "--port", "0").exit_code == SOME_FAILED
    pairs.write_text("first,second,picked\na.wav,b.wav,first\n")
    result = run("ask", "pairs.csv", "--port", "0")
    assert result.exit_code == NOTHING
    assert "name another folder" in result.stderr


def test_a_missing_extra_is_told_before_anything_is_prepared(run, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = run("ask", "pairs.csv")
    assert result.exit_code == NOTHING
    assert "uvicorn: this package is not installed; run pip install 'avreward[server]'" in result.stderr
    assert not (pairs.parent / "pairs-answers").exists()
    assert run("ask", "pairs.csv", "--result").exit_code == NOTHING  # needs no server


@pytest.mark.slow
def test_ctrl_c_ends_the_server_and_the_answers_are_printed(pairs):
    command = [sys.executable, "-m", "avreward", "ask", "pairs.csv", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        server = SimpleNamespace(server_address=re.search(r"http://(.*?):(\d+)/", line).groups())
        where = started(server)
        answered(server, where, key_in(question_at(server, where)[1]), "none")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == SOME_FAILED, err
    assert "2 pairs, 1 person." in out
    assert "Traceback" not in err


def test_the_current_folder_and_endings_in_capitals(run, pairs, answering, tmp_path):
    """`.` has no name of its own; the answers lie beside the folder, not in it."""
    for place in (".", "..", tmp_path):
        wrong = run("ask", place)
        assert wrong.exit_code == USAGE
        assert "holds no pairs" in wrong.stderr
    done = run("ask", pairs, "--export", "A.CSV")
    assert done.exit_code == SOME_FAILED, done.stderr
    assert len(pandas.read_csv(tmp_path / "A.CSV")) > 0


def test_options_that_an_experiment_cannot_follow(run, pairs, answering):
    run("ask", pairs)
    folder = pairs.with_name("pairs-answers")
    for option in (("--limit", "1"), ("--out", "elsewhere")):
        refused = run("ask", folder, *option)
        assert refused.exit_code == USAGE
        assert option[0] in refused.stderr


def test_the_pairs_are_not_overwritten(run, pairs):
    text = pairs.read_bytes()
    result = run("ask", "pairs.csv", "--port", "0", "--export", pairs)
    assert result.exit_code == USAGE
    assert "is one of the inputs" in " ".join(result.stderr.replace("│", " ").split())
    assert pairs.read_bytes() == text
