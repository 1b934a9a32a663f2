"""A saved AIGV-Assessor in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import pytest
from assessor_folders import write_original
from rater_uses import Uses, write_clips
from tiny.assessor import tiny_assessor


@pytest.fixture(scope="module")
def uses(tmp_path_factory) -> Uses:
    folder = tiny_assessor().save_pretrained(tmp_path_factory.mktemp("assessor") / "rater")
    files = write_clips(tmp_path_factory.mktemp("clips"))
    return Uses(folder, files, "aigv_assessor", "static_quality", "tv_correspondence")


def test_score_rank_and_verify(uses, tmp_path) -> None:
    uses.check_score_rank_and_verify(tmp_path)


def test_probe(uses, tmp_path) -> None:
    uses.check_probe(tmp_path)


def test_convert(uses, tmp_path) -> None:
    uses.check_convert(write_original(tmp_path / "published"), tmp_path)


def test_expressions_ensembles_best_of_n_and_trl(uses) -> None:
    uses.check_rewards(tiny_assessor(template="chatml"), "dynamic_degree_level")
