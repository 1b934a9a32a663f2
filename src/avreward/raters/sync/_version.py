"""The version of the sync evaluator's preprocessing, prompt and head."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
