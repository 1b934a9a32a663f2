"""The scored table: one row a clip, written during a run, as Parquet, JSON lines or CSV by the file's ending."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from avreward._locks import claimed
from avreward._whole_files import private_name, publish
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.scoring._table_files import ENDINGS, METADATA_KEY, SINKS, cleaned, write_metadata

if TYPE_CHECKING:
    from avreward.scoring.table_reader import ScoredTable

__all__ = ["ENDINGS", "METADATA_KEY", "TableWriter", "clip_key", "covariates"]

ROWS_AT_ONCE = 256  # rows in memory, and in one row group

_BEFORE = (("clip", "string"), ("clip_key", "string"), ("group", "string"), ("prompt", "string"))
_AFTER = (
    ("reward", "double"),
    ("sigma", "double"),
    ("reasons", "reasons"),
    ("seconds", "double"),
    ("fps", "double"),
    ("frames", "int64"),
    ("width", "int32"),
    ("height", "int32"),
    ("sample_rate", "int32"),
    ("loudness", "double"),
    ("motion", "double"),
    ("seed", "int64"),
    ("fingerprint", "string"),
)


def covariates(clip: Clip) -> dict[str, Any]:
    """Return the columns of a clip besides its scores: key, prompt, length, frames, size and sample rate."""
    return {
        "clip_key": clip_key(clip),
        "prompt": clip.prompt,
        "seconds": clip.seconds,
        "fps": clip.fps,
        "frames": len(clip.times) if clip.has_video else None,
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
    and a table that was at `path` before stays. From the first moment on, no other run writes `path`.

    It warns when rows have two fingerprints: scores from different settings are not on one scale.

    Args:
        path: ends in ``.parquet``, ``.jsonl`` or ``.csv``.
        scores: the names of the columns with scores: ``signals.audio_quality``.
        metadata: how groups were formed, the reward's expression, …: JSON under ``avreward`` in a Parquet file's
            metadata; beside JSONL and CSV, the file ``NAME.meta.json``.
        others: more columns, after the rest: name → ``string``, ``double`` or ``int64`` (*optional*).

    Raises:
        ArgumentError: if `path` has another ending.
        OutputInUse: if another run is writing `path`.
        AvrewardError: if `path` can't be written.
    """

    COLUMNS: ClassVar = (*_BEFORE, *_AFTER)  # those of every table, with their types

    def __init__(
        self,
        path: Path,
        scores: Sequence[str],
        metadata: Mapping[str, Any],
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if path.suffix.lower() not in SINKS:
            raise ArgumentError("path", f"a file name that ends in {' or '.join(ENDINGS)}", Described(str(path)))
        self.path, self.metadata = path, dict(metadata)
        self.columns = (*_BEFORE, *((name, "double") for name in scores), *_AFTER, *others.items())
        self.kept: Path | None = None  # where the rows are, once closed
        self.rows = 0
        self._waiting: list[dict[str, Any]] = []
        self._fingerprints: set[str] = set()
        self._claim = ExitStack()
        self._claim.enter_context(claimed(path))
        self._part = private_name(path)
        with _writing(path), self._or_nothing():
            self._sink = SINKS[path.suffix.lower()](self._part, self.columns, self.metadata)

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
        self._waiting.append({name: cleaned(row.get(name), kind) for name, kind in self.columns})
        self.rows += 1
        self._compare(row.get("fingerprint"))
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._claim, _writing(self.path), self._or_nothing():
            with closing(self._sink):
                self._flush()
            if kind is not None and not self.rows:
                self._part.unlink()
                return
            kept = self.path if kind is None else self.path.with_suffix(f".partial{self.path.suffix}")
            write_metadata(kept, self.metadata)
            self.kept = publish(self._part, kept)

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """Remove the hidden file where the rows can't be written, as on a full disk: it is not a valid table."""
        try:
            yield
        except Exception:
            self._part.unlink(missing_ok=True)
            self._claim.close()
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


def save_table(table: ScoredTable, path: Path) -> Path:
    """Write a table that was read; see `ScoredTable.save`."""
    from pyarrow import types

    own = {name for name, _ in TableWriter.COLUMNS}
    scores = [name for name in table.scores if "." in name or types.is_floating(table.rows.schema.field(name).type)]
    others = {
        field.name: "int64" if types.is_integer(field.type) else "string"
        for field in table.rows.schema
        if field.name not in own and field.name not in scores and not types.is_nested(field.type)
    }
    with TableWriter(path, scores, table.metadata, others) as writer:
        for batch in table.rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                reasons = {one["dimension"]: one["reason"] for one in row.pop("reasons", None) or ()}
                known = {name: value for name, value in row.items() if name in own | set(scores) | set(others)}
                writer.add(**known, reasons=reasons)
    return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk into an `AvrewardError` that names the table."""
    try:
        yield
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error
