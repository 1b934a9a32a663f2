"""The scored table: one row a clip, written during a run, as Parquet or JSON lines by the file's ending."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name

if TYPE_CHECKING:
    import pyarrow

ENDINGS = (".parquet", ".jsonl")
ROWS_AT_ONCE = 256  # rows in memory, and in one row group
METADATA_KEY = b"avreward"  # in a Parquet file's metadata; its value is JSON

_BEFORE = (("clip", "string"), ("clip_key", "string"), ("group", "string"), ("prompt", "string"))
_AFTER = (
    ("reward", "double"),
    ("sigma", "double"),
    ("reasons", "reasons"),
    ("seconds", "double"),
    ("fps", "double"),
    ("width", "int32"),
    ("height", "int32"),
    ("sample_rate", "int32"),
    ("loudness", "double"),
    ("motion", "double"),
    ("seed", "int64"),
    ("fingerprint", "string"),
)


def covariates(clip: Clip) -> dict[str, Any]:
    """Return the columns of a clip besides its scores: key, prompt, length, frame rate, size and sample rate."""
    return {
        "clip_key": clip_key(clip),
        "prompt": clip.prompt,
        "seconds": clip.seconds,
        "fps": clip.fps,
        "width": clip.width if clip.has_video else None,
        "height": clip.height if clip.has_video else None,
        "sample_rate": clip.sample_rate if clip.has_audio else None,
    }


def clip_key(clip: Clip) -> str:
    """Return 32 hexadecimal digits that identify a clip's video and audio together, whatever their file."""
    text = "\n".join(f"{track} {clip.keys[track]}" for track in ("video", "audio") if track in clip.keys)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class TableWriter:
    """Write a scored table row by row, so that a long run needs little memory.

    During the run, the rows are in a hidden file beside `path`, which replaces `path` at the end in one step. Where the
    body of ``with`` is left early (Ctrl-C, an error), the rows so far become ``NAME.partial.ENDING``, a valid table,
    and a table that was at `path` before stays.

    It warns when rows have two fingerprints: scores from different settings are not on one scale.

    Args:
        path: ends in ``.parquet`` or ``.jsonl``.
        scores: the names of the columns with scores: ``signals.audio_quality``.
        metadata: how groups were formed, the reward's expression, …: JSON under ``avreward`` in a Parquet file's
            metadata; in JSONL, the same `metadata` in each line.

    Raises:
        ArgumentError: if `path` has another ending.
        AvrewardError: if `path` can't be written.
    """

    def __init__(self, path: Path, scores: Sequence[str], metadata: Mapping[str, Any]) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise ArgumentError("path", f"a file name that ends in {' or '.join(ENDINGS)}", Described(str(path)))
        self.path, self.metadata = path, dict(metadata)
        self.columns = (*_BEFORE, *((name, "double") for name in scores), *_AFTER)
        self.kept: Path | None = None  # where the rows are, once closed
        self.rows = 0
        self._part = path.with_name(f".{path.name}.part")
        self._waiting: list[dict[str, Any]] = []
        self._fingerprints: set[str] = set()
        with _writing(path), self._or_nothing():
            self._sink: _RowSink = (_Parquet if path.suffix.lower() == ".parquet" else _Lines)(self._part, self)

    def add(self, **row: Any) -> None:
        """Add a row.

        Args:
            **row: column → value; a column that is left out is null, and so is a number that is not finite. `reasons`
                is a mapping of dimension → reason.

        Raises:
            ArgumentError: for an unknown column.
            AvrewardError: if the table can't be written.
        """
        unknown = row.keys() - {name for name, _ in self.columns}
        if unknown:
            raise unknown_name("row", min(unknown), [name for name, _ in self.columns])
        self._waiting.append({name: _clean(row.get(name), kind) for name, kind in self.columns})
        self.rows += 1
        self._compare(row.get("fingerprint"))
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _writing(self.path), self._or_nothing():
            with closing(self._sink):
                self._flush()
            if kind is None:
                self.kept = self._part.replace(self.path)
            elif self.rows:
                self.kept = self._part.replace(self.path.with_suffix(f".partial{self.path.suffix}"))
            else:
                self._part.unlink()

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """Remove the hidden file where the rows can't be written, as on a full disk: it is not a valid table."""
        try:
            yield
        except Exception:
            self._part.unlink(missing_ok=True)
            raise

    def _compare(self, fingerprint: str | None) -> None:
        known = len(self._fingerprints)
        if fingerprint is not None:
            self._fingerprints.add(fingerprint)
        if known == 1 and len(self._fingerprints) == 2:
            both = " and ".join(sorted(self._fingerprints))
            remedy = "compare only rows of one fingerprint, or score all clips with the same settings"
            warnings.warn(
                f"{self.path}: scores of different settings are in one table ({both}); {remedy}", stacklevel=3
            )

    def _flush(self) -> None:
        if self._waiting:
            with _writing(self.path):
                self._sink.write(self._waiting)
            self._waiting = []


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk into an `AvrewardError` that names the table."""
    try:
        yield
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error


class _RowSink(Protocol):
    """A file that takes rows."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None: ...

    def close(self) -> None: ...


class _Parquet:
    def __init__(self, path: Path, table: TableWriter) -> None:
        import pyarrow
        from pyarrow import parquet

        # A list of pairs, since `datasets` does not read map types.
        reasons = pyarrow.list_(pyarrow.struct([("dimension", pyarrow.string()), ("reason", pyarrow.string())]))
        types = {"reasons": reasons, "string": pyarrow.string(), "double": pyarrow.float64()}
        types |= {"int32": pyarrow.int32(), "int64": pyarrow.int64()}
        fields = [(name, types[kind]) for name, kind in table.columns]
        metadata = {METADATA_KEY: json.dumps(table.metadata).encode()}
        self.schema: pyarrow.Schema = pyarrow.schema(fields, metadata=metadata)
        self.writer = parquet.ParquetWriter(path, self.schema, compression="zstd")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow

        self.writer.write_table(pyarrow.Table.from_pylist(list(rows), schema=self.schema))

    def close(self) -> None:
        self.writer.close()


class _Lines:
    def __init__(self, path: Path, table: TableWriter) -> None:
        self.file: IO[str] = path.open("w", encoding="utf-8")
        self.metadata = table.metadata

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self.file.write(json.dumps({**row, "metadata": self.metadata}, ensure_ascii=False, allow_nan=False) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _clean(value: Any, kind: str) -> Any:
    if kind == "reasons":
        return [{"dimension": dimension, "reason": _text(reason)} for dimension, reason in (value or {}).items()]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _text(str(value)) if kind == "string" and value is not None else value


def _text(text: str) -> str:
    """Text that can be written as UTF-8: a file's name may be any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
