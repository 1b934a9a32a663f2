"""What people answered, as a table and summed up."""

import json

import pandas
import pytest

from avreward.errors import AvrewardError
from avreward.studies import Choices, ShownClip, StudyVideo, answers_table, export_answers, summarize


@pytest.fixture
def choices(tmp_path) -> Choices:
    """Two groups of two pairs; Anna takes the pick in one group, "=Ben()" the other clip, and can't tell twice."""
    made = Choices(tmp_path / "study", {"seed": 0, "reward": "overall"})
    for i in range(4):
        shown = [ShownClip(n, f"pair{i}/{n}.mp4", 10.0 * n, file=f"{i}{n}.mp4") for n in (0, 1)]
        made.add(StudyVideo(f"pair {i}", shown, 1, category="Sea" if i < 2 else "", group=f"group {i // 2}"))
    made.add(StudyVideo("broken", [], None, reason="it can't be read"))
    for name, agrees in (("Anna", True), ("=Ben()", False)):
        token = made.person(name)
        for question in made.questions(token):
            pick = "first" if question.first == 1 else "second"
            other = "second" if pick == "first" else "first"
            sure = name == "Anna" or question.video.group == "group 0"
            made.record(token, question.key, (pick if agrees else other) if sure else "none", 2.5)
    return made


def test_a_row_an_answer_with_what_was_shown_where(choices):
    table = answers_table(choices)
    assert len(table) == 8
    assert table["group"].value_counts().to_dict() == {"group 0": 4, "group 1": 4}
    anna = table[table["person"] == "Anna"]
    assert (anna["preferred"] == anna["picked"]).all()
    ben = table[table["person"] != "Anna"]
    assert not (ben["preferred"] == ben["picked"]).any()
    assert (ben["preferred"] == "tie").sum() == 2
    for row in table.to_dict("records"):
        picked = row["first"] if row["picked"] == "first" else row["second"]
        assert picked == f"{row['pair'].replace(' ', '')}/1.mp4"
        assert {row["first"], row["second"]} == {picked, picked.replace("/1", "/0")}
    assert set(table["margin"]) == {10.0}
    assert set(table["seconds"]) == {2.5}


def test_the_groups_of_pairs_are_what_answers_share(choices):
    found = summarize(choices)
    assert (found["all"]["answers"], found["all"]["undecided"], found["all"]["videos"]) == (6, 2, 2)
    assert (found["all"]["won"], found["all"]["tied"]) == (1, 1)
    assert found["categories"]["Sea"]["share"] == 0.5
    assert (found["videos"], found["left_out"]) == (4, {"broken": "it can't be read"})
    assert found["people"] == {"Anna": 4, "=Ben()": 4}
    assert found["reward"] == "overall"
    json.dumps(found)


def test_files_by_their_ending(choices, tmp_path):
    wanted = answers_table(choices)
    for ending, read in {
        "csv": pandas.read_csv, "parquet": pandas.read_parquet, "jsonl": lambda p: pandas.read_json(p, lines=True),
    }.items():  # fmt: skip
        path = export_answers(choices, tmp_path / f"answers.{ending}")
        found = read(path)
        assert list(found) == list(wanted)
        assert list(found["preferred"]) == list(wanted["preferred"])
        ben = "'=Ben()" if ending == "csv" else "=Ben()"  # no formula for a spreadsheet
        assert set(found["person"]) == {"Anna", ben}
    assert {path.name for path in tmp_path.iterdir()} == {"answers.csv", "answers.jsonl", "answers.parquet", "study"}
    with pytest.raises(AvrewardError, match=r"expected a name that ends in \.csv, \.jsonl, \.parquet"):
        export_answers(choices, tmp_path / "answers.xlsx")
    with pytest.raises(AvrewardError, match=r"nowhere/a\.csv: can't be written"):
        export_answers(choices, tmp_path / "nowhere" / "a.csv")
    assert len(answers_table(Choices(tmp_path / "empty", {"seed": 0}))) == 0
