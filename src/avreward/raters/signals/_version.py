"""The version of the measurements of `signals`."""

VERSION = 3  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
