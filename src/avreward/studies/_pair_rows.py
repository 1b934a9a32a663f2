"""Read the pairs to ask people about: an exported folder, or a table with a row a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._csv_cells import restored_frame
from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name

SIDES = (("chosen", "rejected"), ("first", "second"), ("path_A", "path_B"))
VERDICTS = {"first": 0, "a": 0, "second": 1, "b": 1, "tie": None, "same": None}
USUAL = ("picked", "overall", "reward", "preferred")  # columns with a verdict, the first that is there
SPLITS = ("train", "test")
READ = ("chosen", "rejected", "group", "prompt", "category", "margin", "chosen_reward", "rejected_reward")
MEDIA, EMBEDDED = "_media", "_embedded"
ENDINGS = (".parquet", ".jsonl", ".csv")


@dataclass(frozen=True)
class PairRow:
    """One comparison that a rater made.

    Attributes:
        files: of the first and the second clip.
        sources: how the table names them.
        picked: 0 or 1, the one that the rater prefers; `None` for a tie.
        group: what pairs have in common whose answers are not independent, or empty.
        prompt: of both clips, or empty.
        category: for results by category, or empty.
        rewards: of both clips, where they are known.
        margin: difference of the rewards, where it is known.
        embedded: the Parquet file and the row that hold the clips themselves, where they do.
    """

    files: tuple[Path, Path]
    sources: tuple[str, str]
    picked: int | None
    group: str = ""
    prompt: str = ""
    category: str = ""
    rewards: tuple[float | None, float | None] = (None, None)
    margin: float | None = None
    embedded: tuple[Path, int] | None = None

    def content(self, side: int) -> bytes | None:
        """Return the bytes of the first (0) or second (1) clip if the table holds them."""
        from pyarrow import parquet

        if self.embedded is None:
            return None
        file, row = parquet.ParquetFile(self.embedded[0]), self.embedded[1]
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                found = file.read_row_group(group, [f"{SIDES[0][side]}{MEDIA}"]).column(0)[row].as_py()
                return None if found is None else found["bytes"]
            row -= rows
        return None


def read_pair_rows(pairs: str | PathLike[str], verdict: str | None = None) -> list[PairRow]:
    r"""Read pairs from a folder that `export_pairs` wrote, or from a table with a row a comparison.

    A table has the columns ``chosen`` and ``rejected``, or ``first`` and ``second`` (``path_A`` and ``path_B``) with a
    column that says which one the rater prefers: first, second or tie (A, B or same). The columns ``group``,
    ``prompt``, ``category`` and ``margin`` are read where they are there. Paths start in the table's folder, in the
    current one, or in the one above the table's.

    Args:
        pairs: the folder, or a file that ends in ``.parquet``, ``.jsonl`` or ``.csv``.
        verdict: the column with the rater's preference. Default: ``picked``, ``overall``, ``reward`` or ``preferred``,
            or the only column that holds nothing else.

    Returns:
        A row a pair, in the order of the table. Files may not exist.

    Raises:
        ArgumentError: if nothing is there, or columns are missing.
        AvrewardError: if the table can't be read.

    Example:
        >>> _ = Path("pairs.csv").write_text("first,second,picked\ndub1.mp4,dub2.mp4,second\n")
        >>> (row,) = read_pair_rows("pairs.csv")
        >>> row.sources[row.picked]
        'dub2.mp4'
    """
    path = Path(pairs)
    records = list(_records(path))
    if not records:
        raise ArgumentError("pairs", "at least one pair", Described(f"{path}, which has none"))
    names = list(records[0])
    sides = next((found for found in SIDES if set(found) <= set(names)), None)
    if sides is None:
        wanted = "a table with the columns chosen and rejected, or first and second"
        raise ArgumentError("pairs", wanted, Described(f"{path} with {', '.join(names) or 'none'}"))
    column = None if sides == SIDES[0] else _verdict_column(path, records, names, verdict)
    own = path if path.is_dir() else path.parent
    folders = (own, Path(), own.absolute().parent)
    return [_row(record, sides, column, folders) for record in records]


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowInvalid, parquet

    try:
        if path.is_dir():
            found = [
                file for split in SPLITS for place in ("data", "sidecar")
                for file in sorted((path / place).glob(f"{split}-*.parquet"))
            ]  # fmt: skip
            if not found:
                got = Described(f"{path}, which holds no pairs")
                raise ArgumentError("pairs", "a folder that avreward pairs wrote, or a table of pairs", got)
            for file in found:
                yield from _exported(file)
        elif not path.is_file():
            got = Described(f"{path}, which is not there")
            raise ArgumentError("pairs", "a folder of pairs, or a table", got)
        elif path.suffix == ".parquet":
            yield from parquet.read_table(path).to_pylist()
        elif path.suffix == ".jsonl":
            yield from _lines(path)
        elif path.suffix == ".csv":
            import pandas

            table = pandas.read_csv(path, dtype=str, keep_default_na=False)
            yield from restored_frame(table).to_dict("records")
        else:
            raise ArgumentError("pairs", f"a name that ends in {', '.join(ENDINGS)}, or a folder", str(path))
    except (ArrowInvalid, OSError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise AvrewardError(f"{path}: can't be read as a table of pairs ({error}); write it again") from error


def _exported(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of an exported file, without the media that it may hold."""
    from pyarrow import parquet

    names = parquet.read_schema(file).names
    held = f"{SIDES[0][0]}{MEDIA}" in names
    for number, row in enumerate(parquet.read_table(file, columns=[n for n in READ if n in names]).to_pylist()):
        yield row | ({EMBEDDED: (file, number)} if held else {})


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            record = parsed_json(line)
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is not an object")
            yield record


def _verdict_column(path: Path, records: Sequence[Mapping[str, Any]], names: Sequence[str], verdict: str | None) -> str:
    fitting = [name for name in names if all(_known(record.get(name)) for record in records)]
    if verdict is not None:
        if verdict not in names:
            raise unknown_name("verdict", verdict, names)
        if verdict not in fitting:
            got = Described(f"{verdict}, which holds something else")
            raise ArgumentError("verdict", "a column of first, second or tie", got)
        return verdict
    found = next((name for name in USUAL if name in fitting), fitting[0] if len(fitting) == 1 else None)
    if found is None:
        got = Described(f"{path} with {', '.join(fitting or names)}")
        wanted = "one column that says first, second or tie" if not fitting else "a named column of several"
        raise ArgumentError("verdict", wanted, got, "name the column with the rater's preference")
    return found


def _known(value: Any) -> bool:
    return isinstance(value, str) and value.strip().casefold() in VERDICTS


def _row(record: Mapping[str, Any], sides: tuple[str, str], column: str | None, folders: Sequence[Path]) -> PairRow:
    first, second = (_text(record.get(side)) for side in sides)
    return PairRow(
        files=(_file(first, folders), _file(second, folders)),
        sources=(first, second),
        picked=0 if column is None else VERDICTS[str(record[column]).strip().casefold()],
        group=_text(record.get("group")),
        prompt=_text(record.get("prompt")),
        category=_text(record.get("category")),
        rewards=(_number(record.get(f"{sides[0]}_reward")), _number(record.get(f"{sides[1]}_reward"))),
        margin=_number(record.get("margin")),
        embedded=record.get(EMBEDDED),
    )


def _file(name: str, folders: Sequence[Path]) -> Path:
    """Return where a clip is; the first place if it is nowhere."""
    places = [folder / name for folder in folders]
    return next((place for place in places if name and place.is_file()), places[0])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
