"""Factories of tiny generators for `avreward tune`; see tiny_v2a.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiny_v2a import tiny_v2a
from tiny_v2a.generator import V2AGenerator


def video_to_audio() -> V2AGenerator:
    """Return the trained generator of recipes/tiny_v2a."""
    return V2AGenerator(tiny_v2a())
