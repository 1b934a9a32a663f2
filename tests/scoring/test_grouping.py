"""What the clips of a group share: one meaning for clips and for the rows of scored tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored_tables import write

from avreward.errors import ArgumentError
from avreward.scoring import ListedClip, group_of, read_table
from avreward.scoring._grouping import group_in, in_words, names_column, table_groups

CLIPS = (
    ListedClip(Path("a/1.mp4"), "x", {"parent": "wan", "seed": 3}),
    ListedClip(Path("/a/b/2.tar.mp4"), "", {"parent": "ltx", "seed": 3}),
    ListedClip(Path("3.mp4"), "x", {"parent": "", "seed": 4}),
    ListedClip(Path("/4"), None, {"seed": 4}),
)


@pytest.fixture(params=["parquet", "jsonl", "csv"])
def table(tmp_path, request):
    """The clips as a table that was grouped by a rule of another name, without their column `parent`."""

    def made(group_by="prompt", **columns):
        rows = [
            {
                "clip": str(one.path),
                "prompt": one.prompt,
                "group": f"g{i // 2}",
                "seed": one.columns["seed"],
                "reward": i,
            }
            for i, one in enumerate(CLIPS)
        ]
        found = read_table(write(tmp_path / f"t.{request.param}", rows, group_by=group_by))
        for name, values in columns.items():
            found = replace(found, rows=found.rows.append_column(name, [values]))
        return found

    return made


def test_groups():
    clip = ListedClip(Path("dubs/rain/1.wav"), "rain", {"system": "wan", "empty": ""})
    found = {by: group_of(clip, by) for by in ("parent", "prompt", "stem", "system", "empty")}
    assert found == {"parent": "dubs/rain", "prompt": "rain", "stem": "1", "system": "wan", "empty": None}
    assert group_of(clip, "video") is None  # it can't be opened
    with pytest.raises(ArgumentError, match="did you mean 'system'"):
        group_of(clip, "sytem")


@pytest.mark.parametrize("by", ["parent", "stem", "prompt", "seed"])
def test_clips_and_tables_have_the_same_groups(table, by):
    bare = [ListedClip(one.path, one.prompt, {"seed": one.columns["seed"]}) for one in CLIPS]
    assert table_groups(table(), by).keys == [group_of(one, by) for one in bare]


def test_a_column_comes_before_the_rule_of_its_name(table):
    values = [one.columns.get("parent") for one in CLIPS]
    column = names_column(CLIPS, "parent")
    assert [group_in(one, "parent", column) for one in CLIPS] == ["wan", "ltx", None, None]
    found = table_groups(table("parent", parent=values), "parent")
    assert (found.keys, found.words) == (["wan", "ltx", None, None], "the column parent")
    assert table_groups(table("parent", parent=values), "group").words == "the column parent"
    assert found.codes.dtype == np.int64


def test_a_clip_that_lacks_the_column_of_others_has_no_group():
    clips = [ListedClip(Path("a.mp4"), None, {"system": "x"}), ListedClip(Path("b.mp4"), None, {"kind": "y"})]
    assert [group_in(one, "system", names_column(clips, "system")) for one in clips] == ["x", None]
    with pytest.raises(ArgumentError, match="group_by: expected one of parent, prompt, video, stem, system, kind,"):
        names_column(clips, "nothing")


def test_a_table_that_was_grouped_by_a_rule_has_its_groups_in_the_column_group(table):
    for by in ("video", "scene"):
        assert table_groups(table(by), by).keys == ["g0", "g0", "g1", "g1"]
    assert table_groups(table("video")).words == "the video"
    assert table_groups(table("scene")).words == "the column group"
    with pytest.raises(ArgumentError, match="system: expected another rule than video, or a table grouped by video"):
        table_groups(table(), "video", "system")
    with pytest.raises(ArgumentError, match=r"by: expected one of parent, .*, got 'sed'; did you mean 'seed'"):
        table_groups(table(), "sed", "by")


def test_words():
    assert [in_words(by) for by in ("parent", "stem", "prompt", "video")] == [
        "the folder of the clip", "the file's name", "the prompt", "the video"
    ]  # fmt: skip
    assert in_words("prompt", column=True) == "the prompt"
