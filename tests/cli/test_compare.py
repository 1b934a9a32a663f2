"""`avreward compare`: the tables, the files, the verdict on a fine-tune, and what is said of bad input."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from scored_tables import write

from avreward import Clip
from avreward.cli._common import NOTHING

NAMES = ("toy.quality", "toy.sync")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Eight groups of three systems; `best` is best in quality, `worst` in sync."""
    rng = np.random.default_rng(0)
    rows = []
    for group in range(8):
        for system, moved in (("best", 16.0), ("middle", 8.0), ("worst", 0.0)):
            sync = rng.normal() - 8.0 * (system == "worst")
            kind = "music" if group < 4 else "speech"
            quality = 50 + moved + rng.normal()
            rows.append({"clip": f"dubs/{group}/{system}.mp4", "group": f"dubs/{group}", "prompt": kind,
                         "toy.quality": quality, "toy.sync": sync})  # fmt: skip
    rows[4] = {"clip": "dubs/1/middle.mp4", "reasons": {"clip": "the file is empty"}}
    return write(tmp_path_factory.mktemp("compare") / "scores.parquet", rows, NAMES, "parent")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A fine-tune that raised what it was trained on, and lowered the rest."""
    rng = np.random.default_rng(0)
    rows = [
        {"clip": f"{system}/{prompt}.mp4", "group": system,
         "toy.quality": rng.normal() + moved, "toy.sync": rng.normal() - moved}
        for prompt in range(12)
        for system, moved in (("base", 0), ("tuned", 5))
    ]  # fmt: skip
    return write(tmp_path_factory.mktemp("tuned") / "scores.csv", rows, NAMES, "parent")


def test_the_tables_and_the_verdict(run, table):
    result = run("compare", table)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "23 clips of 3 systems in 8 groups by the folder of the clip."
    assert lines[1] == "toy.quality: best is best, ahead of all 2 others."
    assert lines[2].startswith("toy.sync: ")
    named = [line.split()[0] for line in lines if line.startswith(" ") and " [" in line]
    assert named[:3] == ["best", "middle", "worst"]
    assert "100 %" in result.stdout
    assert "Only 8 groups" in result.stdout
    assert result.stderr == "avreward: left out: dubs/1/middle.mp4: the file is empty\n"


def test_json_has_everything(run, table):
    told = json.loads(run("compare", table, "--json", "--by", "prompt", "--quiet").stdout)
    assert (told["systems"], told["clips"], told["groups"]) == (["best", "middle", "worst"], 23, 8)
    assert len(told["scores"]) == len(told["differences"]) == 6
    assert {one["category"] for one in told["categories"]} == {"music", "speech"}
    assert told["left_out"] == [{"clip": "dubs/1/middle.mp4", "dimension": "", "reason": "the file is empty"}]
    assert told["fine_tunes"] == []
    shown = [(d["dimension"], d["first"], d["second"]) for d in told["differences"] if d["corrected"] <= 0.05]
    assert [pair for pair in shown if pair[0] == "toy.quality"] == [
        ("toy.quality", "best", "middle"), ("toy.quality", "best", "worst"), ("toy.quality", "middle", "worst")
    ]  # fmt: skip


def test_categories_are_printed(run, table):
    result = run("compare", table, "--by", "prompt", "--score", "toy.quality")
    rows = [line.split() for line in result.stdout.splitlines() if line.strip().startswith(("music", "speech"))]
    assert [row[:3] for row in rows[:3]] == [["music", "best", "4"], ["music", "middle", "3"], ["music", "worst", "4"]]
    assert len(rows) == 6


def test_the_fine_tune_case(run, tuned):
    result = run("compare", tuned, "--system", "parent", "--before", "base", "--trained", "toy.quality")
    assert result.exit_code == 0
    assert "overfitted: the trained toy.quality rose, held-out toy.sync fell." in result.stdout
    assert "24 clips of 2 systems in 12 groups by the file's name." in result.stdout
    assert result.stdout.count("tuned − base") == 2
    told = json.loads(run("compare", tuned, "--system", "parent", "--before", "base", "--json").stdout)
    assert [one["outcome"] for one in told["fine_tunes"]] == ["mixed"]


def test_files(run, table, tmp_path):
    page, systems, pairs, paper = (tmp_path / n for n in ("c.html", "systems.csv", "pairs.csv", "t.tex"))
    result = run("compare", table, "--out", systems, "--differences", pairs, "--report", page)
    assert result.exit_code == 0
    assert f"wrote {page}" in result.stderr
    rows = list(csv.DictReader(io.StringIO(systems.read_text())))
    assert [row["system"] for row in rows if row["dimension"] == "toy.quality"] == ["best", "middle", "worst"]
    assert float(rows[0]["low"]) < float(rows[0]["mean"]) < float(rows[0]["high"])
    assert len(list(csv.DictReader(io.StringIO(pairs.read_text())))) == 6
    assert "best is best" in page.read_text()
    assert run("compare", table, "--out", paper).exit_code == 0
    assert r"\begin{tabular}{lrr}" in paper.read_text()


@pytest.fixture
def generated(files, tmp_path):
    """Seven prompts by two generators, a folder each; the loud one is better in power. One file is broken."""
    for system, clip in (("base", files.soft), ("tuned", files.loud)):
        (tmp_path / system).mkdir()
        for prompt in range(7):
            (tmp_path / system / f"{prompt}.mp4").hardlink_to(clip)
    (tmp_path / "base" / "7.mp4").write_text("not media")
    return tmp_path


def test_folders_are_scored(run, toy, generated):
    base = str(generated / "base")
    options = ("--system", "parent", "--score", "reward", "--score", "toy.brightness", "--json")
    result = run("compare", base, generated / "tuned", *options, "--reward", "power", "--before", base)
    told = json.loads(result.stdout)
    assert (result.exit_code, told["clips"], told["groups"], told["rule"]) == (1, 14, 7, "the file's name")
    assert told["differences"][0]["difference"] == pytest.approx(0.3, abs=0.05)  # 0.8² / 2 − 0.2² / 2
    assert told["fine_tunes"][0]["outcome"] == "helps"
    assert "7.mp4: " in result.stderr
    rated = len(toy.calls)
    run("compare", base, generated / "tuned", *options)
    assert len(toy.calls) == rated  # from the store


def test_a_manifest_names_systems_groups_and_categories(run, toy, generated):
    rows = [f"{s}/{p}.mp4,{s},prompt {p},{'music' if p < 3 else 'speech'}" for p in range(7) for s in ("base", "tuned")]
    manifest = generated / "clips.csv"
    manifest.write_text("\n".join(["clip,generator,prompt,kind", *rows]) + "\n")
    told = json.loads(run("compare", manifest, "--system", "generator", "--by", "kind", "--json").stdout)
    assert (told["table"], told["systems"], told["rule"]) == (str(manifest), ["tuned", "base"], "the prompt")
    assert [(one["category"], one["groups"]) for one in told["categories"][:1]] == [("music", 3)]


def test_what_cannot_be_scored_or_is_scored_already(run, table, toy, tmp_path):
    result = run("compare", tmp_path / "none")
    assert result.exit_code == NOTHING
    assert "none of 1 clip could be scored" in result.stderr
    for option in (("--rater", "signals"), ("--reward", "overall"), ("--prompts", "p.csv")):
        result = run("compare", table, *option)
        assert result.exit_code == 2
        assert "is scored already" in result.stderr


def test_names_are_shown_as_they_are(run, tmp_path):
    rows = [
        {"clip": f"{g}/{s}.mp4", "group": str(g), "a[bold]b": g + len(s)} for g in range(6) for s in ("[red]x", "y")
    ]
    result = run("compare", write(tmp_path / "t.parquet", rows, ["a[bold]b"]), "--report", tmp_path / "p.html")
    assert "[red]x" in result.stdout
    assert "a[bold]b" in result.stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--system", "sytem"), "avreward: --system: expected one of parent, prompt, video, stem, clip"),
        (("--score", "toy.qualty"), "did you mean 'toy.quality'?"),
        (("--group-by", "clip"), "avreward: --group-by: expected groups with clips of several systems"),
        (
            ("--before", "bst"),
            "avreward: --before: expected one of best, middle, worst, got 'bst'; did you mean 'best'?",
        ),
        (("--before", "best", "--trained", "toy.x"), "avreward: --trained: expected one of toy.quality, toy.sync"),
        (("--by", "kind"), "avreward: --by: expected one of"),
        (("--lower", "toy.x"), "avreward: --lower: expected one of"),
        (("--level", "95"), "avreward: --level: expected a number between 0 and 1"),
    ],
)
def test_bad_input(run, table, options, problem):
    result = run("compare", table, *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1


def test_wrong_outputs(run, table, tmp_path):
    assert run("compare", table, "--out", tmp_path / "t.xlsx").exit_code == 2
    (tmp_path / "file").touch()
    assert run("compare", table, "--report", tmp_path / "file" / "t.html").exit_code == 2
    assert run("compare", table, "--trained", "toy.quality").exit_code == 2
    result = run("compare", table, "--out", tmp_path / f"{'t' * 252}.csv")  # a name has at most 255 bytes
    assert result.exit_code == NOTHING
    assert "File name too long; check the path" in result.stderr
    assert run("compare", tmp_path / "none.parquet").exit_code == NOTHING


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """AVBench's items, and clips of two systems that answer two of three; `loud` is clipped."""
    folder = tmp_path_factory.mktemp("answers")
    items = [
        {"id": f"video_{i}", "prompt_vision": f"Scene {i}.", "prompt_audio": "Hiss.", "utterance": "", "category": kind}
        for i, kind in enumerate(("music", "speech", "music"))
    ]
    (folder / "items.json").write_text(json.dumps(items))
    for i in range(2):
        noise = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(i))
        for system, gain in (("clean", 1.0), ("loud", 30.0)):
            clip = Clip(audio=(gain * noise).clamp(-1, 1), sample_rate=8000)
            clip.save(folder / f"video_{i}_{system}.wav")
    return folder


def test_a_folder_of_answers_to_avbenchs_items(run, answers):
    args = ("compare", answers, "--items", answers / "items.json", "--score", "signals.audio_quality")
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert set(told["systems"]) == {"clean", "loud"}
    cells = {(row["category"], row["system"]): row for row in told["categories"]}
    assert set(cells) == {(c, s) for c in ("music", "speech") for s in ("clean", "loud")}
    assert cells["music", "clean"]["mean"] > cells["music", "loud"]["mean"]
    assert "no clip answers 1 of 3 items" in result.stderr
    printed = run(*args)
    assert "2 systems in 2 groups by the column id" in printed.stdout
    assert "music" in printed.stdout


def test_wrong_items(run, answers, table):
    wrong = answers / "wrong.json"
    wrong.write_text("{}")
    result = run("compare", answers, "--items", wrong)
    assert result.exit_code == NOTHING
    assert "expected a list of items" in result.stderr
    (answers / "prompts.csv").write_text("clip,prompt\nvideo_0_clean.wav,a")
    result = run("compare", answers, "--items", answers / "items.json", "--prompts", answers / "prompts.csv")
    assert result.exit_code == 2
    assert "the items have prompts of their own" in result.stderr
    result = run("compare", table, "--items", answers / "items.json")
    assert result.exit_code == 2
    assert "is scored already" in result.stderr


def test_many_scores_are_rows_so_that_their_names_are_whole(run, tmp_path) -> None:
    names = [f"toy.{name}_of_the_clip" for name in ("audio", "video", "speech", "lips", "prompt")]
    rng = np.random.default_rng(0)
    rows = [
        {"clip": f"dubs/{group}/{system}.mp4", "group": f"dubs/{group}", "prompt": "music",
         **dict.fromkeys(names, rng.normal())}
        for group in range(8)
        for system in ("base", "tuned")
    ]  # fmt: skip
    result = run("compare", write(tmp_path / "scores.csv", rows, names, "parent"), "--by", "prompt")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    heads = [line for line in lines if "Score" in line[:2]]
    assert [line[:-2] for line in heads if {"base", "tuned"} == set(line[-2:])] == [["Score"], ["Category", "Score"]]
    for name in names:
        assert any(line[:1] == [name] for line in lines)
        assert any(line[:2] == ["music", name] and len(line) == 4 for line in lines)
