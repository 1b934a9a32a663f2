"""A saved DOVER in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("transformers")

from rater_uses import Uses, write_clips
from tiny.dover import VIEWS, tiny_dover, write_tiny_dover


@pytest.fixture(scope="module")
def uses(tmp_path_factory) -> Uses:
    folder = tiny_dover().save_pretrained(tmp_path_factory.mktemp("dover") / "rater")
    return Uses(folder, write_clips(tmp_path_factory.mktemp("clips")), "dover", "overall")


def test_score_rank_and_verify(uses, tmp_path) -> None:
    uses.check_score_rank_and_verify(tmp_path)


def test_probe(uses, tmp_path) -> None:
    uses.check_probe(tmp_path)


def test_convert(uses, tmp_path) -> None:
    uses.check_convert(write_tiny_dover(tmp_path / "published"), tmp_path)


def test_an_expression_an_ensemble_best_of_n_and_trl(uses) -> None:
    uses.check_rewards(tiny_dover(views=replace(VIEWS, grid=2)), "technical")
