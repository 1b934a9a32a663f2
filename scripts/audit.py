"""Look for known vulnerabilities in the versions of `constraints.txt`: `make audit`.

pip-audit asks the Python Packaging Advisory Database by the network. Where it can't be installed or asked, this says so
and ends with 0, so that a machine without a network can run it; a vulnerability ends it with 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv-audit"
UNREACHABLE = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|Max retries|Name or service not known|NameResolution|ProxyError|"
    r"SSLError|Failed to establish|could not be reached|ServiceError|HTTPError"
)


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a command; what it says is kept."""
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)  # noqa: S603


def skipped(why: str) -> int:
    """Say why nothing was audited."""
    print(f"audit skipped: {' '.join(why.split())[:300]}")
    return 0


def main(tools: Path = TOOLS, requirements: Path = ROOT / "constraints.txt") -> int:
    """Install pip-audit in an environment of its own, run it, and return the exit code."""
    python = tools / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(tools, with_pip=True)
    made = run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip-audit"])
    if made.returncode:
        return skipped(f"pip-audit can't be installed here ({(made.stderr.strip().splitlines() or ['no reason'])[-1]})")
    options = ["--requirement", requirements, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    found = run([python, "-m", "pip_audit", *options])
    if found.returncode and UNREACHABLE.search(found.stderr) and "vulnerabilit" not in found.stdout:
        return skipped(f"the database can't be asked ({found.stderr.strip().splitlines()[-1]})")
    print(found.stdout + found.stderr, end="")
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
