"""The version of AIGVEval's views, prompt and network."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
