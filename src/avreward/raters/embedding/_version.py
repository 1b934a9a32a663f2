"""The version of the embedding raters."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
