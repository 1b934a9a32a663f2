"""Levels of ratings, and what a language model learns them by."""

from __future__ import annotations

import pytest
import torch

from avreward.errors import ArgumentError
from avreward.training import level_loss, to_levels
from avreward.training.rater.levels import expected_level


def test_the_edges_of_the_published_data() -> None:
    # AIGV-Assessor's files: levels change at 28.3, 39.2, 50.1 and 60.9 between 17.47 and 71.75
    ratings = torch.tensor([17.47, 28.2, 28.4, 39.1, 39.3, 50.0, 50.2, 60.8, 60.9 + 0.1, 71.75])
    assert to_levels(ratings, 17.47, 71.75).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert to_levels(torch.tensor([-9.0, 99.0]), 0, 1).tolist() == [4, 0]


@pytest.mark.golden(case="vqa_losses")
def test_expected_levels_as_in_the_original(golden) -> None:
    tensors = golden.tensors()
    golden.close(expected_level(tensors["level.logits"]), tensors["level.score_1_5"], atol=1e-5)


def test_the_loss_is_the_surprise_of_the_right_word() -> None:
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    right = logits.softmax(-1)[range(3), [0, 4, 2]]
    assert float(level_loss(logits, torch.tensor([0, 4, 2]))) == pytest.approx(-float(right.log().mean()), abs=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: to_levels(torch.ones(2), 1, 1),
        lambda: to_levels(torch.tensor([torch.nan]), 0, 1),
        lambda: level_loss(torch.zeros(1, 5), torch.tensor([5])),
        lambda: level_loss(torch.zeros(1, 5), torch.tensor([0, 1])),
    ],
)
def test_wrong_arguments_are_named(call) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        call()
