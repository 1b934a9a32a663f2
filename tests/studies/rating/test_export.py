"""Answers as ratings, comparisons and mean opinion scores, in tables that the rest of the package reads."""

import json

import pandas
import pytest
from rating_studies import SHORT

from avreward.datasets import mean_opinion_scores, read_ratings
from avreward.errors import ArgumentError, AvrewardError
from avreward.studies import (
    RatedClip,
    RatingStudy,
    comparisons_table,
    export_opinions,
    export_study,
    rated_dimensions,
    ratings_table,
    read_pair_rows,
    summarize_study,
)


def clips():
    made = [("a1", "a", "one"), ("a2", "a", "two"), ("b1", "b", "one"), ("b2", "b", "two")]
    return [RatedClip(f"{n}.mp4", f"f/{n}.mp4", group=g, system=s, prompt=f"={g}") for n, g, s in made]


def rate(study, name, scores):
    """Give each clip the score of its name on every dimension."""
    token = study.person(name)
    while (place := study.progress(token).place) is not None:
        task = study.task(token, place)
        names = [one.name for one in study.dimensions]
        study.record(token, task.key, {c.name: dict.fromkeys(names, scores[c.name[:2]]) for c in task.clips}, 2.5)


@pytest.fixture
def rated(tmp_path):
    study = RatingStudy(tmp_path / "study", "scores", SHORT)
    study.add([RatedClip("p.mp4", "f/p.mp4", training=True), *clips()])
    scores = {"p.": 0, "a1": 4.0, "a2": 2.0, "b1": 3.0, "b2": 1.0}
    rate(study, "Anna", scores)
    rate(study, "Ben", {name: value + 0.5 for name, value in scores.items()})
    return study


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_ratings_are_read_by_the_tools_for_human_scores(rated, tmp_path, ending):
    path = export_study(rated, tmp_path / f"ratings{ending}")
    ratings = read_ratings(path, "quality", low=0, high=5)
    assert (len(ratings), set(ratings.people)) == (8, {"Anna", "Ben"})
    scores = mean_opinion_scores(ratings)
    assert dict(zip(scores.clips, scores.mos, strict=True)) == {
        "a1.mp4": 4.25, "a2.mp4": 2.25, "b1.mp4": 3.25, "b2.mp4": 1.25
    }  # fmt: skip


def test_a_rating_has_the_columns_of_a_clip(rated):
    table = ratings_table(rated)
    assert list(table) == [
        "clip", "group", "prompt", "system", "person", "quality", "fit", "seconds", "changed", "at"
    ]  # fmt: skip
    row = table[(table["clip"] == "a2.mp4") & (table["person"] == "Anna")].iloc[0]
    assert list(row[["group", "system", "quality", "fit", "seconds", "changed"]]) == ["a", "two", 2.0, 2.0, 2.5, 0]
    assert "p.mp4" not in set(table["clip"])  # practice


def test_opinions_are_a_row_a_clip(rated, tmp_path):
    table = pandas.read_csv(export_opinions(rated, tmp_path / "mos.csv"))
    assert list(table["clip"]) == ["a1.mp4", "a2.mp4", "b1.mp4", "b2.mp4"]
    assert list(table["quality"]) == [4.25, 2.25, 3.25, 1.25]
    assert (table["fit_low"] < table["fit"]).all()
    assert list(table["quality_ratings"]) == [2] * 4
    assert table["prompt"][0] == "'=a"  # no formula
    standard = pandas.read_csv(export_opinions(rated, tmp_path / "mos.csv", "z_score"))
    assert standard["quality"].mean() == pytest.approx(50)
    with pytest.raises(ArgumentError, match="method"):
        export_opinions(rated, tmp_path / "mos.csv", "median")
    with pytest.raises(ArgumentError, match="path: expected a name that ends in"):
        export_opinions(rated, tmp_path / "mos.txt")


def test_one_person_is_no_opinion(tmp_path):
    study = RatingStudy(tmp_path, "scores", SHORT)
    study.add(clips())
    rate(study, "Anna", {"a1": 1, "a2": 2, "b1": 3, "b2": 4})
    with pytest.raises(ArgumentError, match="at least two people, got only Anna"):
        export_opinions(study, tmp_path / "mos.csv")
    assert not (tmp_path / "mos.csv").exists()


def test_comparisons_are_a_pair_table(tmp_path):
    study = RatingStudy(tmp_path / "study", "pairs", rated_dimensions(["overall", "audio_quality"]))
    study.add(clips())
    token = study.person("Anna")
    for place in (1, 2):
        study.record(token, study.task(token, place).key, {"overall": "second", "audio_quality": "tie"})
    table = comparisons_table(study)
    assert list(table)[:7] == ["group", "prompt", "first", "second", "overall", "audio_quality", "person"]
    assert set(table["overall"]) == {"second"}
    assert set(table["audio_quality"]) == {"tie"}
    path = export_study(study, tmp_path / "pairs.jsonl")
    assert [row.picked for row in read_pair_rows(path)] == [1, 1]
    found = json.loads(json.dumps(summarize_study(study)))
    assert {group: len(order["clips"]) for group, order in found["orders"].items()} == {"a": 2, "b": 2}
    best = found["orders"]["a"]["clips"][0]
    assert best["low"] < best["strength"] < best["high"]
    with pytest.raises(AvrewardError, match="expected a study with sliders"):
        ratings_table(study)


def test_the_best_soundtrack_beats_every_other_one(tmp_path):
    study = RatingStudy(tmp_path / "study", "soundtracks")
    study.add([RatedClip(f"{n}.mp4", f"f/{n}.mp4", group="g") for n in "abc"])
    task = study.task(study.person("Anna"), 1)
    best = task.clips[1].name
    study.record(study.person("Anna"), task.key, {"best": best})
    study.record(study.person("Ben"), study.task(study.person("Ben"), 1).key, {"best": None})
    table = comparisons_table(study)
    winners = [row.first if row.overall == "first" else row.second for row in table.itertuples()]
    assert winners == [best, best]
    assert set(table["overall"]) == {"first", "second"}  # in the order shown
    assert set(table["first"]) | set(table["second"]) == {"a.mp4", "b.mp4", "c.mp4"}
    assert (summarize_study(study)["undecided"], summarize_study(study)["answers"]) == (1, 2)
    with pytest.raises(AvrewardError, match="expected a study with comparisons"):
        comparisons_table(RatingStudy(tmp_path / "other", "scores", SHORT))


def test_soundtracks_on_sliders_are_ratings(tmp_path):
    study = RatingStudy(tmp_path / "study", "soundtracks", SHORT)
    study.add(clips())
    rate(study, "Anna", {"a1": 1, "a2": 2, "b1": 3, "b2": 4})
    table = ratings_table(study)
    assert sorted(zip(table["clip"], table["fit"], strict=True)) == [
        ("a1.mp4", 1.0), ("a2.mp4", 2.0), ("b1.mp4", 3.0), ("b2.mp4", 4.0)
    ]  # fmt: skip
