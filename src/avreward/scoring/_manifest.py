"""Read lists of clips from files: CSV, TSV, JSON lines, JSON and Parquet."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avreward._csv_cells import restored
from avreward._display import cut
from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError, Described

# Endings of the files that count in a folder; other files are taken only if they are named.
MEDIA = frozenset({
    ".aac", ".aif", ".aiff", ".avi", ".flac", ".flv", ".gif", ".m4a", ".m4v", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogg", ".ogv", ".opus", ".ts", ".wav", ".webm", ".wma", ".wmv",
})  # fmt: skip
MANIFESTS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
PATHS = ("clip", "file", "path", "video", "filename", "file_name", "audio")  # columns with the path; the first counts
LOOKED_AT = 16  # paths that show whether a manifest's paths are relative to its own folder


def read_manifest(path: Path) -> list[tuple[str, str | None, Mapping[str, Any]]]:
    """Return (path of the clip, prompt, other columns) of each row of a manifest.

    The path is in the column ``clip``, ``file``, ``path``, ``video``, ``filename``, ``file_name`` or ``audio``. A JSON
    file may also map each path to its prompt, and JSON may list paths alone. Relative paths are left as they are.

    Raises:
        ArgumentError: if no column holds paths, there are no rows, or a row has no path; it names the file.
        AvrewardError: if the file can't be read.
    """
    return _listed(path, columns_of(path))


def _listed(path: Path, columns: dict[str, list[Any]]) -> list[tuple[str, str | None, Mapping[str, Any]]]:
    name = next((one for one in PATHS if one in columns), None)
    if name is None:
        if not columns:
            raise ArgumentError(f"{path}", "a row a clip", Described("none"), "add rows with a column clip")
        remedy = _renamed(columns, PATHS)
        raise ArgumentError(f"{path}", f"a column {', '.join(PATHS[:-1])} or {PATHS[-1]}", _named(columns), remedy)
    clips, prompts = _unpadded(path, columns.pop(name)), columns.pop("prompt", None)
    if not clips:
        raise ArgumentError(f"{path}", "a row a clip", Described("none below its heading"), "add rows, or check it")
    if name == "video" and any(_is_media(value) for value in columns.get("audio", ())):
        remedy = "write dubbed files and list them under clip, or rank the sounds with --video; else rename audio"
        raise ArgumentError(f"{path}", "one column with media", Described("video and audio"), remedy)
    empty = next((i for i, clip in enumerate(clips, 1) if not clip or not isinstance(clip, str)), None)
    if empty is not None:
        raise ArgumentError(f"{path}: row {empty}", f"a path under {name}", clips[empty - 1], "write one in each row")
    texts = [None] * len(clips) if prompts is None else [None if one in (None, "") else str(one) for one in prompts]
    names = tuple(columns)
    cells = zip(*columns.values(), strict=True) if names else ((),) * len(clips)
    return [
        (clip, text, dict(zip(names, row, strict=True))) for clip, text, row in zip(clips, texts, cells, strict=True)
    ]


def read_prompts(path: Path) -> dict[str, str]:
    """Return clip → prompt from a manifest in which each clip has one prompt.

    Raises:
        ArgumentError: if there is no column with prompts, or a clip has none or two; it names the file and the clip.
        AvrewardError: if the file can't be read.
    """
    prompts: dict[str, str] = {}
    if "prompt" not in (columns := columns_of(path)):
        raise ArgumentError(f"{path}", "the columns clip and prompt", _named(columns), _renamed(columns, ("prompt",)))
    for clip, prompt, _ in _listed(path, columns):
        if prompt is None:
            got = Described("none")
            raise ArgumentError(f"{path}", f"a prompt for the clip {clip}", got, "write one, or leave the line out")
        if prompts.setdefault(clip, prompt) != prompt:
            raise ArgumentError(f"{path}", f"one prompt for the clip {clip}", Described("two"), "keep one of the lines")
    return prompts


def base_of(path: Path, clips: Sequence[str]) -> Path:
    """Return the folder that relative paths of a manifest start from: the current one, or the manifest's own.

    The one where more of the first paths exist; the current one where both have as many.
    """
    first = [clip for clip in clips[:LOOKED_AT] if not os.path.isabs(clip)]
    here = sum(os.path.exists(clip) for clip in first)
    beside = sum((path.parent / clip).exists() for clip in first)
    return path.parent if beside > here else Path()


def _named(columns: Mapping[str, Any]) -> Described:
    return Described(cut(f"only {', '.join(columns)}"))


def _renamed(columns: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """Return what to do where a manifest lacks the `wanted` columns."""
    other = next((name for name in columns if name.lower() in wanted), None)
    if other is not None:
        return f"write {other} in small letters: {other.lower()}"
    marks = {";": "semicolons", "\t": "tabs", ",": "commas"}
    told = next((told for mark, told in marks.items() if len(columns) == 1 and mark in next(iter(columns))), None)
    if told is not None:
        return f"it separates values by {told}; separate them by commas in .csv and by tabs in .tsv"
    return "call the column with the paths clip, and that with the prompts prompt"


def _unpadded(path: Path, clips: list[Any]) -> list[Any]:
    """Return paths of CSV and TSV without blanks around them, unless there is a file with these blanks."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return clips
    padded = {clip for clip in clips if isinstance(clip, str) and clip != clip.strip()}
    meant = {clip for clip in padded if os.path.exists(clip) or (path.parent / clip).exists()}
    return [clip.strip() if clip in padded - meant else clip for clip in clips]


def _is_media(value: Any) -> bool:
    return isinstance(value, str) and os.path.splitext(value.strip())[1].lower() in MEDIA


def columns_of(path: Path) -> dict[str, list[Any]]:
    """Return column → values of a table: CSV, TSV, JSON lines, JSON or Parquet; nested values are left out."""
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return _parquet(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            if kind in (".csv", ".tsv"):
                return _separated(path, file, "\t" if kind == ".tsv" else ",")
            rows = parsed_json(file.read()) if kind == ".json" else [parsed_json(line) for line in file if line.strip()]
    except OSError as error:
        raise AvrewardError(f"{path}: this list can't be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, AvrewardError):
            raise
        remedy = "write CSV, TSV, JSON lines or Parquet with the columns clip and prompt"
        if isinstance(error, UnicodeDecodeError):
            remedy = "save it as UTF-8"
        raise AvrewardError(f"{path}: this list can't be read ({' '.join(str(error).split())}); {remedy}") from error
    return _transposed(path, _rows(path, rows))


def _separated(path: Path, file: Any, separator: str) -> dict[str, list[Any]]:
    blanks = any(name.startswith(" ") for name in next(csv.reader(file, delimiter=separator), [])[1:])
    file.seek(0)  # in a file that begins with "clip, prompt", the blank is not a part of the values either
    reader = csv.reader(file, delimiter=separator, skipinitialspace=blanks)
    head = [restored(name.strip()) for name in next(reader, [])]
    twice = next((name for name in head if head.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(f"{path}", "columns with different names", Described(f"{twice!r} twice"), "rename one")
    columns: list[list[Any]] = [[] for _ in head]
    for row in reader:
        if not row:
            continue
        if len(row) > len(head):
            got = Described(f"{len(row)} in line {reader.line_num}")
            raise ArgumentError(f"{path}", f"{len(head)} values a line", got, "put quotes around values with a comma")
        for i, column in enumerate(columns):
            column.append(restored(row[i]) if i < len(row) else None)
    return dict(zip(head, columns, strict=True)) if columns and columns[0] else {name: [] for name in head}


def _parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow
    from pyarrow import parquet, types

    with path.open("rb"):  # a plain error if the file does not exist
        try:
            schema = parquet.read_schema(path)
            flat = [field.name for field in schema if not types.is_nested(field.type)]
            rows = parquet.read_table(path, columns=flat)
        except pyarrow.ArrowException as error:
            raise ValueError(str(error).splitlines()[0]) from error
    return {name: rows[name].to_pylist() for name in flat}


def _rows(path: Path, content: Any) -> list[Mapping[str, Any]]:
    """Return the rows of what a JSON file holds: rows, paths, or a mapping of paths to prompts or rows."""
    if isinstance(content, Mapping):
        content = [
            {"clip": clip, **about} if isinstance(about, Mapping) else {"clip": clip, "prompt": about}
            for clip, about in content.items()
        ]
    rows = (
        [{"clip": row} if isinstance(row, str) else row for row in content] if isinstance(content, list) else [content]
    )
    odd = [row for row in rows if not isinstance(row, Mapping)]
    if odd:
        remedy = 'write rows such as {"clip": "a.mp4", "prompt": "a dog"}, or {"a.mp4": "a dog"}'
        raise ArgumentError(f"{path}", "rows with names, or paths", odd[0], remedy)
    return rows


def _transposed(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the flat columns of rows; a column that a row lacks is `None` there."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {
        name: column
        for name, column in columns.items()
        if name in PATHS or not any(isinstance(value, Mapping | list) for value in column)
    }
