"""Decide whether scores from other versions of libraries are valid for this run.

`equivalent.json` lists, for each subpackage's version, the library versions under which its golden scores were
reproduced (``tests/versions``). Two versions that are both listed give the same scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from avreward.raters._environment import NOISE_ONLY

Table = Mapping[str, Mapping[str, list[str]]]

NAMES = {"av": "PyAV"}  # names in messages, where they differ


@cache
def table() -> Table:
    """Return library → "subpackage version" → the library's versions that gave its golden scores."""
    return json.loads(files(__package__).joinpath("equivalent.json").read_text(encoding="utf-8"))


def difference(then: str, now: str, versions: Mapping[str, int]) -> str | None:
    """Return why scores made under `then` may differ from scores under `now`; `None` if they are the same.

    Args:
        then: library versions of the stored scores: JSON of library → version, as in `RaterRow.environment`.
        now: library versions of this run, likewise.
        versions: of the rater's subpackages, see `Rater.versions`.
    """
    if then == now:
        return None
    if not then:
        return "before the versions of libraries were stored with scores"
    old, new = json.loads(then), json.loads(now)
    different = [
        library
        for library in sorted(old.keys() | new.keys())
        if library not in NOISE_ONLY and not _equivalent(library, old.get(library), new.get(library), versions)
    ]
    if not different:
        return None
    was, runs = (
        ", ".join(f"{NAMES.get(library, library)} {found.get(library, 'not stored')}" for library in different)
        for found in (old, new)
    )
    return f"with {was}, and this run has {runs}"


def _equivalent(library: str, old: str | None, new: str | None, versions: Mapping[str, int]) -> bool:
    """Return whether the versions are equal, or both reproduced the golden scores of all subpackages that use them."""
    if old == new:
        return True
    users = [f"{name} {version}" for name, version in versions.items() if (name == "media") == (library == "av")]
    known = table().get(library, {})
    return bool(users) and all({old, new} <= set(known.get(user, ())) for user in users)
