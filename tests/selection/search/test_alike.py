"""A search whose first two candidates fail alike ends, with the cause first."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from avreward import term
from avreward.clip import Clip
from avreward.rewards.results import MissingScore
from avreward.selection.search.search import Search


def noise(seed: int) -> Clip:
    return Clip(audio=0.1 * torch.randn(1, 800, generator=torch.Generator().manual_seed(seed)), sample_rate=8000)


@term(needs="audio")
def power(clip: Clip) -> torch.Tensor:
    return clip.audio.square().mean()


@term(needs="audio")
def broken(clip: Clip) -> torch.Tensor:
    raise RuntimeError("no such network")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_generator_that_never_works(batch_size: int) -> None:
    calls = []

    def generate(condition: Any, seed: int) -> Clip:
        calls.append(seed)
        raise RuntimeError("no memory")

    with pytest.raises(
        MissingScore, match=r"^RuntimeError: no memory; the generator failed alike on seed 0 and seed 1, so"
    ):
        Search(generate, power["power"], batch_size=batch_size)()
    assert set(calls) == {0, 1}


def test_a_rater_that_never_works() -> None:
    calls = []

    def generate(condition: Any, seed: int) -> Clip:
        calls.append(seed)
        return noise(seed)

    with pytest.raises(
        MissingScore, match=r"no such network.*; the rater failed alike on seed 0 and seed 1, so the search"
    ):
        Search(generate, broken["broken"])()
    assert calls == [0, 1]


def test_failures_that_differ_or_come_later_belong_to_their_candidates() -> None:
    def generate(condition: Any, seed: int) -> Clip:
        if seed != 2:
            raise RuntimeError("no memory" if seed > 2 else f"seed {seed} is refused")
        return noise(seed)

    found = Search(generate, power["power"])()
    assert [c.seed for c in found.ranked] == [2]
    assert len(found.candidates) == 8
