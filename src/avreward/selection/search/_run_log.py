"""The log of a run in a folder, from which an interrupted run is resumed."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.selection._candidate import Candidate

LINES = "candidates.jsonl"
HEADER = '{"run": "'


def _lines(text: str) -> list[dict[str, Any]]:
    """Return the complete lines, without those that are truncated or not JSON objects."""
    found = []
    for line in text.split("\n"):  # not splitlines: a prompt may contain other line separators
        with suppress(ValueError):
            found.append(parsed_json(line))
    return [line for line in found if isinstance(line, dict)]


class RunLog:
    """Records by key, in memory and, with a folder, as JSON lines that are written immediately.

    A truncated line, as a killed run leaves it, is skipped when the folder is read again; if it is the first line, the
    folder is started again, with a warning. If the disk cannot be written (it is full), the run continues in memory,
    with one warning.

    Args:
        folder: created if it does not exist (*optional*).
        run: from `run_key`.

    Raises:
        ArgumentError: if the folder contains the log of another run, or cannot be used.
        AvrewardError: if the log in the folder does not say of which run it is.
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
            # Lines that are not UTF-8 are skipped.
            text = path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            got = Described(f"{folder} ({error.strerror or error})")
            raise ArgumentError("out", "a folder that can be read and written", got, "choose another one") from error
        lines = _lines(text)
        runs = [line["run"] for line in lines if "run" in line]
        if not runs:
            self._begin(path, text)
            return
        if any(run != self.run for run in runs):
            raise ArgumentError(
                "out",
                "a new folder or one of the same generator, condition and reward",
                Described(f"{folder} with candidates of another run"),
                "pass another folder, or repeat the earlier call to resume it",
            )
        self.records = {line["key"]: line for line in lines if isinstance(line.get("key"), str)}
        if not text.endswith("\n"):
            self._write(None)

    def _begin(self, path: Path, text: str) -> None:
        """Write the line that identifies the run; replaces a truncated one if there are no records."""
        if text and ("\n" in text or not HEADER.startswith(text[: len(HEADER)])):
            expected = "a first line that identifies the run, got one that cannot be read"
            raise AvrewardError(f"{path}: expected {expected}; move the file away, or pass another folder")
        if text:
            warnings.warn(f"{path}: its first line was truncated; the log starts again", stacklevel=2)
            try:
                path.unlink()
            except OSError as error:
                self._complain(error)
        self._write({"run": self.run})

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Add one record of JSON values."""
        known = key in self.records  # a resumed run adds the same records again
        self.records[key] = {"key": key, **record}
        if self.folder is not None and not known:
            self._write(self.records[key])

    def save(self, clip: Clip, name: str) -> Path | None:
        """Write a clip to the folder, as lossless 8-bit video and audio; return `None` if that fails."""
        if self.folder is None or self.failed:
            return None
        path = self.folder / f"{name}{'.mkv' if clip.has_video else '.wav'}"
        try:
            clip.save(path)
        except MediaError as error:
            self._complain(error)
            return None
        return path

    def find(self, name: str, prompt: str | None) -> tuple[Clip, Path] | None:
        """Return a clip that an earlier run saved, and its file; `None` if there is none that can be read."""
        if self.folder is None:
            return None
        for ending in (".mkv", ".wav"):
            path = self.folder / f"{name}{ending}"
            if path.exists():
                try:
                    return Clip.open(path, prompt=prompt), path
                except MediaError:  # generated again when needed
                    return None
        return None

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
            f"{self.folder}: could not be written ({why}); the run continues in memory and cannot be resumed: "
            "free disk space, or pass another folder next time",
            stacklevel=2,
        )


def record_key(candidate: Candidate, strategy: str, seed: int) -> str:
    """Return the key of a candidate's record: its noise and steps, or its place in a run of dependent candidates."""
    if candidate.noise is None:
        return json.dumps(["together", strategy, seed, candidate.index])
    return json.dumps([candidate.noise.parts, candidate.steps])


def file_name(candidate: Candidate, key: str) -> str:
    """Return the name of a candidate's file, without ending."""
    hashed = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    if candidate.noise is None:
        return f"together-{candidate.index}-{hashed}"
    name = f"mix-{hashed}" if candidate.seed is None else f"seed-{candidate.seed}"
    return name if candidate.steps is None else f"{name}-steps-{candidate.steps}"
