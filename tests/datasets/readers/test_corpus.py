"""Corpora are read from small copies of their layouts into one schema; what is wrong in a file is named."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from avreward.datasets import CORPORA, read_corpus
from avreward.errors import ArgumentError, AvrewardError


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_pams_scores(tmp_path) -> None:
    file(tmp_path, "tta/scores.csv", "Model,File Name,OVL,REL\naudioldm,Y1,3.4,2.5\naudiogen,Y1,4.0,4.5\n")
    found = read_corpus("text_to_audio", tmp_path / "tta")
    assert [row["clip"] for row in found.rows] == [f"{tmp_path}/tta/{m}/Y1.wav" for m in ("audioldm", "audiogen")]
    assert found.rows[0] | {"clip": ""} == {
        "clip": "", "group": "Y1", "system": "audioldm", "audio_quality": 3.4, "audio_text": 2.5,
    }  # fmt: skip
    assert read_corpus("text_to_music", tmp_path / "tta").dimensions == ("music_quality", "music_text")


def test_aigvqa_db(tmp_path) -> None:
    def row(prompt: int, model: str, score: float, what: str) -> dict:
        answer = {"from": "gpt", "value": f"The {what} of the video is fair."}
        return {"video": f"G1/{model}/{prompt}.mp4", "id": f"{prompt}.mp4->{score}", "conversations": [answer]}

    path = file(
        tmp_path, "a.jsonl", lines(row(13, "Sora", 59.79, "static quality"), row(13, "Gen3", 40, "static quality"))
    )
    found = read_corpus("aigvqa_db", path, clips="videos")
    assert found.dimensions == ("static_quality",)
    assert found.rows[0] == {
        "clip": "videos/G1/Sora/13.mp4", "group": "13", "system": "Sora", "static_quality": 59.79,
    }  # fmt: skip
    path = file(tmp_path, "b.jsonl", lines(row(1, "a", 7, "TV correspondence") | {"mos": 61.0}))
    assert read_corpus("aigvqa_db", path).rows[0]["tv_correspondence"] == 61.0


def test_lines_with_bars(tmp_path) -> None:
    path = file(tmp_path, "train_data.txt", "1.mp4|a dog | a cat|2.67\n2.mp4|a dog | a cat|4\n")
    found = read_corpus("q_eval", path)
    assert found.rows[0] == {
        "clip": f"{tmp_path}/1.mp4", "prompt": "a dog | a cat", "group": "a dog | a cat", "quality": 2.67,
    }  # fmt: skip
    path = file(tmp_path, "all_data_mos.txt", "Sora+a dog.mp4|a dog|4.1\n")
    assert read_corpus("t2veval_bench", path).rows[0]["system"] == "Sora"
    path = file(tmp_path, "info.txt", "00000_07.mp4|a dog|61.5\n")
    assert read_corpus("t2vqa_db", path).rows[0]["system"] == "07"
    with pytest.raises(
        AvrewardError, match=r"line 1: expected video\|prompt\|mos, got '1\.mp4\|a dog'; labels are needed"
    ):
        read_corpus("q_eval", file(tmp_path, "val_data.txt", "1.mp4|a dog\n"))


def test_fetv_is_the_mean_of_three_people(tmp_path) -> None:
    for person, score in (("human0", 3), ("human1", 4), ("human2", 5)):
        one = {"610": {"video_id": "9", "alignment": score, "static_quality": 3, "temporal_quality": 5}}
        two = {"611": {"video_id": "8", "alignment": 1, "fine-grained_alignment": {"color": 3, "quantity": 2}}}
        file(tmp_path, f"manual_eval_results/{person}/manual_eval_results_zeroscope.json", lines(one, two))
    found = read_corpus("fetv", tmp_path)
    assert [row["clip"] for row in found.rows] == [f"{tmp_path}/zeroscope/{n}.mp4" for n in (610, 611)]
    assert found.rows[0]["alignment"] == 4
    assert found.rows[0]["fine_grained_alignment"] is None
    assert found.rows[1]["fine_grained_alignment"] == 2.5
    assert "person" not in found.rows[0]


def test_pairs(tmp_path) -> None:
    head = "path_A,path_B,A_model,B_model,prompt,VQ,MQ,TA,Overall\n"
    path = file(tmp_path, "videogen-rewardbench.csv", head + "a.mp4,b.mp4,x,y,a dog,A,same,B,\n")
    (row,) = read_corpus("videogen_rewardbench", path).rows
    assert row == {
        "first": f"{tmp_path}/a.mp4", "second": f"{tmp_path}/b.mp4", "first_system": "x", "second_system": "y",
        "prompt": "a dog", "group": "a dog",
        "visual_quality": "first", "motion_quality": "tie", "text_alignment": "second", "overall": None,
    }  # fmt: skip
    frame = {"prompt": ["p"], "response1": ["a.mp4"], "response2": ["b.mp4"], "model1": ["x"], "model2": ["y"]}
    pandas.DataFrame(frame | {"criteria": ["calm"], "criteria_preference": ["response2"], "id": [1]}).to_parquet(
        tmp_path / "t.parquet"
    )
    (row,) = read_corpus("omni_rewardbench", tmp_path / "t.parquet").rows
    assert (row["category"], row["overall"]) == ("calm", "second")


def test_tables_of_ones_own(tmp_path) -> None:
    text = "clip,prompt,person,overall,seed_name\na.mp4,p,ann,3,x\na.mp4,p,bob,4,x\nb.mp4,p,ann,,y\n"
    found = read_corpus("table", file(tmp_path, "own.csv", text), clips="")
    assert [dict(row) for row in found.rows] == [
        {"clip": "a.mp4", "prompt": "p", "group": "p", "overall": 3.5},
        {"clip": "b.mp4", "prompt": "p", "group": "p", "overall": None},
    ]
    for ending in (".csv", ".jsonl", ".parquet"):
        again = read_corpus("table", found.save(tmp_path / f"copy{ending}"), clips="")
        assert [row["overall"] for row in again.rows] == [3.5, None]
    assert "2 clips of table" in repr(found)
    assert found.clips == ("a.mp4", "b.mp4")
    own = file(tmp_path, "pairs.csv", "first,second,choice\na.mp4,b.mp4,A\nb.mp4,c.mp4,tie\n")
    assert [row["choice"] for row in read_corpus("pairs", own).rows] == ["first", "tie"]


def test_columns_of_other_names(tmp_path) -> None:
    path = file(tmp_path, "mos.csv", "file,aq,consistency,mos,vid\na.mp4,50,60,70,v\n")
    with pytest.raises(
        ArgumentError,
        match=r"a column 'video', got file, aq.*clip=COLUMN \(not checked against the original of agavqa_mos\)",
    ):
        read_corpus("agavqa_mos", path)
    names = {"clip": "file", "audio_quality": "aq", "av_consistency": "consistency", "overall": "mos", "group": "vid"}
    (row,) = read_corpus("agavqa_mos", path, columns=names).rows
    assert (row["audio_quality"], row["overall"], row["group"]) == (50, 70, "v")
    with pytest.raises(ArgumentError, match="a column 'mosx', got file, aq"):
        read_corpus("agavqa_mos", path, columns=names | {"overall": "mosx"})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("text_to_audio", "Model,File,OVL,REL\na,b,1,2\n", "expected a column 'File Name', got Model, File, OVL, REL"),
        ("agavqa_pair", "video,group,category,best\na,g,c,2\n", "row 1: best: expected a rating from 0 to 1, got '2'"),
        ("table", "clip,overall\na,1\na,2\n", "expected one row a clip, got .*/a twice"),
        ("table", "clip,overall\na,good\n", "expected a column of numbers, got clip, overall"),
        ("table", "clip,overall\n,1\n", "row 1: expected a path as clip, got ''"),
        ("table", "clip,overall\n", "expected a row a clip or pair, got none"),
        ("pairs", "first,second,overall\na,b,good\n", "expected a column with first, second or tie, got first"),
        (
            "videogen_rewardbench",
            "path_A,path_B,VQ,MQ,TA,Overall\na,b,C,A,A,A\n",
            "row 1: VQ: expected first, second or tie .A, B or same., got 'C'",
        ),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path, name: str, text: str, said: str) -> None:
    with pytest.raises(AvrewardError, match=said):
        read_corpus(name, file(tmp_path, "labels.csv", text))


def test_wrong_places(tmp_path) -> None:
    with pytest.raises(ArgumentError, match="did you mean 't2vqa_db'"):
        read_corpus("t2vqa", tmp_path)
    with pytest.raises(AvrewardError, match="no such file or folder"):
        read_corpus("table", tmp_path / "absent.csv")
    file(tmp_path, "x.csv", "a")
    with pytest.raises(AvrewardError, match=r"expected scores\.csv, got x\.csv; name the label file"):
        read_corpus("text_to_audio", tmp_path)
    file(tmp_path, "y.csv", "a")
    with pytest.raises(AvrewardError, match=r"2 label files \(x\.csv, y\.csv, …\); name one"):
        read_corpus("gaia", tmp_path)
    with pytest.raises(ArgumentError, match=r"ends in \.csv.*got \.xlsx"):
        read_corpus("gaia", file(tmp_path, "action_label.xlsx", "x"))
    with pytest.raises(AvrewardError, match="can't be read"):
        read_corpus("table", file(tmp_path, "broken.json", "{"))


def test_ratings_of_one_person_for_one_clip_twice(tmp_path) -> None:
    path = file(tmp_path, "x.csv", "clip,person,overall\na,ann,1\na,ann,2\n")
    with pytest.raises(ArgumentError, match="a by ann twice"):
        read_corpus("table", path)


def test_every_corpus_says_what_it_is() -> None:
    for name, corpus in CORPORA.items():
        assert name == corpus.name
        assert corpus.about
        assert corpus.dimensions or name in ("table", "pairs")
    assert {name for name, corpus in CORPORA.items() if not corpus.checked} == {
        "agavqa_mos",
        "agavqa_pair",
        "lgvq",
        "gaia",
    }
