"""Print the oldest versions that pyproject.toml allows for the core's dependencies, as a constraints file for pip.

torch is left out: no CPU build of its lower bound is published, so it stays at the version in constraints.txt.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def oldest(requirements: list[str]) -> list[str]:
    """Return ``NAME==VERSION`` for each requirement with a lower bound, without torch."""
    pins = []
    for requirement in requirements:
        name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<[\d.]+)?", requirement).groups()
        if name != "torch":
            pins.append(f"{name}=={version}")
    return pins


if __name__ == "__main__":
    project = Path(__file__).parents[2] / "pyproject.toml"
    print("\n".join(oldest(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])))
