"""Export preference pairs: a lossless `datasets` folder, or a trainer's own columns with a sidecar."""

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

from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.scoring.table_writer import METADATA_KEY
from avreward.selection.pairs._card import card
from avreward.selection.pairs._table import SIDES, pair_table
from avreward.selection.pairs.formats import FORMATS
from avreward.selection.pairs.formats._video_align import label_columns
from avreward.selection.pairs.formats.base import MediaKind, PairFormat, read_bytes
from avreward.selection.pairs.make import PreferencePairs, check_any

if TYPE_CHECKING:
    import pyarrow

DATASETS = "datasets"  # the lossless format
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
    """Write pairs into a new folder, with a data card (``README.md``) that says how they were made.

    The folder is complete or, if writing fails, does not exist.

    Args:
        pairs: see `make_pairs`.
        folder: must not exist, or be empty.
        to: ``"datasets"`` writes ``data/train-….parquet`` and ``data/test-….parquet``, which lose nothing. A trainer's
            format (``"trl"``, ``"kto"``, ``"diffusion-dpo"``, ``"video-align"``, ``"tango-flux"``, ``"av-dpo"``) writes
            ``train`` and ``test`` in its columns, and ``sidecar/`` with the contents of ``data/`` and the number of
            each pair's first row.
        embed: for ``"datasets"``: also store the bytes of the media, in the columns ``chosen_media`` and
            ``rejected_media`` with ``bytes`` and ``path``.
        labels: for ``"video-align"``: ``VQ``, ``MQ``, ``TA`` → columns of the table (*optional*).
        step: called with the number of pairs that were written since the last call.

    Returns:
        The pairs that were written; those that the format cannot represent are counted in ``dropped``.

    Raises:
        UnknownNameError: if the format is unknown.
        ArgumentError: if `folder` is not new or empty, or `embed` or `labels` do not fit the format.
        MediaError: if media cannot be read.
        AvrewardError: if the format can represent none of the pairs, or the folder cannot be written.

    Example:
        >>> from avreward.scoring import read_table
        >>> from avreward.selection import candidates_of, make_pairs
        >>> written = export_pairs(make_pairs(candidates_of(read_table("scores.parquet"))), "exported")
        >>> read_pairs("exported").column_names[:5]
        ['pair', 'group', 'prompt', 'chosen', 'rejected']
    """
    folder = Path(folder)
    if to not in NAMES:
        raise unknown_name("to", to, NAMES)
    if embed and to != DATASETS:
        got = Described(f"True for {to}, which has no column for media")
        raise ArgumentError("embed", "False", got, f'leave it out, or pass to="{DATASETS}"')
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
    """Read pairs that `export_pairs` wrote in any format, as a lossless table.

    Args:
        folder: the exported folder.
        split: ``train`` or ``test``.

    Returns:
        A table with one row per pair: ``pair``, ``group``, ``prompt``, ``chosen``, ``rejected``, ``margin``,
        ``conflicts``, and every column of both candidates.

    Raises:
        ArgumentError: if the folder or the split does not exist.
    """
    from pyarrow import parquet

    found = sorted(path for place in ("data", "sidecar") for path in (Path(folder) / place).glob(f"{split}-*.parquet"))
    if not found:
        got = Described(f"{folder}, which has none of the split {split}")
        raise ArgumentError("folder", "a folder of exported pairs", got, "pass a folder that export_pairs wrote")
    return parquet.read_table(found[0])


def _fitting(pairs: PreferencePairs, form: PairFormat, labels: Mapping[str, str]) -> PreferencePairs:
    """Return the pairs that a format can represent."""
    for number in range(len(form.keep(pairs, labels))):
        why, keep = form.keep(pairs, labels)[number]
        pairs = check_any(pairs.only(keep, why))
    return pairs


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `folder` at the end, and removed if the work fails."""
    target = folder.resolve()
    if target in (Path.cwd().resolve(), *Path.cwd().resolve().parents):  # a folder cannot be moved over these
        got = Described(f"{folder}, which is or contains the current folder")
        raise ArgumentError("folder", "a new folder", got, "pass another folder")
    part = target.with_name(f".{target.name}.part")
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            got = Described(f"{folder}, which has contents")
            raise ArgumentError("folder", "a new or empty folder", got, "move it away, or pass another folder")
        shutil.rmtree(part, ignore_errors=True)  # left by a killed run
        part.mkdir(parents=True)
        yield part
        if target.is_dir():
            target.rmdir()
        part.replace(target)
    except OSError as error:
        why = error.strerror or str(error)
        raise AvrewardError(f"{folder}: could not be written ({why}); free disk space or pass another") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(
    pairs: PreferencePairs, which: NDArray[np.int64], split: str, form: PairFormat | None, media: MediaKind, step: Step
) -> None:
    """Write one split: the lossless table, and the format's own file."""
    step_size = AT_ONCE_WITH_MEDIA if media.embed else AT_ONCE
    lossless = media.part / ("data" if form is None else "sidecar") / f"{split}-00000-of-00001.parquet"
    with ExitStack() as open_files:
        add = open_files.enter_context(_parquet(lossless, pairs.pool.table.metadata))
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
    """Yield the format's rows of some pairs."""
    for pair in _plain(table):
        yield from form.rows(pair, media)
        step(1)


def _plain(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return rows as mappings, without the reasons, which no format reads and which are slow to convert."""
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
