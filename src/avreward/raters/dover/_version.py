"""The version of DOVER's views, network and fusion."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
