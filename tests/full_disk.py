"""A process that may write only so many bytes to a file, as on a disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT = """
import resource, signal, sys
sys.path[:0] = {path!r}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails as on a full disk
{setup}
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
{code}
"""


def run_limited(
    code: str, room: int, *arguments: object, setup: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `setup`, then `code` with files of at most `room` bytes."""
    text = LIMIT.format(path=sys.path, setup=setup, room=room, code=code)
    # what measures coverage would write a file that is too large as well
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    options: dict[str, Any] = {"capture_output": True, "text": True, "cwd": cwd, "env": environment, "check": False}
    return subprocess.run([sys.executable, "-c", text, *map(str, arguments)], **options)
