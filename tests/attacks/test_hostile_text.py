"""Names, prompts and files that are made to control a terminal or to crash a parser: one line each, no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from avreward.clip import Clip

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NAME = "a\x1b[2J\x1b]0;owned\x07\u202e\x9b31m[red]\n"  # before the ending; any byte but / and NUL may be in it
PYTHON = [sys.executable, "-m", "avreward"]


@pytest.fixture
def clips(tmp_path):
    paths = [tmp_path / f"{NAME}.wav", tmp_path / f"b{NAME}.wav"]
    for number, path in enumerate(paths, 2):
        Clip(audio=0.1 * number * torch.sin(torch.arange(4000) * 0.3)[None], sample_rate=8000).save(path)
    return paths


def quiet(result):
    """What was printed, which holds no control character besides ends of lines."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for text in (result.stdout, result.stderr):
        assert not CONTROL.search(text), text
    return result


def test_names_in_tables_and_errors(run, clips, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "600")  # a narrow table breaks names apart
    lost = tmp_path / f"lost{NAME}.wav"
    lost.write_bytes(b"RIFF")
    found = quiet(run("rank", *clips, lost))
    assert found.exit_code == 1
    assert r"\x1b[2J\x1b]0;owned\x07\u202e\x9b31m[red]\n" in re.sub(r"\s*\n\s*", "", found.stdout)
    assert r"lost" in found.stderr
    named = json.loads(quiet(run("rank", *clips, "--json")).stdout)
    assert all(r"\u202e\x9b31m[red]\n.wav" in one["clip"] for one in named["candidates"])
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps([{"clip": str(clip), "prompt": NAME, "group": NAME} for clip in clips]))
    table = tmp_path / f"t{NAME}.csv"
    assert quiet(run("score", prompts, "--out", table, "--reward", "audio_quality")).exit_code == 0
    kept, pairs = tmp_path / f"k{NAME}.csv", tmp_path / f"p{NAME}"
    for command in (
        ["rank", table, "--group-by", "group"],
        ["curve", table],
        ["filter", table, "--top", "1", "--out", kept],
        ["pairs", table, "--out", pairs, "--margin", "0"],
    ):
        assert quiet(run(*command)).exit_code in (0, 2, 3), command


TYPED = (
    [NAME],
    ["rank", "x", f"--{NAME}"],
    ["rank", "x.wav", "--out", NAME],
    ["rank", "x.wav", "--rater", NAME],
    ["rank", "x.wav", "--reward", NAME],
    ["curve", f"{NAME}.csv"],
    ["raters", NAME],
    ["train", NAME],
)


@pytest.mark.parametrize("arguments", TYPED)
def test_what_was_typed_or_pasted_is_quoted_escaped(run, arguments):
    assert quiet(run(*arguments)).exit_code in (2, 3)


def test_a_token_of_a_megabyte_is_cut(run):
    for arguments in (
        ["rank", "x.wav", "--reward", "a" * 1_000_000],
        ["rank", "x" * 1_000_000],
        ["raters", "x" * 1_000_000],
    ):
        found = quiet(run(*arguments))
        assert found.exit_code in (2, 3)
        assert len(found.output) < 20_000


DEEP = "[" * 100_000
FILES = {
    "deep.json": DEEP, "deep.jsonl": DEEP, "later.jsonl": '{"clip": "a"}\n' + DEEP, "deep.yaml": f"reward: {DEEP}",
    "null.jsonl": "null\n", "later_null.jsonl": '{"clip": "a", "x.y": 1}\nnull\n', "number.jsonl": "7\n",
    "nul.json": json.dumps([{"clip": "a\0b.wav"}]),
    "nul.jsonl": json.dumps({"clip": "a\0b.wav", "clip_key": "\0", "x.y": 1.0}),
    "itself.yaml": "reward: e.overall\nraters:\n  e: &e {ensemble: [*e, *e]}\n",
    "each_other.yaml": "reward: e.overall\nraters:\n  e: &e {ensemble: [{ensemble: [*e]}]}\n",
    "many.yaml": f"reward: e.overall\nraters:\n  e: {{ensemble: [{{ensemble: [{'signals, ' * 300}]}}]}}\n",
}  # fmt: skip
USES = {
    ".yaml": [["rank", "x.wav", "--reward"], ["train"]],
    ".json": [["score", "--out", "o.csv"], ["rank"]],
    ".jsonl": [
        ["score", "--out", "o.csv"],
        ["curve"],
        ["pairs", "--out", "o"],
        ["filter", "--top", "1", "--out", "o"],
        ["compare"],
    ],
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_made_to_crash_are_one_line(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(FILES[name])
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    for command in USES[os.path.splitext(name)[1]]:
        arguments = [*command, name] if command[-1] == "--reward" else [command[0], name, *command[1:]]
        found = quiet(run(*arguments))
        assert found.exit_code in (1, 2, 3), (arguments, found.output)
        assert "Traceback" not in found.output
        assert name in found.stderr.replace("\n", "") or "a\\x00b.wav" in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
@pytest.mark.parametrize("arguments", [["raters"], ["raters", "--json"]])
def test_a_reader_that_leaves_ends_it_silently(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PYTHON, *arguments], stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
