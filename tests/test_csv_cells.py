"""Cells of CSV: a spreadsheet runs none of them, and each is read back as it was."""

import csv
import io

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avreward._csv_cells import csv_of, guarded, restored, restored_frame
from avreward.scoring import list_clips, read_table
from avreward.scoring.table_writer import TableWriter
from avreward.studies._rows import write_rows

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1", "'=1", "''@x", "-", "=", "+"]
HARMLESS = ["", "a dog", "'tis", "-12.5", "+3", "1e-5", "'", "a=b"]
STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@given(st.text() | st.tuples(st.text("'", max_size=3), st.sampled_from(STARTS), st.text()).map("".join))
def test_each_text_comes_back_and_none_begins_a_formula(text):
    cell = guarded(text)
    assert restored(cell) == text
    if cell.startswith(STARTS):
        float(cell)  # a number


def test_what_is_harmless_stays():
    assert [guarded(text) for text in HARMLESS] == HARMLESS
    assert guarded(-1.5) == -1.5
    assert guarded(None) is None


def test_a_frame_comes_back_with_the_names_of_its_columns():
    table = pandas.DataFrame({"=x": FORMULAS, "n": range(len(FORMULAS)), "mixed": ["a\rb", "-1.5", *FORMULAS[2:]]})
    assert csv_of(table).startswith('"\'=x",')
    again = pandas.read_csv(io.StringIO(csv_of(table), newline=""), dtype={"'=x": str, "mixed": str})
    pandas.testing.assert_frame_equal(restored_frame(again), table)


@pytest.mark.parametrize("save", ["score table", "answers"])
def test_tables_as_csv_come_back(tmp_path, save):
    path = tmp_path / "x.csv"
    texts = [*FORMULAS, "two\nlines", "a\rb", *(text for text in HARMLESS if text)]
    # Readers of manifests take blanks off paths, and a slash begins another folder.
    names = [f"{text.strip().replace('/', '')}{number}.wav" for number, text in enumerate(texts)]
    if save == "answers":
        write_rows(pandas.DataFrame({"clip": names, "prompt": texts, "a.b": 1.5}), path)
    else:
        with TableWriter(path, ["a.b"], {}, {"=note": "string"}) as writer:
            for name, text in zip(names, texts, strict=True):
                writer.add(clip=name, prompt=text, **{"a.b": -1.5, "=note": text})
    with path.open(encoding="utf-8", newline="") as file:
        for cell in (cell for row in csv.reader(file) for cell in row if cell.startswith(STARTS)):
            float(cell)
    table = read_table(path)
    assert table.rows["clip"].to_pylist() == names
    assert table.rows["prompt"].to_pylist() == texts
    listed = list_clips([path])
    assert [one.prompt for one in listed] == texts
    assert [one.path.name for one in listed] == names
    if save == "score table":
        assert table.rows["=note"].to_pylist() == texts
        assert table.scores == ("a.b",)
