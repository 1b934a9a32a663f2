"""The version of AIGVEval's views, prompt and network."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
