"""What a run has found so far, in a folder, so that the same run goes on where it was interrupted."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError

LINES = "candidates.jsonl"
HEADER = '{"run": "'


def _lines(text: str) -> list[dict[str, Any]]:
    """Those that are whole; a line that a kill cut off, or that something else wrote, is none."""
    found = []
    for line in text.split("\n"):  # not splitlines: a prompt may hold separators of other kinds
        with suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


class RunLog:
    """Records by key, in memory and, with a folder, as JSON lines that are written as they come.

    A line that was cut off by a kill is left out when the folder is read again; where it is the only one, the folder is
    begun anew, and a warning says so. Where the disk refuses (it is full),
    a warning says so once, and the run goes on in memory.

    Args:
        folder: made if it isn't there (*optional*).
        run: from `run_key`. A folder that holds another run, or doesn't say which, is an `AvrewardError`.
    """

    def __init__(self, folder: Path | None, run: str) -> None:
        self.folder, self.run = folder, run
        self.records: dict[str, dict[str, Any]] = {}
        self.failed = False
        if folder is not None:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        path = folder / LINES
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # What isn't UTF-8 is no line of ours; the rest may be.
            text = path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            raise MediaError(folder, f"can't be used ({error.strerror or error})", "choose another place") from error
        lines = _lines(text)
        runs = [line["run"] for line in lines if "run" in line]
        if not runs:
            self._begin(path, text)
            return
        if any(run != self.run for run in runs):
            raise AvrewardError(
                f"{folder}: it holds candidates of another generator, condition or reward; name another folder, or "
                "call as before to go on"
            )
        self.records = {line["key"]: line for line in lines if isinstance(line.get("key"), str)}
        if not text.endswith("\n"):
            self._write(None)

    def _begin(self, path: Path, text: str) -> None:
        """Writes the line that says whose folder it is; over one that a kill cut off before anything was found."""
        if text and ("\n" in text or not HEADER.startswith(text[: len(HEADER)])):
            remedy = "move it away, or name another folder"
            raise MediaError(path, "it doesn't say whose candidates it holds: its first line is broken", remedy)
        if text:
            warnings.warn(f"{path}: it was cut off in its first line; begun anew", stacklevel=2)
            try:
                path.unlink()
            except OSError as error:
                self._complain(error)
        self._write({"run": self.run})

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Keeps one record, which must be made of what JSON knows."""
        known = key in self.records  # a run that begins again says the same again
        self.records[key] = {"key": key, **record}
        if self.folder is not None and not known:
            self._write(self.records[key])

    def save(self, clip: Clip, name: str) -> Path | None:
        """Writes a clip to the folder, 8-bit pictures and 16-bit sound without loss; `None` where that fails."""
        if self.folder is None or self.failed:
            return None
        path = self.folder / f"{name}{'.mkv' if clip.has_video else '.wav'}"
        try:
            clip.save(path)
        except MediaError as error:
            self._complain(error)
            return None
        return path

    def _write(self, record: Mapping[str, Any] | None) -> None:
        if self.failed or self.folder is None:
            return
        try:
            with (self.folder / LINES).open("a", encoding="utf-8") as file:
                file.write("\n" if record is None else json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        self.failed = True
        why = getattr(error, "strerror", None) or error
        warnings.warn(
            f"{self.folder}: can't be written ({why}); the run goes on in memory, and can't be taken up again from "
            "here: make room, or name another folder next time",
            stacklevel=2,
        )
