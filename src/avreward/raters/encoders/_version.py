"""The version of the encoders that several systems share."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
