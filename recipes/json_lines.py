"""Results of long runs in a file, one JSON line each, so that a command goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the results in `path`, if it exists, without a line that was cut off."""
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a result, on a line of its own also where the last one was cut off."""
    before = path.read_bytes() if path.exists() else b""
    with path.open("a") as file:
        file.write("\n" * (before != b"" and not before.endswith(b"\n")) + json.dumps(row) + "\n")
