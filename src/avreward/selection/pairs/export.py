"""Export preference pairs: a lossless `datasets` folder, or a trainer's own columns with a sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avreward._whole_files import whole_folder
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.selection.pairs._card import card
from avreward.selection.pairs._files import AT_ONCE_WITH_MEDIA, SHEETS, lossless
from avreward.selection.pairs._hub import with_media
from avreward.selection.pairs._table import SIDES, pair_table
from avreward.selection.pairs.formats import FORMATS
from avreward.selection.pairs.formats._media import PairMedia
from avreward.selection.pairs.formats._video_align import label_columns
from avreward.selection.pairs.formats.base import PairFormat
from avreward.selection.pairs.make import PreferencePairs, check_any

if TYPE_CHECKING:
    import pyarrow

DATASETS = "datasets"  # the lossless format
NAMES = (DATASETS, *FORMATS)
AT_ONCE = 32_768  # pairs in memory, and in a row group

Step = Callable[[int], object]


def export_pairs(
    pairs: PreferencePairs,
    folder: str | PathLike[str],
    to: str = DATASETS,
    *,
    embed: bool = False,
    copy: bool = False,
    root: str | None = None,
    labels: Mapping[str, str] | None = None,
    completion: str | None = None,
    licence: str | None = None,
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
            ``rejected_media``, which `datasets` reads as `Video` or `Audio`.
        copy: copy the clips to ``media/``, so that the folder can be moved. Rows then name the copies: from the folder,
            or by absolute paths for readers that need them.
        root: the folder by which rows name media on the machine that reads them. It stands for the exported folder if
            clips are copied, else for the current folder (*optional*).
        labels: for ``"video-align"``: ``VQ``, ``MQ``, ``TA`` → columns of the table (*optional*).
        completion: for ``"trl"`` and ``"kto"``: the column with the text that made each clip; without it, rows have
            the clips' paths, which is hardly what a trainer of text wants (*optional*).
        licence: of the data, for the card: an identifier of the Hugging Face hub such as ``"cc-by-4.0"`` (*optional*).
        step: called with the number of pairs that were written since the last call.

    Returns:
        The pairs that were written; those that the format cannot represent are counted in ``dropped``.

    Raises:
        UnknownNameError: if the format is unknown.
        ArgumentError: if `folder` is not new or empty, an option does not fit the format, or media lie outside `root`.
        MediaError: if media cannot be read.
        AvrewardError: if the format can represent none of the pairs, one of the splits that the rule asks for has no
            pair, or the folder cannot be written.

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
    if completion and to not in ("trl", "kto"):
        got = Described(f"{completion} for {to}, which has no completions")
        raise ArgumentError("completion", "None", got, 'leave it out, or pass to="trl" or "kto"')
    form = FORMATS.get(to)
    named = label_columns(pairs.pool.table, labels or {}) if to == "video-align" else {}
    named |= {"completion": completion} if completion else {}
    if form:
        pairs = _fitting(pairs, form, named)
    splits = _splits(pairs)
    with _appearing(folder) as part:
        media = PairMedia(part, folder, embed, copy, root, form.naming if form else "as given", named)
        for split, which in splits.items():
            _write(pairs, which, split, form, media, step)
        about = card(pairs, form, movable=_movable(to, media), embed=embed, copy=copy, licence=licence)
        (part / "README.md").write_text(about, encoding="utf-8")
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


def _movable(to: str, media: PairMedia) -> bool:
    """Return whether the folder holds all that its rows name, so that it can be moved or shared."""
    if media.embed or to == "diffusion-dpo" or "completion" in media.labels:
        return True
    return media.copy and (media.root is not None or media.naming != "absolute")


def _splits(pairs: PreferencePairs) -> dict[str, NDArray[np.int64]]:
    """Return split → its pairs; refuse a split without pairs, which a trainer would only notice later."""
    splits = {"train": np.flatnonzero(~pairs.test), "test": np.flatnonzero(pairs.test)}
    if pairs.rule.test and not all(map(len, splits.values())):
        got = f"{len(splits['train'])} for training and {len(splits['test'])} for testing"
        remedy = "use more groups, relax the rule, or make the pairs without a test share"
        raise AvrewardError(f"{pairs.pool.table.path}: expected pairs in both splits, got {got}; {remedy}")
    return {split: which for split, which in splits.items() if len(which)}


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `folder` at the end, and removed if the work fails."""
    target = folder.resolve()
    if target in (Path.cwd().resolve(), *Path.cwd().resolve().parents):  # a folder cannot be moved over these
        got = Described(f"{folder}, which is or contains the current folder")
        raise ArgumentError("folder", "a new folder", got, "pass another folder")
    try:
        _check_empty(folder)
        with whole_folder(target) as part:
            yield part
            _check_empty(folder)  # another run may have written it in the meantime
    except OSError as error:
        why = error.strerror or str(error)
        raise AvrewardError(f"{folder}: could not be written ({why}); free disk space or pass another") from error


def _check_empty(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        got = Described(f"{folder}, which has contents")
        raise ArgumentError("folder", "a new or empty folder", got, "move it away, or pass another folder")


def _write(
    pairs: PreferencePairs, which: NDArray[np.int64], split: str, form: PairFormat | None, media: PairMedia, step: Step
) -> None:
    """Write one split: the lossless table, and the format's own file."""
    step_size = AT_ONCE_WITH_MEDIA if media.embed else AT_ONCE
    everything = media.part / ("data" if form is None else "sidecar") / f"{split}-00000-of-00001.parquet"
    with ExitStack() as open_files:
        add = open_files.enter_context(lossless(everything, pairs.pool.table.metadata))
        sheet = None
        if form is not None:
            sheet = open_files.enter_context(SHEETS[form.ending](media.part / f"{split}{form.ending}", form))
        for at in range(0, len(which), step_size):
            some = which[at : at + step_size]
            table = pair_table(pairs, some)
            if form is not None and sheet is not None:
                rows = np.arange(at, at + len(some)) * form.per_pair
                table = table.append_column("row", [rows])
                sheet(list(_rows(table, form, media, step)))
            else:
                step(len(some))
            add(_placed(with_media(table, pairs) if media.embed else table, media))


def _rows(table: pyarrow.Table, form: PairFormat, media: PairMedia, step: Step) -> Iterator[Mapping[str, Any]]:
    """Yield the format's rows of some pairs."""
    for pair in _plain(table):
        yield from form.rows(pair, media)
        step(1)


def _plain(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return rows as mappings, without the reasons, which no format reads and which are slow to convert."""
    return table.drop_columns(
        [f"{side}_reasons" for side in SIDES if f"{side}_reasons" in table.column_names]
    ).to_pylist()


def _placed(table: pyarrow.Table, media: PairMedia) -> pyarrow.Table:
    """Return the lossless table with the paths of copied or re-rooted clips, and where they came from."""
    import pyarrow

    if not media.copy and media.root is None:
        return table
    about = replace(media, naming="as given")
    rows = table.select([name for side in SIDES for name in (side, f"{side}_id")]).to_pylist()
    for side in SIDES:
        table = table.append_column(f"{side}_source", table[side])
        paths = pyarrow.array([about.clip(row, side) for row in rows], pyarrow.string())
        table = table.set_column(table.column_names.index(side), side, paths)
    return table
