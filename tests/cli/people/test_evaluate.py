"""`avreward evaluate`: the tables, the files, published rows, and what is said of bad input."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch
from lmm_checks import dubs
from scored_tables import write
from toy_backbone import toy_rater

from avreward import Clip
from avreward.cli.people._evaluation import multi_input_rows
from avreward.datasets import demo_candidates, read_corpus
from avreward.evaluation import judgments


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(judgments, "RESAMPLES", 60)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Labels in PAM's layout, and a scored table of the same clips."""
    folder, draw = tmp_path_factory.mktemp("judged"), np.random.default_rng(0)
    rows, labels = [], ["Model,File Name,OVL,REL"]
    for file in range(12):
        for model in ("audiogen", "audioldm", "musicgen"):
            quality = draw.normal(3, 1)
            labels.append(f"{model},Y{file},{quality:.3f},{draw.normal(3, 1):.3f}")
            score = 20 * quality + draw.normal(0, 8)
            rows.append({"clip": f"{folder}/{model}/Y{file}.wav", "toy.overall": score, "toy.audio_quality": score})
    (folder / "scores.csv").write_text("\n".join(labels) + "\n")
    return folder, write(folder / "rated.parquet", rows, ("toy.overall", "toy.audio_quality"))


def test_a_table_beside_published_results(run, judged) -> None:
    folder, table = judged
    result = run("evaluate", table, folder / "scores.csv", "--corpus", "text_to_audio", "--by", "system")
    assert result.exit_code == 0, result.stderr
    out = result.stdout
    assert out.startswith("36 clips of text_to_audio.\n")
    assert "toy.audio_quality of" in out
    assert "toy.overall of" in out  # there is no score called audio_text
    assert "AGAV-Rater (AGAV-Rater table 2)" in out
    assert "Guessing the best of a group is right in 33 %." in out
    assert next(line.split()[:2] for line in out.splitlines() if line.startswith(" audioldm"))[1] == "audio_quality"
    assert "95% intervals, bootstrapped by prompt or video" in out


def test_json_and_files(run, judged, tmp_path) -> None:
    folder, table = judged
    arguments = (
        "evaluate",
        table,
        folder / "scores.csv",
        "--corpus",
        "text_to_audio",
        "--against",
        "audio_quality=overall",
    )
    told = json.loads(run(*arguments, "--json").stdout)
    srcc = next(one for one in told["metrics"] if one["metric"] == "srcc")
    assert srcc["score"] == "toy.overall"
    assert 0.6 < srcc["low"] < srcc["value"] < srcc["high"] < 1
    assert {one["dimension"] for one in told["metrics"]} == {"audio_quality"}
    assert [one["method"] for one in told["published"]] == ["PAM", "CLAP", "AGAV-Rater"]
    assert run(*arguments, "--out", tmp_path / "a.csv").exit_code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert float(next(row for row in rows if row["metric"] == "srcc")["value"]) == pytest.approx(srcc["value"])
    assert any(row["method"] == "CLAP" and row["value"] == "0.704" for row in rows)
    assert run(*arguments, "--out", tmp_path / "a.tex").exit_code == 0
    text = (tmp_path / "a.tex").read_text()
    assert r"\multicolumn{8}{l}{\emph{audio\_quality}}" in text
    assert r"\textbf{" in text


def test_pairs(run, judged, tmp_path) -> None:
    folder, table = judged
    rows = [f"{folder}/audiogen/Y{i}.wav,{folder}/audioldm/Y{i}.wav,{'AB'[i % 2]},speech" for i in range(12)]
    (tmp_path / "pairs.csv").write_text("\n".join(["first,second,overall,category", *rows]) + "\n")
    result = run("evaluate", table, tmp_path / "pairs.csv", "--corpus", "pairs")
    assert result.exit_code == 0, result.stderr
    assert "12 pairs of pairs." in result.stdout
    assert "Without ties" in result.stdout
    assert "speech" in result.stdout  # by category, unasked


def test_a_rater_scores_the_clips_and_missing_ones_are_named(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AVREWARD_STORE", str(tmp_path / "store"))
    made = demo_candidates(0, tmp_path / "clips", seconds=1.0)
    rows = [f"{path.name},rain,{5 - place}" for place, path in enumerate(made.values())]
    (tmp_path / "clips" / "own.csv").write_text("\n".join(["clip,prompt,overall", *rows, "absent.mp4,rain,3"]) + "\n")
    result = run("evaluate", "signals", tmp_path / "clips" / "own.csv", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["left_out"] == [str(tmp_path / "clips" / "absent.mp4")]
    assert "left out" in result.stderr
    assert "absent.mp4" in result.stderr
    assert next(one for one in told["metrics"] if one["metric"] == "srcc")["items"] == len(made)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--corpus", "pam"), "corpus: expected one of"),
        (("--corpus", "text_to_audio", "--column", "audio_quality"), "expected NAME=COLUMN"),
        (
            ("--corpus", "text_to_audio", "--column", "audio_quality=MOS"),
            "a column 'MOS', got Model, File Name, OVL, REL",
        ),
        (("--corpus", "text_to_audio", "--against", "audio_quality=x"), "expected one of toy.overall"),
        (("--corpus", "text_to_audio", "--against", "quality=overall"), "expected one of audio_quality, audio_text"),
        (("--corpus", "text_to_audio", "--by", "genre"), "expected one of"),
        (("--corpus", "text_to_audio", "--high", "2"), "a rating from"),
        (("--corpus", "text_to_audio", "--multi-input"), "only a language-model rater"),
        (("--corpus", "text_to_audio", "--out", "a.pdf"), "end the name in .csv or .tex"),
    ],
)
def test_wrong_calls(run, judged, arguments: tuple, said: str) -> None:
    folder, table = judged
    result = run("evaluate", table, folder / "scores.csv", *arguments)
    assert result.exit_code == 2, result.stderr
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_language_model_that_hears_all_clips_of_a_group(tmp_path) -> None:
    rater, rows = toy_rater(), []
    for group in range(3):
        for number, clip in enumerate(dubs(2 + group, frames=4)):
            clip.save(tmp_path / f"{group}_{number}.mp4")
            rows.append(f"{group}_{number}.mp4,{group},{int(number == 1)}")
    (tmp_path / "own.csv").write_text("\n".join(["clip,group,best", *rows]) + "\n")
    judged = read_corpus("table", tmp_path / "own.csv")
    (found,) = multi_input_rows(rater, judged, {"best": "toy.quality"})
    right = 0
    for group in range(3):
        clips = [Clip.open(tmp_path / f"{group}_{number}.mp4") for number in range(2 + group)]
        with torch.no_grad():
            right += int(rater.compare(clips).argmax()) == 1
    assert found["groups"] == 3
    assert found["value"] == pytest.approx(right / 3)
    assert found["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert found["low"] <= found["value"] <= found["high"]
