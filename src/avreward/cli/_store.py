"""The store that the commands share: where it lies, and what a person should know of it."""

from __future__ import annotations

import os
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
        help="Where scores are kept, so that no clip is scored twice. Default: one store for all commands, in "
        "$AVREWARD_STORE or ~/.cache/avreward/store.",
        show_default=False,
    ),
]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep no store, and score every clip anew.")]
RetryMissing = Annotated[
    bool, typer.Option("--retry-missing", help="Score clips again for which the store says that a score is missing.")
]


def store_of(path: Path | None, off: bool, raters: Iterable[Rater]) -> Store | None:
    """Open the store at `path`, or the default one; print what is wrong with it or was made with other settings.

    Where many runs have left a file each, they are merged. Where the default store cannot be written there is none, and
    a line says so.
    """
    from avreward.scoring.store.store import Store

    check_store(path, off)
    if off:
        return None
    place = path or default_store()
    if path is None and (problem := _unusable(place)):
        complain(f"{shown(place)}: {problem}; scores are not kept (--store FOLDER keeps them elsewhere)")
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are said below, each in one line
        store = Store(place)
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
                f"({_few(known)}); they stay there, and clips are scored anew by {rater.fingerprint}"
            )
    return store


def check_store(path: Path | None, off: bool) -> None:
    """Check that not both ``--store`` and ``--no-store`` are given."""
    if off and path is not None:
        raise typer.BadParameter(f"{path}: --no-store keeps none; leave one of the two out", param_hint="--store")


def default_store() -> Path:
    """Return the folder of the store that all commands share."""
    if own := os.environ.get("AVREWARD_STORE"):
        return Path(own).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "avreward" / "store"


def _unusable(place: Path) -> str | None:
    """Return why no store can be kept at `place`."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"can't be made ({error.strerror or error})"
    return None if os.access(place, os.W_OK | os.X_OK) else "can't be written"


def _few(fingerprints: Iterable[str], most: int = 3) -> str:
    listed = sorted(fingerprints)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
