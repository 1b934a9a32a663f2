"""`avreward rank --group-by`: a winner a group, its page, its folder, its table, and the warning without groups."""

import json
import shutil
from pathlib import Path

import pytest

from avreward import Clip
from avreward.scoring import read_table


def test_a_winner_a_group(run, toy, dubs):
    result = run("rank", dubs, "--group-by", "parent")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines if line and line[0] in ("drum", "rain")] == [
        ["drum", "2.mp4"],
        ["rain", "1.mp4"],
    ]
    assert "4 clips ranked in 2 groups by the folder of the clip" in result.stdout
    assert not result.stderr


def test_groups_as_json(run, toy, dubs):
    told = json.loads(run("rank", dubs, "--group-by", "stem", "--json").stdout)
    assert told["group_by"] == "stem"
    assert [(one["group"], one["best"]) for one in told["groups"]] == [
        ("1", str(dubs / "rain" / "1.mp4")), ("2", str(dubs / "drum" / "2.mp4"))
    ]  # fmt: skip
    assert [one["rank"] for one in told["groups"][0]["candidates"]] == [1, 2]


def test_the_best_in_a_folder_that_is_made(run, toy, dubs, files, tmp_path):
    best = tmp_path / "results" / "best"
    assert run("rank", dubs, "--group-by", "parent", "--best-dir", best).exit_code == 0
    assert {path.name: path.read_bytes() for path in best.iterdir() if path.suffix == ".mp4"} == dict.fromkeys(
        ("drum.mp4", "rain.mp4"), files.loud.read_bytes()
    )
    single = tmp_path / "one"
    assert run("rank", dubs / "rain", "--best-dir", single).exit_code == 0
    assert sorted(path.name for path in single.iterdir()) == ["1.mp4", "best.csv"]


@pytest.mark.parametrize("inputs", ["dubs", "dubs/*/*.mp4"])
def test_the_best_never_become_candidates(run, toy, dubs, monkeypatch, inputs):
    monkeypatch.chdir(dubs.parent)
    result = run("rank", inputs, "--group-by", "parent", "--best-dir", "dubs/best")
    assert result.exit_code == 2
    assert "--best-dir" in result.stderr
    assert not toy.calls


def test_the_table_has_groups_and_ranks(run, toy, dubs, files, tmp_path):
    shutil.copyfile(files.bad["text.mp4"], dubs / "rain" / "3.mp4")
    out = tmp_path / "ranked.csv"
    assert run("rank", dubs, "--group-by", "parent", "--table", out).exit_code == 1
    table = read_table(out)
    rows = [(row["group"], row["rank"], row["reward"] is None) for row in table.rows.to_pylist()]
    drum, rain = str(dubs / "drum"), str(dubs / "rain")
    assert rows == [(drum, 2, False), (drum, 1, False), (rain, 1, False), (rain, 2, False), (None, None, True)]
    assert "rank" not in table.scores
    assert table.metadata["group_by"] == "parent"


def test_pages_of_groups(run, toy, dubs, files, tmp_path):
    shutil.copyfile(files.bad["text.mp4"], dubs / "rain" / "3.mp4")
    page = tmp_path / "page.html"
    assert run("rank", dubs, "--group-by", "parent", "--report", page).exit_code == 1
    text = page.read_text()
    assert 'href="./page_groups/rain.html"' in text
    assert 'src="dubs/drum/2.mp4"' in text.replace("./", "")
    assert "3.mp4" in text.partition("Not ranked")[2]
    own = (tmp_path / "page_groups" / "rain.html").read_text()
    assert "Best of 2: 1.mp4" in own
    assert 'src="../dubs/rain/1.mp4"' in own


def test_columns_and_prompts_of_a_manifest(run, toy, dubs, tmp_path):
    rows = [("drum/1.mp4", "a", "x"), ("rain/1.mp4", "a", "y"), ("rain/2.mp4", "", "y")]
    manifest = tmp_path / "dubs" / "list.tsv"
    manifest.write_text("file\tprompt\tsystem\n" + "".join("\t".join(row) + "\n" for row in rows))
    told = json.loads(run("rank", manifest, "--group-by", "system", "--json").stdout)
    assert [one["group"] for one in told["groups"]] == ["x", "y"]
    result = run("rank", manifest, "--group-by", "prompt", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [len(one["candidates"]) for one in told["groups"]] == [2]
    assert told["failed"][0]["reason"] == "it has no group: nothing under prompt"
    wrong = run("rank", manifest, "--group-by", "sistem")
    assert wrong.exit_code == 2
    assert "did you mean" in wrong.stderr


def test_a_group_without_a_reward_costs_only_itself(run, toy, dubs, files):
    for name in ("1.mp4", "2.mp4"):
        shutil.copyfile(files.silent, dubs / "drum" / name)
    result = run("rank", dubs, "--group-by", "parent", "--reward", "power", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [one["group"] for one in told["groups"]] == [str(dubs / "rain")]
    assert [one["reason"] for one in told["failed"]] == ["toy.power: no sound track"] * 2
    nothing = run("rank", dubs / "drum", "--group-by", "parent", "--reward", "power")
    assert nothing.exit_code == 3
    assert "no group by parent can be ranked" in nothing.stderr


def test_one_file_for_several_groups_is_a_usage_error(run, toy, dubs, tmp_path):
    result = run("rank", dubs, "--group-by", "parent", "--out", tmp_path / "best.mp4")
    assert result.exit_code == 2
    assert "--best-dir" in result.stderr


def test_clips_of_different_content_are_warned_about(run, toy, dubs, files, tmp_path):
    def told(*arguments):
        return " ".join(run("rank", *arguments).stderr.split())

    assert "files of the same 2 names; --group-by stem" in told(dubs)
    (dubs / "drum" / "2.mp4").rename(dubs / "drum" / "other.mp4")
    assert "these clips are in 2 folders; --group-by parent" in told(dubs)
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps({str(files.loud): "a dog", str(files.soft): "a cat"}))
    assert "2 different prompts; --group-by prompt" in told(files.loud, files.soft, "--prompts", prompts)
    other = tmp_path / "other.mp4"
    clip = Clip.open(files.loud)
    Clip(video=clip.video.flip(0), fps=16, audio=clip.audio, sample_rate=16000).save(other)
    assert "dubs of 2 different videos; --group-by video" in told(files.loud, files.soft, other)
    for fine in ((files.loud, files.soft), (files.loud, other), ("--video", files.silent, files.wav, dubs / "rain")):
        assert not told(*fine)


def test_scores_are_shared_by_all_commands(run, toy, dubs, store, tmp_path):
    assert run("score", dubs, "--out", tmp_path / "t.csv").exit_code == 0
    toy.calls.clear()
    assert run("rank", dubs, "--group-by", "parent").exit_code == 0
    assert not toy.calls
    assert run("rank", dubs, "--group-by", "parent", "--no-store").exit_code == 0
    assert sum(toy.calls) == 4


def test_without_a_place_for_the_store_all_goes_on(run, toy, files, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVREWARD_STORE", str(tmp_path / "file" / "store"))
    result = run("rank", files.loud)
    assert result.exit_code == 0
    assert "scores are not kept" in result.stderr


def test_names_cannot_control_the_terminal(run, toy, files, tmp_path):
    odd = tmp_path / "a\x1b]0;owned\x07\u202e.mp4"
    shutil.copyfile(files.loud, odd)
    bad = tmp_path / "b\x1b[2J.mp4"
    bad.write_text("no video")
    result = run("rank", odd, bad, "--table", tmp_path / "t.csv")
    assert "owned" in result.stdout
    assert not {"\x1b", "\x07", "\u202e"} & {*result.stdout, *result.stderr}
    assert str(odd) in read_table(tmp_path / "t.csv").column("clip").to_pylist()


def test_the_folder_of_the_best_says_where_they_come_from(run, toy, dubs, tmp_path):
    from avreward.scoring import list_clips

    assert run("rank", dubs, "--group-by", "parent", "--best-dir", tmp_path / "best").exit_code == 0
    clips = list_clips(tmp_path / "best" / "best.csv")
    assert len(clips) == 2
    assert all(one.path.is_file() for one in clips)
    for one in clips:
        source = Path(one.columns["source"])
        assert source.read_bytes() == one.path.read_bytes()
        assert one.columns["group"] == source.parent.as_posix()
    assert run("rank", clips[0].path, "--best-dir", tmp_path / "one").exit_code == 0
    assert len(list_clips(tmp_path / "one" / "best.csv")) == 1


def test_the_table_keeps_columns_of_a_manifest(run, toy, dubs, tmp_path):
    """And from a table in CSV, numbers come back as numbers."""
    from avreward.scoring import list_clips, read_table

    clips = list_clips(dubs)
    path = tmp_path / "list.csv"
    path.write_text("clip,system,seed\n" + "".join(f"{one.path},{i % 2},{i}\n" for i, one in enumerate(clips)))
    assert run("rank", path, "--group-by", "parent", "--table", tmp_path / "a.csv").exit_code == 0
    first = read_table(tmp_path / "a.csv")
    assert first.column("system").to_pylist() == [i % 2 for i in range(len(clips))]
    for ending in ("parquet", "jsonl"):
        out = tmp_path / f"again.{ending}"
        assert run("rank", tmp_path / "a.csv", "--group-by", "parent", "--table", out).exit_code == 0
        again = read_table(out)
        for name in ("seconds", "width", "frames", "system", "seed", "rank", "clip_key"):
            assert again.column(name).to_pylist() == first.column(name).to_pylist()


def test_few_lines_for_many_files_that_fail(run, toy, files):
    result = run("rank", files.loud, *(files.folder / f"none{i}.mp4" for i in range(15)), "--json")
    assert result.exit_code == 1
    assert result.stderr.count("there is no such file") == 10
    assert "5 more clips like these; --json names all" in result.stderr
    assert len(json.loads(result.stdout)["failed"]) == 15


def test_all_commands_form_the_same_groups(run, toy, dubs, tmp_path):
    """Of clips and of their table, by a column that is called like a rule."""
    lines = [f"{one.relative_to(dubs)},{'ab'[i % 2]},s{i // 2}\n" for i, one in enumerate(sorted(dubs.glob("*/*.mp4")))]
    (dubs / "list.csv").write_text("clip,parent,system\n" + "".join(lines))
    out, grouped = tmp_path / "t.csv", ("--group-by", "parent")
    assert run("score", dubs / "list.csv", "--reward", "overall", "--out", out, *grouped).exit_code == 0
    assert read_table(out).column("group").to_pylist() == ["a", "b", "a", "b"]
    for source in (dubs / "list.csv", out):
        ranked = run("rank", source, *grouped, "--table", tmp_path / "ranked.csv")
        assert "4 clips ranked in 2 groups by the column parent" in ranked.stdout
        assert read_table(tmp_path / "ranked.csv").column("group").to_pylist() == ["a", "b", "a", "b"]
        assert "4 candidates in 2 groups by the column parent" in run("curve", source, *grouped).stdout
        assert "in 2 groups by the column parent" in run("compare", source, "--system", "system", *grouped).stdout
        kept = run("filter", source, "--top", "1", "--per", "parent", "--out", tmp_path / "kept.csv", "--json").stdout
        assert [Path(one).parent.name for one in json.loads(kept)["kept"]] == ["drum", "rain"]


def test_a_table_of_dubs_keeps_its_groups(run, toy, files, dubs, tmp_path):
    """Grouped by the video track, also when the media are gone."""
    out, again = tmp_path / "t.csv", tmp_path / "again.csv"
    assert run("score", dubs, files.silent, "--out", out, "--group-by", "video").exit_code == 0
    dubs.rename(tmp_path / "elsewhere")
    result = run("rank", out, "--group-by", "video", "--table", again, "--reward", "brightness")
    assert result.exit_code == 0
    assert "5 clips ranked in 1 groups by the video" in result.stdout
    assert read_table(again).column("group").to_pylist() == read_table(out).column("group").to_pylist()
    assert None not in read_table(again).column("group").to_pylist()


def test_lists_with_different_columns(run, toy, dubs, tmp_path):
    """A clip whose list lacks the column has no group, and the others are scored."""
    (dubs / "a.csv").write_text("clip,system\ndrum/1.mp4,x\n")
    (dubs / "b.csv").write_text("clip,kind\ndrum/2.mp4,y\n")
    out = tmp_path / "t.csv"
    assert run("score", dubs / "a.csv", dubs / "b.csv", "--out", out, "--group-by", "system").exit_code == 0
    assert read_table(out).column("group").to_pylist() == ["x", None]
