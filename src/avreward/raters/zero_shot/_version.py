"""The version of the zero-shot questions."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
