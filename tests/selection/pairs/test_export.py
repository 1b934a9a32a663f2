"""Pairs on disk: read back equal, accepted by the trainers' own readers, and nothing half-written."""

import contextlib
import csv
import io
import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import torch
from full_disk import run_limited
from PIL import Image
from scored_tables import varied, write

from avreward._locks import OutputInUse
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.scoring.table_reader import read_table
from avreward.selection.candidates import candidates_of
from avreward.selection.pairs._rule import PairRule
from avreward.selection.pairs._table import pair_table
from avreward.selection.pairs.export import NAMES, export_pairs, read_pairs
from avreward.selection.pairs.formats import FORMATS
from avreward.selection.pairs.make import make_pairs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pairs of rows without files, with everything a format may ask for."""
    path = varied(tmp_path_factory.mktemp("table") / "scores.parquet", 12, 4)
    rule = PairRule("all", margin=0.5, dimensions=("toy.quality", "toy.sync"), test=0.25)
    return make_pairs(candidates_of(read_table(path)), rule)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Pairs of real clips with sound, two prompts; the second clip of each is brighter, and better."""
    folder = tmp_path_factory.mktemp("media")
    rows = []
    for i in range(4):
        level = 0.3 + 0.4 * (i % 2)
        video = torch.full((6, 3, 32, 48), level)
        tone = 0.5 * torch.sin(torch.arange(12000) * 0.1 * (i + 1))[None]
        clip = Clip(video=video, fps=8, audio=tone, sample_rate=16000)
        path = folder / f"{i}.mkv"
        clip.save(path)
        rows.append(
            {
                "clip": str(path), "prompt": f"a {'cat' if i < 2 else 'dog'}", "reward": float(i % 2),
                "toy.quality": float(i), "seconds": 0.75, "fps": 8.0, "frames": 6, "width": 48,
                "height": 32, "sample_rate": 16000,
            }
        )  # fmt: skip
    return make_pairs(candidates_of(read_table(write(folder / "scores.parquet", rows))))


def test_read_back_equal_in_every_format_that_needs_no_media(made, tmp_path):
    for name in ("datasets", "trl", "kto", "video-align"):
        labels = {"VQ": "toy.quality", "MQ": "toy.sync", "TA": "reward"}
        written = export_pairs(made, tmp_path / name, name, labels=labels)
        for split, which in (("train", ~made.test), ("test", made.test)):
            found = read_pairs(tmp_path / name, split)
            expected = pair_table(written, np.flatnonzero(which))
            if name != "datasets":
                rows = found["row"].to_pylist()
                assert rows == [i * (2 if name == "kto" else 1) for i in range(found.num_rows)]
                found = found.drop_columns(["row"])
            assert found.equals(expected)


def test_nothing_of_the_table_is_lost(made):
    table, rows = pair_table(made), made.pool.table.rows
    for side, index in (("chosen", made.chosen), ("rejected", made.rejected)):
        for column in rows.column_names:
            name = side if column == "clip" else f"{side}_{column}"
            assert table[name].to_pylist() == rows[column].take(index).to_pylist()
    assert len(set(table["pair"].to_pylist())) == len(made)
    quality, sync = (made.pool.table.numbers(name) for name in ("toy.quality", "toy.sync"))
    for row, c, r in zip(table["conflicts"].to_pylist(), made.chosen, made.rejected, strict=True):
        assert row == ["toy.quality"] * int(quality[c] < quality[r]) + ["toy.sync"] * int(sync[c] < sync[r])


def test_hugging_face_datasets_reads_the_folder(made, tmp_path):
    pytest.importorskip("datasets.load")
    from datasets import load_dataset

    export_pairs(made, tmp_path / "pairs")
    found = load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": int((~made.test).sum()), "test": int(made.test.sum()),
    }  # fmt: skip
    expected = pair_table(made, np.flatnonzero(made.test))
    for name in expected.column_names:
        assert found["test"][name] == expected[name].to_pylist()
    for name, columns in (("trl", ["prompt", "chosen", "rejected"]), ("kto", ["prompt", "completion", "label"])):
        export_pairs(made, tmp_path / name, name)
        assert load_dataset(str(tmp_path / name), cache_dir=str(tmp_path / "cache"))["train"].column_names == columns


def test_embedded_media(media, tmp_path):
    pytest.importorskip("datasets.load")
    from datasets import load_dataset

    export_pairs(media, tmp_path / "pairs", embed=True)
    [first, _] = load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))["train"]
    assert first["chosen_media"]["path"] == first["chosen"]
    assert first["chosen_media"]["bytes"] == Path(first["chosen"]).read_bytes()
    assert first["rejected_media"]["bytes"] == Path(first["rejected"]).read_bytes()
    rows = load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))["train"]
    assert type(rows.features["chosen_media"]).__name__ == "Video"
    assert rows.column_names[-1] == "rejected_media"


@pytest.mark.parametrize("kind", ["DPO", "KTO"])
def test_trl_trains_on_it(made, tmp_path, kind):
    pytest.importorskip("datasets.load")
    pytest.importorskip("trl")
    import trl
    from datasets import load_dataset
    from grpo_sound_writer import writer

    name = {"DPO": "trl", "KTO": "kto"}[kind]
    export_pairs(made, tmp_path / name, name)
    rows = load_dataset(str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))
    model, tokenizer = writer(0)
    config = getattr(trl, f"{kind}Config")(
        output_dir=str(tmp_path / "run"), use_cpu=True, bf16=False, max_steps=1, per_device_train_batch_size=2,
        report_to=[], save_strategy="no", disable_tqdm=True, max_length=24,
    )  # fmt: skip
    trainer = getattr(trl, f"{kind}Trainer")(
        model, ref_model=writer(0)[0], args=config, train_dataset=rows, processing_class=tokenizer
    )
    assert np.isfinite(trainer.train().training_loss)


def test_kto_rows(made, tmp_path):
    export_pairs(made, tmp_path / "kto", "kto")
    rows = [json.loads(line) for line in (tmp_path / "kto" / "test.jsonl").read_text().splitlines()]
    side = read_pairs(tmp_path / "kto", "test").to_pylist()
    for pair in side:
        one, other = rows[pair["row"] : pair["row"] + 2]
        assert one == {"prompt": pair["prompt"], "completion": pair["chosen"], "label": True}
        assert other == {"prompt": pair["prompt"], "completion": pair["rejected"], "label": False}


def test_video_align(made, tmp_path):
    labels = {"VQ": "toy.quality", "MQ": "toy.sync", "TA": "fps"}
    export_pairs(made, tmp_path / "va", "video-align", labels=labels)
    found = pandas.read_csv(tmp_path / "va" / "train.csv")
    assert list(found) == [
        "path_A", "path_B", "prompt", "VQ", "MQ", "TA", "fps_A", "num_frames_A", "fps_B", "num_frames_B",
    ]  # fmt: skip
    sides = read_pairs(tmp_path / "va").to_pandas()
    places = [os.path.relpath(path, tmp_path / "va") for path in sides["chosen"]]  # the reader joins --data_dir
    first = found["path_A"] == places
    assert 0.25 < first.mean() < 0.75  # a place says nothing
    assert [os.path.normpath(tmp_path / "va" / path) for path in found["path_B"][first]] == [
        os.path.abspath(path) for path in sides["rejected"][first]
    ]
    better = sides["chosen_toy.quality"] > sides["rejected_toy.quality"]
    assert (found["VQ"] == np.where(better == first, "A", "B")).all()
    assert (found["TA"] == "same").all()
    assert (found["num_frames_A"] == (np.where(first, sides["chosen_seconds"], sides["rejected_seconds"]) * 24)).all()


def test_video_align_makes_up_no_labels(made, tmp_path):
    with pytest.raises(ArgumentError, match=r"labels: .*no columns of .*--label VQ=COLUMN, of toy\.quality, toy\.sync"):
        export_pairs(made, tmp_path / "va", "video-align")
    assert not list(tmp_path.iterdir())


def test_diffusion_dpo_as_its_training_script_reads_it(media, tmp_path):
    export_pairs(media, tmp_path / "dd", "diffusion-dpo")
    rows = pandas.read_parquet(tmp_path / "dd" / "train.parquet")
    assert list(rows) == ["jpg_0", "jpg_1", "label_0", "caption"]
    assert set(rows["caption"]) == {"a cat", "a dog"}
    for _, row in rows.iterrows():
        first, second = (np.asarray(Image.open(io.BytesIO(row[name])).convert("RGB")) for name in ("jpg_0", "jpg_1"))
        assert first.shape == (32, 48, 3)
        assert row["label_0"] == float(first.mean() > second.mean())  # the brighter one is better
    assert rows["label_0"].dtype == np.float64


def test_a_picture_file_goes_in_as_it_is(tmp_path):
    rows = []
    for i in range(2):
        Image.new("RGB", (16, 8), (100 * i, 0, 0)).save(tmp_path / f"{i}.jpg")
        rows.append({"clip": str(tmp_path / f"{i}.jpg"), "prompt": "x", "reward": float(i), "width": 16})
    export_pairs(
        make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows)))), tmp_path / "dd", "diffusion-dpo"
    )
    [row] = pandas.read_parquet(tmp_path / "dd" / "train.parquet").to_dict("records")
    chosen = row["jpg_0"] if row["label_0"] else row["jpg_1"]
    assert chosen == (tmp_path / "1.jpg").read_bytes()


def test_tango_flux(media, tmp_path):
    pytest.importorskip("datasets.load")
    from datasets import load_dataset

    export_pairs(media, tmp_path / "tf", "tango-flux")
    rows = load_dataset(
        "json", data_files=str(tmp_path / "tf" / "train.json"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows.column_names == ["captions", "chosen", "reject", "duration"]
    for row, pair in zip(rows, read_pairs(tmp_path / "tf").to_pylist(), strict=True):
        assert row["duration"] == 0.75
        for name, side in (("chosen", "chosen"), ("reject", "rejected")):
            sound, original = Clip.open(row[name]), Clip.open(pair[side])
            assert not sound.has_video
            assert torch.equal(sound.sound(), original.sound())


def test_sound_files_are_named_as_they_are(tmp_path):
    rows = []
    for i in range(2):
        Clip(audio=torch.zeros(1, 800), sample_rate=8000).save(tmp_path / f"{i}.wav")
        rows.append(
            {"clip": str(tmp_path / f"{i}.wav"), "prompt": "x", "reward": float(i), "seconds": 0.1, "sample_rate": 8000}
        )
    export_pairs(
        make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows)))), tmp_path / "tf", "tango-flux"
    )
    [row] = map(json.loads, (tmp_path / "tf" / "train.json").read_text().splitlines())
    assert (row["chosen"], row["reject"]) == (str(tmp_path / "1.wav"), str(tmp_path / "0.wav"))


def test_audio_video_dpo(media, tmp_path):
    export_pairs(media, tmp_path / "av", "av-dpo")
    with (tmp_path / "av" / "train.csv").open() as file:
        [first, _] = csv.DictReader(file)
    pair = read_pairs(tmp_path / "av").to_pylist()[0]
    assert ",".join(first) == (
        "path,id,relpath,num_frames,height,width,aspect_ratio,fps,resolution,audio_path,audio_id,audio_fps,text,"
        "path_reject,audio_path_reject"
    )
    assert (first["path"], first["path_reject"], first["id"]) == (pair["chosen"], pair["rejected"], pair["pair"])
    numbers = [float(first[name]) for name in ("num_frames", "height", "width", "resolution", "fps", "audio_fps")]
    assert numbers == [6, 32, 48, 32 * 48, 8, 16000]
    assert Clip.open(first["audio_path_reject"]).sample_rate == 16000


def test_audio_video_dpo_writes_one_sample_rate_and_counts_frames(tmp_path):
    """The reader asserts that both sounds of a pair have `audio_fps`, and cuts by the number of frames."""
    rows = []
    for i, rate in enumerate((44100, 16000)):
        sound = torch.linspace(-0.1, 0.1, 3 * rate)[None]  # three times as long as the video
        Clip(video=torch.full((8, 3, 32, 48), 0.5), fps=8, audio=sound, sample_rate=rate).save(tmp_path / f"{i}.mkv")
        rows.append({"clip": str(tmp_path / f"{i}.mkv"), "prompt": "x", "reward": float(i), **measured(i, rate)})
    export_pairs(pairs_of(tmp_path, rows), tmp_path / "av", "av-dpo")
    with (tmp_path / "av" / "train.csv").open() as file:
        [row] = csv.DictReader(file)
    assert {Clip.open(row[name]).sample_rate for name in ("audio_path", "audio_path_reject")} == {16000}
    assert (row["audio_fps"], row["num_frames"]) == ("16000", "8")
    assert Path(row["path"]).is_absolute()


def measured(i, rate):
    return {"seconds": 3.0, "fps": 8.0, "width": 48, "height": 32, "sample_rate": rate, "clip_key": f"{i:032x}"}


def pairs_of(folder, rows, **rule):
    return make_pairs(candidates_of(read_table(write(folder / "t.parquet", rows))), PairRule(**rule))


@pytest.mark.parametrize("name", ["video-align", "av-dpo"])
@pytest.mark.parametrize("prompt", [None, "", " "])
def test_csv_without_a_prompt_is_refused(tmp_path, name, prompt):
    """Readers of CSV turn an empty prompt into None, and train on it."""
    rows = [
        {"prompt": "a" if i < 2 else prompt, "group": "g" if i < 2 else "h", "reward": float(i), **measured(i, 16000)}
        for i in range(4)
    ]
    found = make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows)), group_by="group"))
    labels = dict.fromkeys(("VQ", "MQ", "TA"), "reward")
    only = found.only(found.group == found.pool.names.index("h"), "not of h")
    with pytest.raises(AvrewardError, match=r"1 × no common prompt"):
        export_pairs(only, tmp_path / "out", name, labels=labels)
    assert not (tmp_path / "out").exists()


def test_copied_media_make_a_folder_that_can_be_moved(media, tmp_path):
    labels = dict.fromkeys(("VQ", "MQ", "TA"), "reward")
    for name, column in (("datasets", "chosen"), ("trl", "chosen"), ("video-align", "path_A")):
        export_pairs(media, tmp_path / name, name, copy=True, labels=labels)
        moved = (tmp_path / name).rename(tmp_path / f"moved {name}")
        kept = read_pairs(moved).to_pylist()
        if name == "datasets":
            paths = [row[column] for row in kept]
        elif name == "trl":
            paths = [json.loads(line)[column] for line in (moved / "train.jsonl").read_text().splitlines()]
        else:
            paths = list(pandas.read_csv(moved / "train.csv")[column])
        assert len(paths) == 2
        for path, row in zip(paths, kept, strict=True):
            sources = {Path(row[f"{side}_source"]).read_bytes() for side in ("chosen", "rejected")}
            assert (moved / path).read_bytes() in sources


@pytest.mark.parametrize("name", ["datasets", "trl", "kto", "video-align", "tango-flux", "av-dpo"])
def test_every_format_can_be_rooted_elsewhere(media, tmp_path, monkeypatch, name):
    labels = dict.fromkeys(("VQ", "MQ", "TA"), "reward")
    export_pairs(media, tmp_path / "copied", name, copy=True, root="/data/pairs", labels=labels)
    [file] = (tmp_path / "copied").glob("train.*") if name != "datasets" else [None]
    text = file.read_text() if file else json.dumps(read_pairs(tmp_path / "copied").select(["chosen"]).to_pylist())
    assert "/data/pairs/" in text
    assert str(tmp_path) not in text
    monkeypatch.chdir(tmp_path)  # the clips are elsewhere
    with pytest.raises(ArgumentError, match=r"root: expected files below the current folder, got a clip outside of it"):
        export_pairs(media, tmp_path / "out", name, root="/data", labels=labels)
    assert not (tmp_path / "out").exists()


def test_a_key_that_names_another_folder_is_refused(media, tmp_path):
    clip = media.pool.table.column("clip")[0].as_py()
    rows = [{"clip": clip, "prompt": "x", "reward": float(i), **measured(i, 16000), "frames": 6} for i in range(2)]
    rows[1]["clip_key"] = "../../outside"
    for name, copy in (("tango-flux", False), ("datasets", True)):
        with pytest.raises(ArgumentError, match=r"clip_key: expected letters and digits .*, got '\.\./\.\./outside'"):
            export_pairs(pairs_of(tmp_path, rows), tmp_path / "deep" / "out", name, copy=copy)
    assert not list(tmp_path.rglob("outside*"))


def test_only_regular_files_are_embedded(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    rows = [{"clip": str(tmp_path / "pipe.png"), "prompt": "x", "reward": float(i), "width": 8} for i in range(2)]
    for options in ({"embed": True}, {"to": "diffusion-dpo"}, {"copy": True}):
        with pytest.raises(MediaError, match="not a regular file"):
            export_pairs(pairs_of(tmp_path, rows), tmp_path / "out", **options)


@pytest.mark.parametrize("name", ["trl", "kto"])
def test_completions_are_the_texts_that_made_the_clips(tmp_path, name):
    table = pyarrow.table({
        "clip": [f"{i}.mp4" for i in range(5)], "prompt": ["x"] * 5, "group": ["x"] * 5,
        "reward": [0.0, 1.0, 2.0, 3.0, 4.0], "caption": ["a dog", "a cat", "", None, "a cat"],
    })  # fmt: skip
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    found = make_pairs(candidates_of(read_table(tmp_path / "t.parquet"), group_by="group"), PairRule("all"))
    written = export_pairs(found, tmp_path / "out", name, completion="caption")
    assert written.dropped == {"no text under caption": 7, "the same text under caption": 1}
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    if name == "trl":
        assert {(row["chosen"], row["rejected"]) for row in rows} == {("a cat", "a dog")}
    else:
        assert {(row["completion"], row["label"]) for row in rows} == {("a cat", True), ("a dog", False)}
    with pytest.raises(AvrewardError, match=r"column of .*: expected .*captoin"):
        export_pairs(found, tmp_path / "no", name, completion="captoin")


def test_an_empty_split_is_refused(tmp_path):
    """Groups of both splits exist; the pairs of one have no audio, which the format needs."""
    rows = [
        {"prompt": f"{p}", "reward": float(i), "sample_rate": 16000 if p == 0 else None, "seconds": 1.0}
        for p in range(2)
        for i in range(2)
    ]
    found = pairs_of(tmp_path, rows, test=0.5)
    with pytest.raises(AvrewardError, match=r"expected pairs in both splits, got [01] for training and [01] for test"):
        export_pairs(found, tmp_path / "out", "tango-flux")
    assert not (tmp_path / "out").exists()


def test_what_a_format_cannot_hold_is_counted(made, tmp_path):
    rows = [{"prompt": p, "reward": float(i), "width": 8 if p == "a" else None} for p in "ab" for i in range(2)]
    found = make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows))))
    with pytest.raises(AvrewardError, match=r"2 × no audio \(tango-flux needs audio\)"):
        export_pairs(found, tmp_path / "tf", "tango-flux")
    assert not (tmp_path / "tf").exists()


def test_the_card_says_how_it_was_made(made, tmp_path):
    for name in NAMES:
        if name in ("diffusion-dpo", "tango-flux", "av-dpo"):
            continue
        export_pairs(made, tmp_path / name, name, labels=dict.fromkeys(("VQ", "MQ", "TA"), "reward"))
        text = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        for said in (
            "Groups: clips that share the prompt.",
            "higher by more than 0.5",
            "a margin of 0.5 or less",
            "48 scored",
        ):
            assert said in text
        if name != "datasets":
            assert all(f"`{column}`" in text for column in FORMATS[name].columns)
            assert FORMATS[name].lost in text
            assert FORMATS[name].where in text


def test_pairs_without_a_common_prompt(tmp_path):
    rows = [{"prompt": f"{i}", "group": "g", "reward": float(i)} for i in range(2)]
    found = make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows, group_by="video"))))
    export_pairs(found, tmp_path / "trl", "trl")
    assert json.loads((tmp_path / "trl" / "train.jsonl").read_text())["prompt"] == ""
    assert read_pairs(tmp_path / "trl")["prompt"].to_pylist() == [None]
    assert "| train | 1 | 1 | 1 | 0 | 1 |" in (tmp_path / "trl" / "README.md").read_text()


def test_a_file_that_is_gone(media, tmp_path):
    rows = [{"clip": str(tmp_path / f"{i}.mp4"), "prompt": "x", "reward": float(i), "width": 8} for i in range(2)]
    found = make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows))))
    for options in ({"embed": True}, {"to": "diffusion-dpo"}):
        with pytest.raises(AvrewardError, match=r"1\.mp4|0\.mp4"):
            export_pairs(found, tmp_path / "out", **options)
        assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_folder_with_something_in_it_stays_as_it_is(made, tmp_path):
    (tmp_path / "out").mkdir()
    export_pairs(made, tmp_path / "out")  # empty: fine
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    with pytest.raises(ArgumentError, match=r"folder: expected a new or empty folder, got .*, which has contents"):
        export_pairs(made, tmp_path / "out", "trl")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_export_leaves_nothing(made, tmp_path):
    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_pairs(made, tmp_path / "out", step=stop)
    assert not list(tmp_path.iterdir())


APP = "from avreward.cli.main import app"
FULL = """
for name in sys.argv[3:]:
    try:
        app(["pairs", sys.argv[1], "--pairs", "all", "--out", sys.argv[2], "--format", name])
    except SystemExit as error:
        print(error.code)
"""


def test_a_full_disk_leaves_nothing(tmp_path):
    table = varied(tmp_path / "scores.parquet", 60, 6)
    result = run_limited(FULL, 4096, table, tmp_path / "out", "datasets", "trl", setup=APP)
    assert result.stdout.split() == ["3", "3"]
    assert result.stderr.count("could not be written") == 2
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_a_full_disk_on_which_sound_is_written(media, tmp_path):
    table = media.pool.table.path
    result = run_limited(FULL, 4096, table, "out", "tango-flux", "av-dpo", setup=APP, cwd=tmp_path)
    assert result.stdout.split() == ["3", "3"]
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(re.match(r"avreward: out/sounds/\w+\.wav: .*written \(.*\); free", line) for line in lines)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"to": "parquet"}, "to: expected one of datasets, .*, got 'parquet'"),
        ({"to": "trl", "embed": True}, "embed: expected False, got True for trl"),
    ],
)
def test_bad_arguments(made, tmp_path, arguments, problem):
    with pytest.raises(ArgumentError, match=problem):
        export_pairs(made, tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


def test_no_such_split(made, tmp_path):
    with pytest.raises(ArgumentError, match=r"folder: .* which has none of the split train"):
        read_pairs(tmp_path)


def test_a_place_that_cannot_be_written(made, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AvrewardError, match=r"could not be written .*; free disk space or pass another"):
        export_pairs(made, tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_progress_counts_every_pair(made, tmp_path):
    for name in ("datasets", "kto"):
        done = []
        export_pairs(made, tmp_path / name, name, step=done.append)
        assert sum(done) == len(made)


@pytest.mark.parametrize("out", [".", "/", "..", "../{name}"])
def test_the_folder_one_is_in_is_no_place(made, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=r"folder: expected a new folder, got .* contains the current folder; pass"):
        export_pairs(made, out.format(name=tmp_path.name))
    assert list(tmp_path.iterdir()) == []
    export_pairs(made, "new/../pairs")
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_runs_that_write_one_folder_at_once(media, tmp_path):
    """One of them wins with a whole folder of its own; the others are told that it is in use, or has contents."""
    started = threading.Barrier(3)
    results = []

    def write(name):
        def wait(count):
            if not started.broken:
                with contextlib.suppress(threading.BrokenBarrierError):
                    started.wait(timeout=20)  # all are in the middle

        try:
            export_pairs(media, tmp_path / "out", name, copy=True, step=wait)
            results.append(name)
        except (ArgumentError, OutputInUse) as error:
            results.append(str(error))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("datasets", "trl", "kto")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [won] = [result for result in results if result in ("datasets", "trl", "kto")]
    assert sum("which has contents" in result or "is writing it" in result for result in results) == 2
    assert (tmp_path / "out" / "data").is_dir() == (won == "datasets")
    assert len(list((tmp_path / "out" / "media").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
