"""AVBench's items are read as its scripts read them, and clips find theirs by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avreward.datasets import avbench_clips, read_avbench
from avreward.errors import ArgumentError, AvrewardError

ITEM = {"id": "video_000001", "prompt_vision": "A dog.", "prompt_audio": "Barks.", "utterance": "Good dog."}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "items.json"
    path.write_text(json.dumps(content))
    return path


def test_an_item(tmp_path) -> None:
    (item,) = read_avbench(written(tmp_path, [ITEM | {"full_prompt": "All.", "language": "en", "tags": ["x"]}]))
    assert (item.id, item.video_prompt, item.audio_prompt, item.speech, item.full_prompt) == (
        "video_000001", "A dog.", "Barks.", "Good dog.", "All.",
    )  # fmt: skip
    assert item.category is None
    assert item.others == {"language": "en"}


def test_the_id_is_looked_for_where_the_scripts_of_avbench_look(tmp_path) -> None:
    rows = [
        {"video_file": "abc.mp4", "id": "x", "prompt_vision": "A"},
        {"video_id": "y", "hash": "z", "prompt_vision": "A"},
        {"hash": "z", "prompt_vision": "A", "category": "music"},
    ]
    items = read_avbench(written(tmp_path, rows))
    assert [item.id for item in items] == ["abc", "y", "z"]
    assert [item.category for item in items] == [None, None, "music"]


def test_clips_find_their_items(tmp_path) -> None:
    rows = [ITEM, {"id": "video_00000", "prompt_vision": "B"}, {"id": "video_000001_b", "prompt_audio": "C"}]
    items = read_avbench(written(tmp_path, rows))
    for name in (
        "video_000001_sora.mp4",
        "video_000001_b_sora.mp4",
        "video_0000012.mp4",
        "other.mp4",
        "video_00000.mp4",
    ):
        (tmp_path / "sora" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sora" / name).touch()
    found = {clip.path.name: clip for clip in avbench_clips(items, tmp_path / "sora")}
    assert {name: clip.columns["id"] for name, clip in found.items()} == {
        "video_000001_sora.mp4": "video_000001",
        "video_000001_b_sora.mp4": "video_000001_b",
        "video_00000.mp4": "video_00000",
    }
    clip = found["video_000001_sora.mp4"]
    assert clip.prompt == "A dog."
    assert clip.texts == {"audio_prompt": "Barks.", "speech": "Good dog."}
    assert clip.columns["system"] == "sora" == found["video_00000.mp4"].columns["system"]
    silent = found["video_000001_b_sora.mp4"]  # nobody speaks, and nothing is said about the video
    assert silent.prompt is None
    assert silent.texts == {"audio_prompt": "C"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "expected a list of items, got a JSON dict"),
        ([], "got an empty list"),
        (["a"], "item 1: expected an object, got 'a'"),
        ([ITEM, {"id": "b", "caption": "A dog."}], r"item 2: expected the keys id, prompt_vision.*got id, caption"),
        ([{"prompt_vision": "A dog."}], "item 1: expected the keys id"),
        ([{"id": "a", "prompt_vision": 7}], "got prompt_vision without a text"),
        ([ITEM, ITEM], "expected items with different ids, got 'video_000001' twice"),
    ],
)
def test_files_that_are_none(tmp_path, content: object, said: str) -> None:
    with pytest.raises(AvrewardError, match=rf"items\.json.*{said}"):
        read_avbench(written(tmp_path, content))


def test_a_file_that_is_not_json(tmp_path) -> None:
    (tmp_path / "items.json").write_text("id,prompt")
    with pytest.raises(AvrewardError, match="can't be read"):
        read_avbench(tmp_path / "items.json")
    with pytest.raises(AvrewardError, match=r"No such file.*give AVBench's JSON"):
        read_avbench(tmp_path / "absent.json")


def test_clips_that_answer_nothing(tmp_path) -> None:
    items = read_avbench(written(tmp_path, [ITEM]))
    (tmp_path / "other.mp4").touch()
    with pytest.raises(ArgumentError, match=r"such as video_000001_mine\.mp4, got other\.mp4"):
        avbench_clips(items, tmp_path / "other.mp4")


def test_two_clips_of_one_system(tmp_path) -> None:
    items = read_avbench(written(tmp_path, [ITEM]))
    for name in ("video_000001_a.mp4", "video_000001_a.mov"):
        (tmp_path / name).touch()
    with pytest.raises(ArgumentError, match="expected one clip of a for video_000001"):
        avbench_clips(items, tmp_path)


def test_a_clip_says_its_system_and_one_system_answers_once(tmp_path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("video_000001_sora.mp4", "x/video_000001_sora.mp4"):
        (tmp_path / name).touch()
    items = read_avbench(written(tmp_path, [ITEM | {"system": "of the item", "split": "a"}]))
    with pytest.raises(ArgumentError, match=r"one clip of sora for video_000001, got .*a column system"):
        avbench_clips(items, [tmp_path / "video_000001_sora.mp4", tmp_path / "x"])
    (clip,) = avbench_clips(items, tmp_path / "x")
    assert (clip.columns["system"], clip.columns["split"]) == ("sora", "a")
    listed = "clip,system,split\nvideo_000001_sora.mp4,one,b\nx/video_000001_sora.mp4,two,b\n"
    (tmp_path / "clips.csv").write_text(listed)
    found = avbench_clips(items, tmp_path / "clips.csv")
    assert [(one.columns["system"], one.columns["split"]) for one in found] == [("one", "b"), ("two", "b")]
