"""The version of AGAV-Rater's prompts and network."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
