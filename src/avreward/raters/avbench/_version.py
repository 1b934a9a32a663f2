"""The version of AVBench's prompts and evaluators."""

VERSION = 3  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
