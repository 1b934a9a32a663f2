"""A saved AIGVEval in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from rater_uses import Uses, write_clips
from tiny.aigveval import tiny_aigveval, write_tiny_aigveval


@pytest.fixture(scope="module")
def uses(tmp_path_factory) -> Uses:
    folder = tiny_aigveval().save_pretrained(tmp_path_factory.mktemp("aigveval") / "rater")
    return Uses(folder, write_clips(tmp_path_factory.mktemp("clips")), "aigveval", "quality")


def test_score_rank_and_verify(uses, tmp_path) -> None:
    uses.check_score_rank_and_verify(tmp_path)


def test_probe(uses, tmp_path) -> None:
    uses.check_probe(tmp_path)


def test_convert(uses, tmp_path) -> None:
    assert uses.check_convert(write_tiny_aigveval(tmp_path / "published"), tmp_path).inverted


def test_an_expression_an_ensemble_best_of_n_and_trl(uses) -> None:
    uses.check_rewards(tiny_aigveval(temperature=2.0), "signals.static_quality")
