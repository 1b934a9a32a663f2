"""The version of the measurements of `signals`."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
