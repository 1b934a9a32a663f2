"""The version of the engine for language models and its backbones."""

VERSION = 2  # raise it when a score changes: see "Versions" in CONTRIBUTING.md
