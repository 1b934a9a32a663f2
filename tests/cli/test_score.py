"""`avreward score`: the table's rows and columns, groups, failures, and what an interrupt leaves."""

import json
from pathlib import Path

import pytest
import torch
from full_disk import run_limited
from pyarrow import parquet

from avreward import Clip
from avreward.scoring import read_table
from avreward.scoring.table_writer import METADATA_KEY


def read(path):
    table = parquet.read_table(path)
    return table.to_pylist(), table, json.loads(table.schema.metadata[METADATA_KEY])


def test_parquet(run, toy, files, tmp_path):
    out = tmp_path / "scores.parquet"
    result = run("score", files.loud, files.silent, "--out", out, "--reward", "overall")
    assert result.exit_code == 0, result.stderr
    rows, table, metadata = read(out)
    assert table.column_names == [
        "clip", "clip_key", "group", "prompt",
        "toy.power", "toy.brightness", "toy.overall", "toy.peak",
        "reward", "sigma", "reasons", "seconds", "fps", "frames", "width", "height", "sample_rate", "loudness",
        "motion", "seed", "fingerprint",
    ]  # fmt: skip
    assert metadata.pop("environment").keys() == {"av", "torch"}
    assert list(metadata.pop("dimensions")) == ["toy.power", "toy.brightness", "toy.overall", "toy.peak"]
    assert metadata == {"group_by": "parent", "reward": "toy.overall", "raters": {"toy": "toy 1"}}
    loud, silent = rows
    assert loud["clip"] == str(files.loud)
    assert loud["reward"] == pytest.approx(loud["toy.overall"])
    assert (loud["width"], loud["height"], loud["fps"], loud["sample_rate"]) == (48, 32, pytest.approx(16), 16000)
    assert loud["group"] == silent["group"] == str(files.folder)
    assert loud["clip_key"] != silent["clip_key"]
    assert silent["toy.power"] is None
    assert silent["sample_rate"] is None
    assert {"dimension": "toy.power", "reason": "no sound track"} in silent["reasons"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.parquet"]


def test_json_lines(run, toy, files, tmp_path):
    out = tmp_path / "scores.jsonl"
    assert run("score", files.loud, files.soft, "--out", out).exit_code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["clip"] for row in rows] == [str(files.loud), str(files.soft)]
    assert rows[0]["reward"] is None
    assert "metadata" not in rows[0]
    assert json.loads((tmp_path / "scores.meta.json").read_text())["group_by"] == "parent"
    assert rows[0]["fingerprint"] == "toy 1"


def test_csv(run, toy, files, tmp_path):
    """It is read back as Parquet is: the same columns, types and reasons, and how groups were formed."""
    clips = (files.loud, files.silent, files.bad["empty.mp4"])
    for name in ("scores.csv", "scores.parquet"):
        assert run("score", *clips, "--out", tmp_path / name, "--reward", "overall").exit_code == 1
    found, expected = read_table(tmp_path / "scores.csv"), read_table(tmp_path / "scores.parquet")
    assert found.metadata == expected.metadata
    assert found.rows.column_names == expected.rows.column_names
    assert [{**row, "reasons": None} for row in found.rows.to_pylist()] == [
        {**row, "reasons": None} for row in expected.rows.to_pylist()
    ]
    assert found.rows["reasons"].to_pylist() == expected.rows["reasons"].to_pylist()
    assert found.rows["reasons"].to_pylist()[1]
    assert (tmp_path / "scores.csv").read_text().startswith("clip,clip_key,group,prompt,toy.power,")


def test_columns_of_a_manifest_are_kept(run, toy, files, tmp_path):
    manifest, out = tmp_path / "list.csv", tmp_path / "scores.csv"
    rows = [(files.loud, "a drum", "wan", "01", 4.5, 7), (files.soft, "a dog", "ltx", "02", "", 8)]
    lines = [",".join(map(str, row)) for row in rows]
    manifest.write_text("\n".join(["file,prompt,system,id,mos,seed", *lines]))
    assert run("score", manifest, "--out", out, "--group-by", "id").exit_code == 0
    table = read_table(out)
    assert table.metadata["group_by"] == "id"
    columns = ("prompt", "group", "system", "id", "mos", "seed")
    assert [[row[name] for name in columns] for row in table.rows.to_pylist()] == [
        ["a drum", "01", "wan", "01", 4.5, 7], ["a dog", "02", "ltx", "02", None, 8]
    ]  # fmt: skip
    assert run("score", manifest, "--out", out).exit_code == 0
    assert read_table(out).metadata["group_by"] == "prompt"
    wrong = run("score", manifest, "--out", out, "--group-by", "sytem")
    assert wrong.exit_code == 2
    assert "did you mean 'system'" in wrong.stderr


def test_a_folder_is_grouped_by_its_folders(run, toy, files, tmp_path):
    for name in ("rain/1.mp4", "rain/2.mp4", "drum/1.mp4"):
        (tmp_path / "dubs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dubs" / name).write_bytes(files.loud.read_bytes())
    out = tmp_path / "scores.jsonl"
    assert run("score", tmp_path / "dubs", "--out", out).exit_code == 0
    rows = read_table(out).rows.to_pylist()
    assert [Path(row["clip"]).name for row in rows] == ["1.mp4", "1.mp4", "2.mp4"]
    assert [Path(row["group"]).name for row in rows] == ["drum", "rain", "rain"]
    assert run("score", tmp_path / "dubs", "--out", out, "--group-by", "stem").exit_code == 0
    assert [row["group"] for row in read_table(out).rows.to_pylist()] == ["1", "1", "2"]


def test_measurements_become_covariates(run, files, tmp_path):
    out = tmp_path / "scores.parquet"
    assert run("score", files.loud, "--out", out).exit_code == 0
    [row], *_ = read(out)
    assert row["loudness"] == row["signals.loudness"] is not None
    assert row["motion"] == row["signals.motion"]
    assert 0 <= row["signals.overall"] <= 100


def test_bad_files_are_rows(run, toy, files, tmp_path):
    out = tmp_path / "scores.parquet"
    result = run("score", files.loud, *files.bad.values(), files.soft, "--out", out, "--reward", "power")
    assert result.exit_code == 1
    rows, *_ = read(out)
    assert len(rows) == 7
    assert [row["reward"] is None for row in rows] == [False, *[True] * 5, False]
    assert all(row["reasons"][0]["dimension"] == "clip" for row in rows[1:6])
    lines = result.stderr.splitlines()
    assert len(lines) == 6  # one each, and what was written
    assert "2 of 7" in lines[-1]


def test_nothing_scored(run, toy, files, tmp_path):
    out = tmp_path / "scores.jsonl"
    assert run("score", files.bad["empty.mp4"], "--out", out).exit_code == 3
    assert len(out.read_text().splitlines()) == 1


def test_groups_by_picture(run, toy, files, tmp_path):
    out = tmp_path / "scores.parquet"
    run("score", files.silent, files.loud, files.wav, "--out", out, "--group-by", "video")
    (silent, loud, wav), *_ = read(out)
    assert silent["group"] is not None
    assert wav["group"] is None
    assert loud["group"] is not None


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_prompts(run, toy, files, tmp_path, kind):
    prompts, out = tmp_path / f"prompts.{kind}", tmp_path / "scores.parquet"
    if kind == "csv":
        prompts.write_text(f'clip,prompt\n{files.loud},"a ball, ""hit"""\nsoft.mp4,a drum\n')
    else:
        entries = [{"clip": str(files.loud), "prompt": 'a ball, "hit"'}, {"clip": "soft.mp4", "prompt": "a drum"}]
        prompts.write_text("\n".join(map(json.dumps, entries)))
    clips = (files.loud, files.soft, files.silent, files.bad["text.mp4"])
    assert run("score", *clips, "--out", out, "--prompts", prompts).exit_code == 1
    rows, _, metadata = read(out)
    assert [row["prompt"] for row in rows] == ['a ball, "hit"', "a drum", None, None]
    assert metadata["group_by"] == "prompt"
    assert rows[0]["group"] != rows[1]["group"]
    assert rows[2]["group"] is None


def test_prompts_that_cannot_be_read(run, toy, files, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("file,text\na,b\n")
    result = run("score", files.loud, "--out", tmp_path / "s.jsonl", "--prompts", prompts)
    assert result.exit_code == 2
    assert "expected the columns clip and prompt, got only file, text" in result.stderr
    result = run("score", files.loud, "--out", tmp_path / "s.jsonl", "--prompts", tmp_path / "nothere.csv")
    assert result.exit_code == 3
    nothere = tmp_path / "nothere.csv"
    assert (
        result.stderr == f"avreward: {nothere}: this list can't be read (No such file or directory); check the path\n"
    )


def test_it_is_said_how_many_clips_have_no_prompt(run, toy, files, tmp_path):
    prompts = tmp_path / "prompts.csv"

    def told(text, *clips):
        prompts.write_text(f"clip,prompt\n{text}")
        return run("score", *clips, "--out", tmp_path / "s.jsonl", "--prompts", prompts).stderr

    none = "none of the prompts names a clip; its column clip takes a path as given, or a file's name"
    assert f"avreward: {prompts}: {none}\n" in told("Loud.mp4,a dog\n", files.loud, files.soft)
    lacking = "1 of 2 clips have no prompt there"
    assert f"avreward: {prompts}: {lacking}\n" in told("soft.mp4,a dog\n", files.loud, files.soft)
    assert "prompt" not in told("soft.mp4,a dog\nloud.mp4,a cat\n", files.loud, files.soft)


def test_a_name_that_several_clips_have_is_refused(run, toy, files, tmp_path):
    clips = [tmp_path / folder / "clip.mp4" for folder in ("a", "b")]
    for clip in clips:
        clip.parent.mkdir()
        clip.write_bytes(files.loud.read_bytes())
    prompts, out = tmp_path / "prompts.csv", tmp_path / "scores.parquet"
    prompts.write_text("clip,prompt\nclip.mp4,a dog\n")
    result = run("score", *clips, "--out", out, "--prompts", prompts)
    assert result.exit_code == 2
    assert "--prompts" in result.stderr
    assert "write their paths in the column clip" in " ".join(result.stderr.replace("│", "").split())
    prompts.write_text(f"clip,prompt\n{clips[0]},a dog\nclip.mp4,a cat\n")
    assert run("score", *clips, "--out", out, "--prompts", prompts).exit_code == 0
    assert [row["prompt"] for row in read(out)[0]] == ["a dog", "a cat"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "clip.mp4,a dog\nclip.mp4,a cat\n",
            "expected one prompt for the clip clip.mp4, got two; keep one of the lines",
        ),
        ("clip.mp4\n", "expected a prompt for the clip clip.mp4, got none; write one, or leave the line out"),
    ],
)
def test_prompts_that_say_too_much_or_too_little(run, toy, files, tmp_path, text, says):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text(f"clip,prompt\n{text}")
    result = run("score", files.loud, "--out", tmp_path / "s.jsonl", "--prompts", prompts)
    assert result.exit_code == 2
    assert result.stderr == f"avreward: {prompts}: {says}\n"


def test_an_interrupt_keeps_what_was_done(run, toy, files, tmp_path, monkeypatch):
    import avreward.scoring.run as stream

    real = stream.score_files

    def interrupted(paths, target, **options):
        yield from real([files.loud, files.soft], target, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("avreward.scoring.run.score_files", interrupted)
    out = tmp_path / "scores.parquet"
    out.write_text("an older table")
    result = run("score", files.loud, files.soft, files.silent, "--out", out)
    assert result.exit_code == 130
    assert out.read_text() == "an older table"
    rows, *_ = read(tmp_path / "scores.partial.parquet")
    assert len(rows) == 2
    assert "scores.partial.parquet" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "scores.partial.parquet"]


FULL = """
for out in sys.argv[3:]:
    try:
        app(["score", *sys.argv[1:3], "--no-store", "--out", out])
    except SystemExit as error:
        print(error.code)
"""


@pytest.mark.parametrize("room", [0, 1000])
def test_a_full_disk_leaves_nothing_behind(files, tmp_path, room):
    outs = [tmp_path / "scores.parquet", tmp_path / "scores.jsonl"]
    setup = "from avreward.cli.main import app; from avreward.scoring import table_writer"
    found = run_limited(FULL, room, files.loud, files.soft, *outs, setup=setup)
    assert found.stdout.split() == ["3", "3"]
    for out, line in zip(outs, found.stderr.splitlines(), strict=True):
        assert line.startswith(f"avreward: {out}: can't be written (")
        assert "File too large" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["scores.txt", "scores", "file/scores.parquet"])
def test_places_that_cannot_be(run, toy, files, tmp_path, out):
    (tmp_path / "file").touch()
    result = run("score", files.loud, "--out", tmp_path / out)
    assert result.exit_code == 2
    assert not toy.calls


def test_trainers_can_read_it(run, toy, files, tmp_path):
    """`datasets` knows no map type, so the reasons are a list of pairs."""
    pytest.importorskip("datasets.load")
    import datasets

    out = tmp_path / "scores.parquet"
    assert run("score", files.loud, files.silent, "--out", out).exit_code == 0
    features = datasets.Features.from_arrow_schema(parquet.read_schema(out))
    assert "reasons" in features


def test_a_clip_without_a_single_score_is_said(run, agav_folder, tmp_path) -> None:
    Clip(video=torch.rand(4, 3, 32, 32), fps=4).save(tmp_path / "silent.mkv")
    heard = Clip(video=torch.rand(4, 3, 32, 32), fps=4, audio=torch.rand(1, 8000) - 0.5, sample_rate=8000)
    heard.save(tmp_path / "heard.mkv")
    result = run(
        "score", tmp_path / "silent.mkv", tmp_path / "heard.mkv", "--rater", agav_folder, "--out", tmp_path / "s.jsonl"
    )
    assert result.exit_code == 1
    assert "silent.mkv: no score at all: no sound track" in result.stderr
    assert "1 of 2 clips scored" in result.stderr
    only = run("score", tmp_path / "silent.mkv", "--rater", agav_folder, "--out", tmp_path / "t.jsonl")
    assert only.exit_code == 3


def test_sound_too_short_for_a_rater_costs_only_what_needs_it(run, omni_folder, tmp_path) -> None:
    Clip(video=torch.rand(4, 3, 32, 32), fps=4, audio=torch.rand(1, 80), sample_rate=16000).save(tmp_path / "a.mkv")
    result = run("score", tmp_path / "a.mkv", "--rater", omni_folder, "--out", tmp_path / "s.jsonl")
    assert result.exit_code == 0
    [row] = map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())
    assert row["qwen2_5_omni.static_quality"] is not None
    assert "too short" in str(row["reasons"])
