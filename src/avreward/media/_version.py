"""The version of decoding, keys and transforms."""

VERSION = 1  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
