"""Folders of tiny raters with random weights, written once for all tests of a process."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def agav_folder(tmp_path_factory):
    """AGAV-Rater as it is published, tiny."""
    pytest.importorskip("transformers")
    from tiny_agav_rater import write_tiny

    return write_tiny(tmp_path_factory.mktemp("agav") / "official")


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory):
    """Qwen2.5-Omni's thinker as `transformers` writes it, tiny."""
    pytest.importorskip("transformers")
    from tiny.qwen_omni import tiny_qwen2_5_omni

    folder = tmp_path_factory.mktemp("omni") / "thinker"
    backbone = tiny_qwen2_5_omni()
    backbone.module.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder
