"""Preference pairs on disk: a `datasets` folder that loses nothing, or a trainer's own columns with a sidecar."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError
from avreward.scoring.table_writer import METADATA_KEY
from avreward.selection.pairs._card import card
from avreward.selection.pairs._table import SIDES, pair_table
from avreward.selection.pairs.formats import FORMATS
from avreward.selection.pairs.formats._video_align import label_columns
from avreward.selection.pairs.formats.base import MediaKind, PairFormat, read_bytes
from avreward.selection.pairs.make import PreferencePairs, check_any

if TYPE_CHECKING:
    import pyarrow

DATASETS = "datasets"  # the format that loses nothing
NAMES = (DATASETS, *FORMATS)
AT_ONCE = 32_768  # pairs in memory, and in a row group
AT_ONCE_WITH_MEDIA = 32

Step = Callable[[int], object]


def export_pairs(
    pairs: PreferencePairs,
    folder: str | PathLike[str],
    to: str = DATASETS,
    *,
    embed: bool = False,
    labels: Mapping[str, str] | None = None,
    step: Step = lambda pairs: None,
) -> PreferencePairs:
    """Writes pairs into a new folder, all of it or nothing, with a data card (``README.md``) that says how it was made.

    Args:
        pairs: see `avreward.selection.pairs.make.pairs`.
        folder: must not exist, or be empty.
        to: ``"datasets"``: ``data/train-….parquet`` and ``data/test-….parquet``, as `pair_table` has the columns. Or a
            trainer's format (``"trl"``, ``"kto"``, ``"diffusion-dpo"``, ``"video-align"``, ``"tango-flux"``,
            ``"av-dpo"``): ``train`` and ``test`` in its columns, and ``sidecar/`` with the same as ``data/`` and the
            number of each pair's first row.
        embed: for ``"datasets"``: the media's bytes too, as ``chosen_media`` and ``rejected_media`` of ``bytes`` and
            ``path``.
        labels: for ``"video-align"``: ``VQ``, ``MQ``, ``TA`` → columns of the table (*optional*).
        step: called with the number of pairs that are done.

    Returns the pairs that were written: a format may not be able to hold all; the others are counted in ``dropped``.

    Raises `AvrewardError` for an unknown format, a folder with something in it, a format that no pair fits, media that
    can't be read, and where it can't be written; nothing is left behind then.

    >>> from avreward.scoring import read_table
    >>> from avreward.selection import make_pairs
    >>> from avreward.selection import candidates_of
    >>> written = export_pairs(make_pairs(candidates_of(read_table("scores.parquet"))), "make_pairs")
    >>> read_pairs("make_pairs").column_names[:5]
    ['pair', 'group', 'prompt', 'chosen', 'rejected']
    """
    folder = Path(folder)
    if to not in NAMES:
        raise AvrewardError(f"to: {to!r} is no format; pass one of {', '.join(NAMES)}")
    if embed and to != DATASETS:
        raise AvrewardError(f'embed: {to} has no column for media; leave it out, or write "{DATASETS}"')
    form = FORMATS.get(to)
    named = label_columns(pairs.pool.table, labels or {}) if to == "video-align" else {}
    if form:
        pairs = _fitting(pairs, form, named)
    with _appearing(folder) as part:
        media = MediaKind(part, folder, embed, named)
        splits = {"train": np.flatnonzero(~pairs.test), "test": np.flatnonzero(pairs.test)}
        for split, which in splits.items():
            if len(which):
                _write(pairs, which, split, form, media, step)
        (part / "README.md").write_text(card(pairs, form, embed), encoding="utf-8")
    return pairs


def read_pairs(folder: str | PathLike[str], split: str = "train") -> pyarrow.Table:
    """What `export_pairs` wrote, whatever the format: the columns of `pair_table`, equal to what went in.

    Raises `AvrewardError` where there is no such folder or split.
    """
    from pyarrow import parquet

    found = sorted(path for place in ("data", "sidecar") for path in (Path(folder) / place).glob(f"{split}-*.parquet"))
    if not found:
        raise AvrewardError(f"{folder}: no pairs of the split {split}; name a folder that avreward pairs wrote")
    return parquet.read_table(found[0])


def _fitting(pairs: PreferencePairs, form: PairFormat, labels: Mapping[str, str]) -> PreferencePairs:
    """The pairs that a format can hold."""
    for number in range(len(form.keep(pairs, labels))):
        why, keep = form.keep(pairs, labels)[number]
        pairs = check_any(pairs.only(keep, why))
    return pairs


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its name at the end, and is gone where the work fails."""
    whole = folder.resolve()
    if whole in (Path.cwd().resolve(), *Path.cwd().resolve().parents):  # a folder can't be moved over these
        raise AvrewardError(f"{folder}: it is the folder you are in, or above it; name a new folder")
    part = whole.with_name(f".{whole.name}.part")
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise AvrewardError(f"{folder}: there is something already; move it away, or name another folder")
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir(parents=True)
        yield part
        if whole.is_dir():
            whole.rmdir()
        part.replace(whole)
    except OSError as error:
        why = error.strerror or str(error)
        raise AvrewardError(f"{folder}: can't be written ({why}); choose another place") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(
    pairs: PreferencePairs, which: NDArray[np.int64], split: str, form: PairFormat | None, media: MediaKind, step: Step
) -> None:
    """One split: the lossless table, and the format's own file."""
    step_size = AT_ONCE_WITH_MEDIA if media.embed else AT_ONCE
    whole = media.part / ("data" if form is None else "sidecar") / f"{split}-00000-of-00001.parquet"
    with ExitStack() as open_files:
        add = open_files.enter_context(_parquet(whole, pairs.pool.table.metadata))
        sheet = None
        if form is not None:
            sheet = open_files.enter_context(_SHEETS[form.ending](media.part / f"{split}{form.ending}", form))
        for at in range(0, len(which), step_size):
            some = which[at : at + step_size]
            table = pair_table(pairs, some)
            if form is not None and sheet is not None:
                rows = np.arange(at, at + len(some)) * form.per_pair
                table = table.append_column("row", [rows])
                sheet(list(_rows(table, form, media, step)))
            else:
                step(len(some))
            add(_with_media(table) if media.embed else table)


def _rows(table: pyarrow.Table, form: PairFormat, media: MediaKind, step: Step) -> Iterator[Mapping[str, Any]]:
    """The format's rows of some pairs."""
    for pair in _plain(table):
        yield from form.rows(pair, media)
        step(1)


def _plain(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Rows as mappings, without the columns that no format reads and that cost most to convert."""
    return table.drop_columns(
        [f"{side}_reasons" for side in SIDES if f"{side}_reasons" in table.column_names]
    ).to_pylist()


def _with_media(table: pyarrow.Table) -> pyarrow.Table:
    import pyarrow

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    for side in SIDES:
        found = [{"bytes": read_bytes(Path(path)), "path": path} for path in table[side].to_pylist()]
        table = table.append_column(f"{side}_media", pyarrow.array(found, kind))
    return table


Add = Callable[[Any], None]


@contextmanager
def _parquet(path: Path, metadata: Mapping[str, Any]) -> Iterator[Add]:
    from pyarrow import parquet

    writer = None
    path.parent.mkdir(exist_ok=True)
    try:

        def add(table: pyarrow.Table) -> None:
            nonlocal writer
            if writer is None:
                schema = table.schema.with_metadata({METADATA_KEY: json.dumps(dict(metadata)).encode()})
                writer = parquet.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))

        yield add
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _lines(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    with path.open("w", encoding="utf-8") as file:

        def add(rows: Sequence[Mapping[str, Any]]) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

        yield add


@contextmanager
def _csv(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(form.columns), lineterminator="\n")
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _binary(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in form.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:

        def add(rows: Sequence[Mapping[str, Any]]) -> None:
            for at in range(0, len(rows), AT_ONCE_WITH_MEDIA):
                writer.write_table(pyarrow.Table.from_pylist(list(rows[at : at + AT_ONCE_WITH_MEDIA]), schema=schema))

        yield add


_SHEETS = {".jsonl": _lines, ".json": _lines, ".csv": _csv, ".parquet": _binary}
