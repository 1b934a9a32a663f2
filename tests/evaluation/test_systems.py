"""Comparison of systems: numbers by hand, what is left out, groups and systems by any rule, and what is refused."""

import math

import numpy as np
import pytest
from scored_tables import write

from avreward.errors import ArgumentError
from avreward.evaluation import compare_systems
from avreward.scoring import read_table

COLUMNS = ["toy.quality"]


def rows(scores, systems="abcde", clips=1, **more):
    """Rows of a table from (groups, systems) scores, as ``dubs/GROUP/SYSTEM.mp4``."""
    return [
        {"clip": f"dubs/{g}/{systems[s]}.mp4", "group": f"dubs/{g}", "toy.quality": float(value), **more}
        for g, row in enumerate(scores)
        for s, value in enumerate(row)
        for _ in range(clips)
    ]


@pytest.fixture
def table(tmp_path):
    """Writes rows and reads them again."""

    def made(made_rows, group_by="parent", scores=("toy.quality", "toy.sync")):
        return read_table(write(tmp_path / "scores.parquet", made_rows, scores, group_by))

    return made


def test_numbers_by_hand(table):
    scores = [[3, 1], [5, 2], [4, 4], [9, 8], [7, 3], [2, 3]]
    found = compare_systems(table(rows(scores)))
    assert (found.systems, found.dimensions, found.groups, found.clips) == (("a", "b"), ("toy.quality",), 6, 12)
    assert found.rule == "the folder of the clip"
    [one] = found.differences
    assert (one.first, one.second, one.groups, one.difference) == ("a", "b", 6, 1.5)
    assert one.wins == pytest.approx((4 + 0.5) / 6)
    assert one.p == one.corrected == pytest.approx(12 / 64)  # |sum| of 9 or more by all signs of 2, 3, 0, 1, 4, -1
    assert (one.low, one.high) == (-1, 4)
    a = found.score("toy.quality", "a")
    assert (a.mean, a.clips, a.groups) == (5, 6, 6)
    assert a.strength == pytest.approx(-found.score("toy.quality", "b").strength)
    assert not found.differs(one)


def test_a_group_is_one_observation(table):
    """Copies of each clip change the counts, and no p-value and no interval."""
    scores = np.random.default_rng(0).normal(size=(8, 3))
    one, many = (compare_systems(table(rows(scores, clips=clips))) for clips in (1, 4))
    assert many.clips == 4 * one.clips
    for name in ("groups", "difference", "low", "high", "wins", "p", "corrected", "smallest"):
        assert [getattr(d, name) for d in many.differences] == pytest.approx(
            [getattr(d, name) for d in one.differences]
        )
    assert many.to_frame("scores").strength.tolist() == pytest.approx(one.to_frame("scores").strength.tolist())


def test_wins_count_pairs_of_clips(table):
    made = [
        {"clip": f"{i}.mp4", "group": "g", "prompt": s, "toy.quality": float(v)}
        for i, (s, v) in enumerate([("a", 1), ("a", 3), ("b", 2), ("b", 3), ("b", 0)])
    ]
    found = compare_systems(table(made), "prompt")
    assert found.difference("toy.quality", "a", "b").wins == pytest.approx((1 + 2.5) / 6)
    assert found.difference("toy.quality", "b", "a").wins == pytest.approx((6 - 3.5) / 6)
    assert found.difference("toy.quality", "b", "a").difference == pytest.approx(5 / 3 - 2)


def test_lower_is_better(table):
    scores = np.random.default_rng(0).normal(size=(8, 2)) + np.array([0.0, -6.0])
    found = compare_systems(table(rows(scores)), lower=["toy.quality"])
    assert found.systems == ("b", "a")
    assert found.best("toy.quality") == "b"
    [one] = found.differences
    assert (one.first, one.wins) == ("b", 1)
    assert one.difference < 0
    assert found.score("toy.quality", "b").strength > 0
    assert found.verdicts == ("toy.quality: b is best, ahead of a",)


def test_rows_without_a_score_are_named_and_never_zero(table):
    made = rows(np.full((8, 2), 50.0))
    made[0] = {**made[0], "toy.quality": None, "reasons": {"clip": "the file is empty"}}
    made[3] = {**made[3], "toy.sync": 1.0, "toy.quality": None, "reasons": {"toy.quality": "no audio track"}}
    made[4] = {**made[4], "group": None}
    found = compare_systems(table(made), columns=["toy.quality", "toy.sync"])
    assert [(one.clip, one.dimension, one.reason) for one in found.left_out][:3] == [
        ("dubs/0/a.mp4", "", "the file is empty"),
        ("dubs/2/a.mp4", "", "no group: nothing under group"),
        ("dubs/1/b.mp4", "toy.quality", "no audio track"),
    ]
    assert found.score("toy.quality", "a").mean == 50
    assert [found.score("toy.quality", system).groups for system in "ab"] == [6, 7]
    assert found.difference("toy.quality", "a", "b").groups == 5
    assert any("lack some groups" in note for note in found.notes)


def test_scores_that_are_not_comparable_are_left_out(table):
    made = rows(np.random.default_rng(0).normal(size=(8, 2)), fingerprint="one", sample_rate=16000)
    made[1] = {**made[1], "fingerprint": "two"}
    made[2] = {**made[2], "sample_rate": None}
    with pytest.warns(UserWarning, match="scores of different settings"):
        written = table(made)
    found = compare_systems(written, columns=COLUMNS)
    assert [(one.clip, one.reason.partition(" than")[0]) for one in found.left_out] == [
        ("dubs/0/b.mp4", "scored with other settings"),
        ("dubs/1/a.mp4", "it has other tracks"),
    ]


def test_folders_as_systems(table):
    made = [
        {"clip": f"{system}/{prompt}.mp4", "group": system, "toy.quality": prompt + 3.0 * (system == "new")}
        for prompt in range(6)
        for system in ("old", "new")
    ]
    found = compare_systems(table(made), "parent")
    assert (found.systems, found.groups, found.rule) == (("new", "old"), 6, "the file's name")
    assert found.differences[0].difference == 3
    assert compare_systems(table(made), "parent", group_by="stem").groups == 6


def test_groups_of_a_table_without_a_column_for_them(tmp_path):
    """The same rule as for pairs: the prompt if there is one, else the folder."""
    path = tmp_path / "t.csv"
    path.write_text("clip,prompt,x\n" + "".join(f"{g}/{s}.mp4,,{g + s}.5\n" for g in range(3) for s in range(2)))
    assert compare_systems(read_table(path)).rule == "the folder of the clip"
    assert compare_systems(read_table(path), "parent").rule == "the file's name"
    path.write_text("clip,prompt,x\n" + "".join(f"{g}/{s}.mp4,p{g},{g + s}.5\n" for g in range(3) for s in range(2)))
    assert compare_systems(read_table(path)).rule == "the prompt"


def test_categories(table):
    made = [
        {"clip": f"{g}/{s}.mp4", "group": str(g), "prompt": "music" if g < 2 else "speech", "toy.quality": g + 10.0 * s}
        for g in range(6)
        for s in (0, 1)
    ]
    found = compare_systems(table(made), by="prompt")
    rows_of = [(one.category, one.system, one.mean, one.groups) for [one] in found.category_rows()]
    assert rows_of == [
        ("music", "1", 10.5, 2),
        ("music", "0", 0.5, 2),
        ("speech", "1", 13.5, 4),
        ("speech", "0", 3.5, 4),
    ]


def test_dimensions_are_chosen(table):
    made = rows(np.random.default_rng(0).normal(size=(6, 2)), seconds=4.0)
    for row in made:
        row |= {
            "reward": row["toy.quality"],
            "toy.sync": 1.0,
            "signals.overall": row["toy.quality"] * 2,
            "signals.hum": 1.0,
        }
    found = compare_systems(table(made, scores=("toy.quality", "toy.sync", "signals.overall", "signals.hum")))
    assert found.dimensions == ("reward", "signals.overall")
    assert "reward equals toy.quality, which is not shown again." in found.notes
    assert "toy.sync is equal for all systems and left out." in found.notes


def test_corrected_for_dimensions(table):
    rng = np.random.default_rng(0)
    made = rows(rng.normal(size=(8, 2)) + np.array([5, 0]))
    for row in made:
        row["toy.sync"] = rng.normal()
    alone, both = (compare_systems(table(made), columns=c) for c in (["toy.quality"], ["toy.quality", "toy.sync"]))
    assert both.differences[0].corrected == 2 * alone.differences[0].corrected
    assert both.differences[0].smallest > alone.differences[0].smallest


def test_few_groups_say_what_they_need(table):
    found = compare_systems(table(rows(np.arange(10.0).reshape(5, 2))))
    [one] = found.differences
    assert (one.needed, one.smallest, one.low, one.high) == (6, math.inf, -math.inf, math.inf)
    assert found.verdicts == (
        "toy.quality: no evidence of a difference between b and a (+1 [−∞, ∞]); 5 groups cannot show any difference: "
        "at least 6 are needed",
    )
    assert "at least 6 are needed" in found.notes[0]


def test_verdicts(table):
    rng = np.random.default_rng(0)
    best = compare_systems(table(rows(rng.normal(size=(8, 4)) + np.array([9, 0, 0, 0]))))
    assert best.verdicts == ("toy.quality: a is best, ahead of all 3 others",)
    tied = compare_systems(table(rows(rng.normal(size=(8, 3)) + np.array([9, 9, 0]))))
    assert tied.verdicts[0].startswith(
        f"toy.quality: {tied.systems[0]} leads, but {tied.systems[1]} cannot be told apart"
    )


def test_one_system_in_no_shared_group_is_said(table):
    scores = np.random.default_rng(0).normal(size=(6, 2))
    made = rows(scores) + [{"clip": f"dubs/x{i}/c.mp4", "group": f"x{i}", "toy.quality": 9.0} for i in range(2)]
    found = compare_systems(table(made))
    assert found.difference("toy.quality", "a", "c") is None
    assert math.isnan(found.score("toy.quality", "c").strength)
    assert "c leads, but" in found.verdicts[0]


def test_it_is_shown_and_framed(table):
    found = compare_systems(table(rows(np.random.default_rng(0).normal(size=(6, 3)))))
    assert repr(found).startswith("3 systems, 18 clips, 6 groups: toy.quality: ")
    assert "<table>" in found._repr_html_()
    assert len(found.to_frame()) == 3
    assert len(found.to_frame("scores")) == 3
    assert found.to_frame("left_out").empty


def test_the_seed_decides_and_repeats(table):
    made = table(rows(np.random.default_rng(0).normal(size=(20, 3))))
    first, again, other = (compare_systems(made, draws=199, seed=seed).to_frame() for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"system": "sytem"}, "system: expected one of parent, prompt, video, stem, clip"),
        ({"system": "fingerprint"}, "at least two systems"),
        ({"group_by": "clip"}, "groups with clips of several systems"),
        ({"group_by": "video"}, "a table grouped by video"),
        ({"columns": ["toy.qualty"]}, "did you mean 'toy.quality'"),
        ({"columns": ["toy.quality", "toy.quality"]}, "columns: expected a list of different columns"),
        ({"columns": "toy.quality"}, "columns: expected a list of different columns"),
        ({"lower": ["toy.sync"]}, "lower: expected one of"),
        ({"by": "kind"}, "by: expected one of"),
        ({"level": 95}, "level: expected a number between 0 and 1"),
        ({"draws": 1}, "draws: expected an integer of at least 99"),
    ],
)
def test_bad_arguments(table, arguments, problem):
    made = table(rows(np.random.default_rng(0).normal(size=(6, 2)), fingerprint="f"))
    with pytest.raises(ArgumentError, match=problem):
        compare_systems(made, **arguments)


def test_unknown_names(table):
    found = compare_systems(table(rows(np.random.default_rng(0).normal(size=(6, 2)))))
    for call in (
        lambda: found.score("toy.quality", "z"),
        lambda: found.difference("toy.sync", "a", "b"),
        lambda: found.to_frame("wins"),
    ):
        with pytest.raises(ArgumentError, match="expected one of"):
            call()


def test_names_of_clips_are_not_systems(table):
    made = rows(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(ArgumentError, match=r"system: expected at most 30 systems, got 40, such as dubs/0/a\.mp4"):
        compare_systems(table(made), "clip")


def test_no_scores_at_all(table):
    made = [
        {"clip": f"dubs/{g}/{s}.mp4", "group": str(g), "reasons": {"clip": "broken"}} for g in range(3) for s in "ab"
    ]
    with pytest.raises(ArgumentError, match="at least one column of scores"):
        compare_systems(table(made))
    with pytest.raises(ArgumentError, match=r"at least two systems with scores, got none in .* \(6 clips have no"):
        compare_systems(table(made), columns=["toy.quality"])


def test_equal_systems_do_not_lead(tmp_path):
    import pandas

    rows = [
        {"clip": f"g{g}/{system}.mp4", "group": f"g{g}", "system": system, "reward": 1.0}
        for g in range(10)
        for system in "abc"
    ]
    pandas.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    found = compare_systems(tmp_path / "t.csv", system="system", group_by="group", columns=["reward"])
    assert found.verdicts == ("reward: all 3 systems are equal in every group",)
