"""Golden scores: how they are compared, and when the version of a subpackage must be raised."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
RELATIVE, ABSOLUTE = 1e-6, 1e-7
"""Two numbers are the same within this. What can be is computed in float64, where CPUs, instruction sets and numbers of
threads differ by 1e-12; a decoder's float32 is averaged over so many values that 1e-8 is left. More is a change."""

Cases = Mapping[str, Any]


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Where two values, made of mappings, lists, numbers and texts, differ.

    >>> differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]})
    ['a[1]: 2.0 became 2.1']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.keys() == new.keys():
        return [text for key in old for text in differences(old[key], new[key], f"{at}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [text for i, pair in pairs for text in differences(*pair, f"{at}[{i}]")]
    if isinstance(old, float | int) and isinstance(new, float | int):
        same = math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = old == new
    return [] if same else [f"{at}: {old!r} became {new!r}"]


def problem(name: str, versions: Mapping[str, int], found: Cases, stored: Mapping[str, Any] | None) -> str | None:
    """What is wrong with the recorded scores of the subpackage `name`; `None` where all is well.

    Args:
        name: of the subpackage.
        versions: its own version, and those of the subpackages that its scores depend on.
        found: case → scores as the code gives them.
        stored: what `recorded` made: the versions, the cases, and under ``previous`` those of the version before.
    """
    if stored is None:
        return f"{name}: no golden scores; {_RECORD}"
    if stored["versions"] == dict(versions):
        if absent := sorted(found.keys() ^ stored["cases"].keys()):
            return f"{name}: cases that are new or gone: {', '.join(absent)}; {_RECORD}"
        if changed := differences(stored["cases"], dict(found)):
            return (
                f"{name}: scores changed, and no version was raised: {'; '.join(changed[:5])}; "
                f"raise VERSION of {' or '.join(versions)} (where the code changed) and {_RECORD}"
            )
        return raised_for_nothing(name, stored)
    return f"{name}: recorded for {stored['versions']}, and the versions are {dict(versions)}; {_RECORD}"


def raised_for_nothing(name: str, stored: Mapping[str, Any]) -> str | None:
    """What is wrong where the version of `name` was raised though its scores are those of the version before."""
    before = stored.get("previous")
    if before is None or before["versions"][name] == stored["versions"][name]:
        return None
    common = before["cases"].keys() & stored["cases"].keys()
    if any(differences(before["cases"][case], stored["cases"][case]) for case in common):
        return None
    return f"{name}: version {stored['versions'][name]} gives the scores of {before['versions'][name]}; take it back"


def recorded(name: str, versions: Mapping[str, int], found: Cases, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """What to store from now on; raises `ValueError` where a version must be raised, or was raised for nothing."""
    new: dict[str, Any] = {"versions": dict(versions), "cases": dict(found)}
    if stored is None:
        return new
    if stored["versions"] == new["versions"]:
        for case in found.keys() & stored["cases"].keys():
            if changed := differences(stored["cases"][case], found[case]):
                raise ValueError(f"{name}: {case} changed ({changed[0]}), and no version was raised")
        old = {case: stored["cases"][case] for case in found.keys() & stored["cases"].keys()}  # to the last digit
        return {**stored, "cases": dict(found) | old}
    new["previous"] = {key: stored[key] for key in ("versions", "cases")}
    if wrong := raised_for_nothing(name, new):
        raise ValueError(wrong)
    return new


def load(name: str) -> dict[str, Any] | None:
    """The recorded scores of a subpackage."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def save(name: str, content: Mapping[str, Any]) -> None:
    """Write the recorded scores of a subpackage."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


_RECORD = "run python tests/versions/record.py"
