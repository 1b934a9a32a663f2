"""Files, folders, patterns, standard input and manifests as lists of clips, and the groups of clips."""

import io
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring import ListedClip, group_of, list_clips


@pytest.fixture
def dubs(tmp_path, monkeypatch):
    """Two folders of dubs beside files that are no media."""
    for name in ("rain/dub10.mp4", "rain/dub2.mp4", "drum/a.wav", "drum/notes.txt", "drum/.hidden.mp4", ".cache/x.mp4"):
        path = tmp_path / "dubs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return Path("dubs")


def paths(*inputs) -> list[str]:
    return [clip.path.as_posix() for clip in list_clips(inputs)]


ALL = ["dubs/drum/a.wav", "dubs/rain/dub2.mp4", "dubs/rain/dub10.mp4"]


def test_folders_and_patterns_in_natural_order(dubs):
    assert paths("dubs") == ALL
    assert paths("dubs/*") == ALL
    assert paths("dubs/**/*") == ALL
    assert paths("dubs/rain/*.mp4") == ALL[1:]
    assert paths("dubs/rain/dub10.mp4", "dubs/drum") == ["dubs/rain/dub10.mp4", "dubs/drum/a.wav"]
    assert paths("dubs/drum/notes.txt", "lost.mp4") == ["dubs/drum/notes.txt", "lost.mp4"]  # named, so they are tried
    with pytest.raises(ArgumentError, match=r"clips: expected media files that match the pattern, got none for 'x\*'"):
        paths("x*")


def test_a_name_with_brackets_is_a_file_if_it_is_there(dubs):
    Path("take[1].mp4").touch()
    assert paths("take[1].mp4") == ["take[1].mp4"]


def test_a_link_to_a_folder_above_ends(dubs):
    (dubs / "rain" / "up").symlink_to(dubs.absolute())
    assert sorted(paths("dubs")) == sorted(ALL)


@pytest.mark.parametrize("text", ["dubs/rain\ndubs/drum/a.wav\n\n", "dubs/rain\0dubs/drum/a.wav\0"])
def test_standard_input(dubs, monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert paths("-") == ["dubs/rain/dub2.mp4", "dubs/rain/dub10.mp4", "dubs/drum/a.wav"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(ArgumentError, match="standard input, got nothing"):
        paths("-")


ROWS = [
    {"file": "dubs/drum/a.wav", "prompt": "a drum", "system": "wan", "mos": 3.5},
    {"file": "dubs/rain/dub2.mp4", "prompt": None, "system": "ltx", "mos": None},
]


def written(path: Path) -> Path:
    kind = path.suffix
    if kind == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist([{**row, "tags": ["x"]} for row in ROWS]), path)
    elif kind in (".csv", ".tsv"):
        separator = "," if kind == ".csv" else "\t"
        lines = [separator.join("" if value is None else str(value) for value in row.values()) for row in ROWS]
        path.write_text("\n".join([separator.join(ROWS[0]), *lines]) + "\n", encoding="utf-8-sig")
    else:
        path.write_text(json.dumps(ROWS) if kind == ".json" else "\n".join(map(json.dumps, ROWS)))
    return path


def test_columns_with_other_texts(tmp_path):
    (tmp_path / "list.csv").write_text("file,texts.speech,texts.audio_prompt\na.wav,Good dog.,\nb.wav,,a bark\n")
    first, second = list_clips(tmp_path / "list.csv")
    assert first.texts == {"speech": "Good dog."}
    assert second.texts == {"audio_prompt": "a bark"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_manifests(dubs, ending):
    first, second = list_clips(written(Path(f"list.{ending}")))
    assert (first.path, first.prompt, first.columns["system"]) == (Path("dubs/drum/a.wav"), "a drum", "wan")
    assert (second.path, second.prompt) == (Path("dubs/rain/dub2.mp4"), None)
    assert list(first.columns) == ["system", "mos"]
    assert float(first.columns["mos"]) == 3.5


def test_a_json_map_of_prompts_and_a_list_of_paths(dubs):
    Path("prompts.json").write_text('{"dubs/drum/a.wav": "a drum"}')
    assert list_clips("prompts.json") == [ListedClip(Path("dubs/drum/a.wav"), "a drum")]
    Path("names.json").write_text('["dubs/drum/a.wav", "b.mp4"]')
    assert paths("names.json") == ["dubs/drum/a.wav", "b.mp4"]


def test_paths_relative_to_the_manifest(dubs, tmp_path, monkeypatch):
    (dubs / "list.csv").write_text("path\ndrum/a.wav\nlost.wav\n")
    assert paths("dubs/list.csv") == ["dubs/drum/a.wav", "dubs/lost.wav"]
    monkeypatch.chdir(dubs)
    assert paths("list.csv") == ["drum/a.wav", "lost.wav"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "name,text\nx,y\n", "a column clip, file, .* or audio, got only name, text; call the column"),
        ("a.csv", "clip,prompt\na.mp4,a dog, wet\n", "expected 2 values a line, got 3 in line 2; put quotes"),
        ("a.csv", "clip,clip\na,b\n", "columns with different names, got 'clip' twice"),
        ("a.csv", "File,text\nx,y\n", "got only File, text; write File in small letters: file"),
        ("a.csv", "file;prompt\nx;y\n", "got only file;prompt; it separates values by semicolons; separate them by"),
        ("a.tsv", "file,prompt\nx,y\n", "it separates values by commas; separate them by commas in .csv and by tabs"),
        ("a.csv", "", "a row a clip, got none; add rows"),
        ("a.csv", "clip,prompt\n", "a row a clip, got none below its heading; add rows"),
        ("a.csv", "video,audio\nx.mp4,y.wav\n", "one column with media, got video and audio; write dubbed files"),
        ("a.csv", "clip\n \n", "row 1: expected a path under clip, got ''"),
        ("a.csv", "clip,prompt\n,a dog\n", "row 1: expected a path under clip, got ''"),
        ("a.json", "3", "rows with names, or paths, got 3"),
        ("a.jsonl", '{"clip": "a.mp4"}\nnull\n', "rows with names, or paths, got None"),
    ],
)
def test_wrong_manifests(dubs, name, text, says):
    Path(name).write_text(text)
    with pytest.raises(ArgumentError, match=f"a.*: .*{says}"):
        list_clips(name)


def test_manifests_that_cannot_be_read(dubs):
    for name, text in {"a.json": "{", "a.jsonl": "[" * 100_000, "a.parquet": "no table"}.items():
        Path(name).write_text(text)
        with pytest.raises(AvrewardError, match=rf"{name}: this list can't be read \(.*\); write CSV"):
            list_clips(name)
    Path("wide.csv").write_text("clip\nx.mp4\n", encoding="utf-16")
    with pytest.raises(AvrewardError, match=r"wide.csv: this list can't be read \('utf-8' .*\); save it as UTF-8"):
        list_clips("wide.csv")
    with pytest.raises(AvrewardError, match=r"lost.csv: this list can't be read .*; check the path"):
        list_clips("lost.csv")


def test_blanks_around_values(dubs):
    """Around a path they are not meant, unless there is such a file; after ", " in the heading nowhere."""
    Path(" own.wav").touch()
    Path("list.csv").write_text("clip,prompt\n drum/a.wav , a\n")
    assert list_clips("list.csv") == [ListedClip(Path("drum/a.wav"), " a")]
    Path("list.csv").write_text("clip\n own.wav\n")
    assert paths("list.csv") == [" own.wav"]
    Path("list.csv").write_text('clip, prompt\nb.mp4, "rain, heavy"\n')
    assert list_clips("list.csv") == [ListedClip(Path("b.mp4"), "rain, heavy")]


def test_audio_beside_a_video_may_be_no_media(dubs):
    Path("list.csv").write_text("video,audio\nb.mp4,foley\n")
    assert list_clips("list.csv") == [ListedClip(Path("b.mp4"), None, {"audio": "foley"})]


def test_a_pattern_of_manifests(dubs):
    Path("l10.csv").write_text("clip\nten.mp4\n")
    Path("l2.csv").write_text("clip\ntwo.mp4\n")
    assert paths("l*.csv") == ["two.mp4", "ten.mp4"]
    with pytest.raises(ArgumentError, match=r"clips: expected manifests that match the pattern, got none for '\*.tsv'"):
        list_clips("*.tsv")


def test_folders_without_media(dubs):
    Path("empty").mkdir()
    with pytest.raises(ArgumentError, match="clips: expected media files in the folder, got none in empty; check"):
        list_clips(["b.mp4", "empty"])


def test_digits_of_other_scripts_are_letters(dubs):
    for name in ("²", "x1²2"):
        Path(name).mkdir()
        Path(name, "a.wav").touch()
    assert paths("[x²]*") == ["x1²2/a.wav", "²/a.wav"]


def test_a_manifest_of_many_rows(tmp_path):
    """Its size has no other cost than reading it: no file is looked at beyond the first rows."""
    path = tmp_path / "many.csv"
    path.write_text("clip,prompt,system\n" + "".join(f"{i}.mp4,prompt {i // 5},s{i % 5}\n" for i in range(100_000)))
    found = list_clips(path)
    assert len(found) == 100_000
    assert found[-1] == ListedClip(Path("99999.mp4"), "prompt 19999", {"system": "s4"})
    assert len({group_of(clip, "prompt") for clip in found}) == 20_000
