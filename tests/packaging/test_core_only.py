"""The wheel by itself, in a fresh environment: the commands that need no extra run there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_core_works_without_extras(tmp_path):
    """Installs torch and the core from the package index, as a user does; takes a minute or two."""
    script = Path(__file__).with_name("core_only.sh")
    environment = {**os.environ, "PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([script, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("the core works without extras\n")
