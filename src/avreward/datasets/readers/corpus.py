"""Read a corpus of human judgments into the schema of scored tables and pair tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward.datasets.readers._corpora import CORPORA, Corpus
from avreward.datasets.readers._records import Record, records_of
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name

OUTCOMES = {
    **dict.fromkeys(("first", "a", "1", "response1", "model1", "left"), "first"),
    **dict.fromkeys(("second", "b", "2", "response2", "model2", "right"), "second"),
    **dict.fromkeys(("tie", "same", "0", "equal", "both"), "tie"),
}
NEEDED = {"scores": ("clip",), "pairs": ("first", "second")}
TEXTS = ("clip", "first", "second", "prompt", "group", "system", "category", "person", "first_system", "second_system")


@dataclass(frozen=True, eq=False, repr=False)
class JudgedTable(ShownAsTable):
    """Human judgments in one schema: rows of clips with scores, or rows of pairs with verdicts.

    Attributes:
        path: the label file or folder, for messages.
        corpus: the name of the corpus.
        kind: ``"scores"`` or ``"pairs"``.
        rows: a mapping a row. Of clips: ``clip``, ``group`` (the prompt or the video that clips share), ``prompt``,
            ``system``, ``category``, ``person`` where they are known, and a number a dimension. Of pairs: ``first``,
            ``second``, and ``first``, ``second`` or ``tie`` a dimension. `None` where a judgment is missing.
        dimensions: their names.
    """

    path: Path
    corpus: str
    kind: str
    rows: tuple[Mapping[str, Any], ...]
    dimensions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def clips(self) -> tuple[str, ...]:
        """The paths of all clips, each once."""
        return tuple(dict.fromkeys(str(row[name]) for row in self.rows for name in NEEDED[self.kind]))

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame."""
        import pandas

        return pandas.DataFrame([dict(row) for row in self.rows])

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the rows as ``.csv``, ``.jsonl`` or ``.parquet``, and return the path.

        Raises:
            ArgumentError: if it has another ending.
            AvrewardError: if it can't be written.
        """
        from avreward._csv_cells import write_csv
        from avreward._whole_files import whole_file

        path, frame = Path(path), self.to_frame()
        writers = {
            ".csv": lambda part: write_csv(frame, part),
            ".jsonl": lambda part: frame.to_json(part, orient="records", lines=True, force_ascii=False),
            ".parquet": lambda part: frame.to_parquet(part, index=False),
        }
        if path.suffix.lower() not in writers:
            raise ArgumentError("path", f"a file that ends in {' or '.join(writers)}", Described(str(path)))
        try:
            with whole_file(path) as part:
                writers[path.suffix.lower()](part)
        except OSError as error:
            raise AvrewardError(
                f"{path}: can't be written ({error.strerror or error}); choose another place"
            ) from error
        return path

    def _shown(self) -> Shown:
        names = [name for name in (*TEXTS, *self.dimensions) if any(name in row for row in self.rows[:1])]
        rows = ([row.get(name) for name in names] for row in self.rows[:SHOWN])
        what = "pair" if self.kind == "pairs" else "clip"
        return f"{self.path}: {counted(len(self), what)} of {self.corpus}", names, rows, len(self)


def read_corpus(
    name: str,
    path: str | PathLike[str],
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    clips: str | PathLike[str] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> JudgedTable:
    r"""Read the labels of a published corpus, or a table of your own.

    The corpora are in `CORPORA`, whose entries say how each is laid out and whether that was checked against the
    published files (``checked``). Where it was not, name the columns. AVBench has items and no labels: see
    `read_avbench`.

    Ratings of several people (a column ``person``, as in FETV) are averaged for each clip.

    Args:
        name: a name in `CORPORA`; ``"table"`` and ``"pairs"`` are for tables of your own, in which any other column of
            numbers (of verdicts) is a dimension.
        path: the label file, or the corpus's folder.
        columns: our column or dimension → its name in the file, for all that differ from `CORPORA`. A dimension that
            the corpus does not list is added.
        clips: the folder that clips' paths start from. Default: `path`, or the folder that it is in.
        low: the lowest rating. Default: the corpus's.
        high: the highest rating.

    Raises:
        ArgumentError: for an unknown corpus or column (it lists the columns found), a clip that is labelled twice, a
            rating out of range, or a verdict that is none.
        AvrewardError: if no file is found, or one can't be read.

    Example:
        >>> _ = Path("info.txt").write_text("00000_01.mp4|a dog|61.5\n00000_02.mp4|a dog|48.0\n")
        >>> read_corpus("t2vqa_db", "info.txt").rows[0]["overall"]
        61.5
    """
    if name not in CORPORA:
        raise unknown_name("corpus", name, CORPORA)
    corpus, path = CORPORA[name], Path(path)
    names = {**corpus.columns, **{ours: theirs for ours, theirs in columns.items() if ours in TEXTS}}
    judged = {**corpus.dimensions, **{ours: theirs for ours, theirs in columns.items() if ours not in TEXTS}}
    limits = (corpus.low if low is None else low, corpus.high if high is None else high)
    rows: list[dict[str, Any]] = []
    for file in _files(corpus, path):
        records = records_of(file, corpus.fields)
        if corpus.fix is not None:
            records = [corpus.fix(record, file) for record in records]
        dimensions = judged or _own_dimensions(corpus, records, names)
        _check_columns(corpus, file, records, names, dimensions, columns)
        base = Path(clips) if clips is not None else path if path.is_dir() else file.parent
        for number, record in enumerate(records, 1):
            texts = _texts(corpus, file, number, record, names, base, "clip" in columns)
            rows.append(texts | _judgments(corpus, f"{file}, row {number}", record, dimensions, limits))
    found = tuple(dict.fromkeys(key for row in rows for key in row if key not in TEXTS))
    if corpus.kind == "scores":
        if any(row.get("person") for row in rows):
            rows = _averaged(path, rows, found)
        _check_once(path, rows, ("clip",))
    return JudgedTable(path, name, corpus.kind, tuple(rows), found)


def _files(corpus: Corpus, path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise AvrewardError(f"{path}: there is no such file or folder; give the labels of {corpus.name}")
    found = next((files for pattern in corpus.files if (files := sorted(path.glob(pattern)))), [])
    if not found:
        wanted = " or ".join(corpus.files) or "the file itself"
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise AvrewardError(f"{path}: expected {wanted}, got {inside}; name the label file")
    several = corpus.columns.get("person") == "person" and corpus.fix is not None  # a file a person and system
    if len(found) > 1 and not several:
        raise AvrewardError(f"{path}: {len(found)} label files ({found[0].name}, {found[1].name}, …); name one of them")
    return found


def _own_dimensions(corpus: Corpus, records: Sequence[Record], names: Mapping[str, str]) -> dict[str, str]:
    taken = {*names.values(), *names}
    columns = [key for key in dict.fromkeys(key for record in records for key in record) if key not in taken]
    values = {key: [record[key] for record in records if record.get(key) not in (None, "")] for key in columns}
    fits = _is_number if corpus.kind == "scores" else _is_outcome
    return {key: key for key in columns if values[key] and all(map(fits, values[key]))}


def _check_columns(
    corpus: Corpus,
    file: Path,
    records: Sequence[Record],
    names: Mapping[str, str],
    dimensions: Mapping[str, str],
    asked: Mapping[str, str],
) -> None:
    """Raise an error that lists the columns found, unless those that are needed, and all that were asked for, exist."""
    there = dict.fromkeys(key for record in records for key in record)
    needed = [names[ours] for ours in NEEDED[corpus.kind] if ours in names and not (ours == "clip" and corpus.clip)]
    needed += re.findall(r"{(.*?)}", corpus.clip) if "clip" not in asked else [names["clip"]]
    needed += list(asked.values())
    needed += list(dimensions.values())
    for column in needed:
        if column not in there:
            ours = next((one for one, theirs in {**names, **dimensions}.items() if theirs == column), column)
            unsure = "" if corpus.checked else f" (not checked against the original of {corpus.name})"
            remedy = f"say what it is called: {ours}=COLUMN{unsure}"
            raise ArgumentError(f"{file}", f"a column {column!r}", Described(", ".join(there) or "none"), remedy)
    if not dimensions:
        what = "a column of numbers" if corpus.kind == "scores" else "a column with first, second or tie"
        raise ArgumentError(f"{file}", what, Described(", ".join(there)), "name one: overall=COLUMN")


def _texts(
    corpus: Corpus, file: Path, number: int, record: Record, names: Mapping[str, str], base: Path, named: bool
) -> dict[str, Any]:
    found = {ours: record.get(theirs) for ours, theirs in names.items()}
    if corpus.clip and not named:
        found["clip"] = corpus.clip.format_map(record)
    texts = {ours: str(value).strip() for ours, value in found.items() if value not in (None, "")}
    for key in NEEDED[corpus.kind]:
        if not texts.get(key):
            raise ArgumentError(f"{file}, row {number}", f"a path as {key}", found.get(key), "correct the row")
        texts[key] = (base / texts[key]).as_posix()
    if "group" not in texts and "prompt" in texts:
        texts["group"] = texts["prompt"]
    return texts


def _judgments(
    corpus: Corpus, where: str, record: Record, dimensions: Mapping[str, str], limits: tuple[float, float]
) -> dict[str, float | str | None]:
    found: dict[str, float | str | None] = {}
    for ours, theirs in dimensions.items():
        value, name = record.get(theirs), ours.format_map(record)
        if value in (None, ""):
            found[name] = None
        elif corpus.kind == "pairs":
            outcome = OUTCOMES.get(str(value).strip().lower())
            if outcome is None:
                raise ArgumentError(f"{where}: {theirs}", "first, second or tie (A, B or same)", value, "correct it")
            found[name] = outcome
        elif not _is_number(value):
            raise ArgumentError(f"{where}: {theirs}", "a number", value, "leave it empty if it is missing")
        elif not limits[0] <= float(value) <= limits[1]:
            remedy = "correct it, or pass another range"
            raise ArgumentError(f"{where}: {theirs}", f"a rating from {limits[0]:g} to {limits[1]:g}", value, remedy)
        else:
            found[name] = float(value)
    return found


def _averaged(path: Path, rows: Sequence[dict[str, Any]], dimensions: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a clip with the means of the ratings of all people."""
    _check_once(path, rows, ("clip", "person"))
    clips: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        clips.setdefault(row["clip"], []).append(row)
    means = []
    for same in clips.values():
        row = {key: value for key, value in same[0].items() if key != "person"}
        for name in dimensions:
            values = [one[name] for one in same if one.get(name) is not None]
            row[name] = math.fsum(values) / len(values) if values else None
        means.append(row)
    return means


def _check_once(path: Path, rows: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> None:
    seen = set[tuple[Any, ...]]()
    for row in rows:
        key = tuple(row.get(name) for name in keys)
        if key in seen:
            raise ArgumentError(
                f"{path}", "one row a clip", Described(f"{' by '.join(map(str, key))} twice"), "keep one"
            )
        seen.add(key)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _is_outcome(value: Any) -> bool:
    return str(value).strip().lower() in OUTCOMES
