"""Pairs on the Hugging Face hub: media columns that its viewer plays, and the upload of an exported folder."""

from __future__ import annotations

import json
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avreward._extras import extra
from avreward.errors import ArgumentError, Described
from avreward.raters.checkpoints._upload import hub_errors
from avreward.selection.pairs._table import SIDES
from avreward.selection.pairs.formats._media import IMAGES, read_bytes
from avreward.selection.pairs.make import PreferencePairs

if TYPE_CHECKING:
    import pyarrow


def push_pairs(folder: str | PathLike[str], repo: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a folder that `export_pairs` wrote to a dataset repository of the Hugging Face hub.

    Args:
        folder: the exported folder; its rows must not name files that others lack: export with ``embed`` or ``copy``,
            or texts alone (``completion``).
        repo: ``NAME`` or ``OWNER/NAME``; it is made if it does not exist.
        private: whether a new repository is private.
        token: of the hub (default: the one of ``hf auth login``).

    Returns:
        The address of the dataset.

    Raises:
        ArgumentError: if `folder` has no card, or its rows name local files.
        AvrewardError: if the hub refuses, or cannot be reached.

    Example:
        >>> push_pairs("exported", "my-team/dubs")  # doctest: +SKIP
        'https://huggingface.co/datasets/my-team/dubs'
    """
    with extra("lmm"):
        from huggingface_hub import HfApi

    folder = Path(folder)
    check_movable(folder)
    with hub_errors(repo, "repo"):
        api = HfApi(token=token)
        found = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(folder_path=folder, repo_id=found.repo_id, repo_type="dataset")
    return str(found)


def check_movable(folder: Path) -> None:
    """Raise `ArgumentError` unless `folder` holds all that its rows name, by the note in its card."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except OSError as error:
        got = Described(f"{folder}, which has no card (README.md)")
        raise ArgumentError("folder", "a folder of exported pairs", got, "export the pairs first") from error
    if LOCAL_PATHS in text:
        got = Described(f"{folder}, whose rows name files of this machine")
        remedy = "export with embed or copy, or the texts alone with completion"
        raise ArgumentError("folder", "pairs with their media", got, remedy)


LOCAL_PATHS = "- Media paths are those of the table; relative ones start where the table was made."


def with_media(table: pyarrow.Table, pairs: PreferencePairs) -> pyarrow.Table:
    """Return pairs with the bytes of both clips, which `datasets` reads as Video, Audio or Image."""
    import pyarrow

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    for side in SIDES:
        found = [{"bytes": read_bytes(Path(path)), "path": path} for path in table[side].to_pylist()]
        table = table.append_column(f"{side}_media", pyarrow.array(found, kind))
    feature = media_feature(pairs)
    if feature is None or find_spec("datasets") is None:  # the columns are then read as bytes and paths
        return table
    with extra("datasets"):
        from datasets import Features  # type: ignore[import-untyped]

    features = Features.from_arrow_schema(table.schema).to_dict()
    features |= {f"{side}_media": {"decode": False, "_type": feature} for side in SIDES}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return table.replace_schema_metadata(about)


def media_feature(pairs: PreferencePairs) -> str | None:
    """Return the feature of `datasets` that fits all clips of the pairs; `None` if they are of two kinds."""
    rows = np.unique(np.concatenate([pairs.chosen, pairs.rejected]))
    table = pairs.pool.table
    names = table.column("clip").cast("string").take(rows).to_pylist()
    images = [Path(name).suffix.lower() in IMAGES for name in names]
    shown = np.isfinite(table.numbers("width"))[rows] if table.has("width") else np.zeros(len(rows), dtype=bool)
    each = zip(images, shown, strict=True)
    kinds = {"Image" if image else "Video" if video else "Audio" for image, video in each}
    return kinds.pop() if len(kinds) == 1 else None
