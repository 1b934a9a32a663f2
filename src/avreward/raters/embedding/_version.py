"""The version of the embedding raters."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
