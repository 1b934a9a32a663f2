"""The store that `avreward score` keeps: where it lies, and what a person should know of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import complain, shown

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.scoring.store.store import Store

MOST_FILES = 16  # a run adds one; a look-up asks each of them

StorePath = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Where scores are kept, so that no clip is scored twice. Default: OUT.store.",
        show_default=False,
    ),
]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep no store, and score every clip anew.")]
RetryMissing = Annotated[
    bool, typer.Option("--retry-missing", help="Score clips again for which the store says that a score is missing.")
]


def store_of(path: Path | None, off: bool, out: Path, raters: Iterable[Rater]) -> Store | None:
    """Open the store at `path`, or beside the table `out`; print what is wrong with it or was made with other settings.

    Where many runs have left a file each, they are merged.
    """
    from avreward.scoring.store.store import Store

    if off:
        if path is not None:
            raise typer.BadParameter(f"{path}: --no-store keeps none; leave one of the two out", param_hint="--store")
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are said below, each in one line
        store = Store(out.with_name(f"{out.name}.store") if path is None else path)
        if store.files > MOST_FILES:
            store.compact()
    for damaged, why in store.damaged.items():
        complain(f"{shown(damaged)}: these scores can't be read ({why}); move the file away to have them made again")
    store.tell = complain
    for rater in raters:
        known = store.fingerprints(rater.name)
        if known and rater.fingerprint not in known:
            complain(
                f"{shown(store.path)}: its scores of {rater.name} were made with other settings or another version "
                f"({', '.join(sorted(known))}); they stay there, and clips are scored anew by {rater.fingerprint}"
            )
    return store
