"""Win rates count, and their intervals cover, also where answers about one content go together."""

from __future__ import annotations

import numpy as np
import pytest

from avreward.datasets import win_rates
from avreward.errors import ArgumentError


def test_counts() -> None:
    found = win_rates(["a", "b", "a", "c"], ["b", "c", "c", "a"], ["first", "tie", "first", "second"])
    assert [(one.system, one.comparisons, one.wins, one.ties, one.rate) for one in found] == [
        ("a", 3, 3, 0, 1.0), ("b", 2, 0, 1, 0.25), ("c", 3, 0, 1, 1 / 6),
    ]  # fmt: skip
    assert found[0].high == 1.0
    assert 0 < found[0].low < 0.5


def test_intervals_of_answers_that_go_together_cover() -> None:
    covered = {True: 0, False: 0}
    for seed in range(200):
        generator = np.random.default_rng(seed)
        chance = generator.beta(1.2, 0.8, 25)  # each of 25 prompts has its own; 0.6 in the mean
        contents = np.repeat(np.arange(25), 12)
        verdicts = [
            "first" if u < chance[c] else "second" for u, c in zip(generator.random(300), contents, strict=True)
        ]
        for known in covered:
            one = win_rates(["a"] * 300, ["b"] * 300, verdicts, contents.tolist() if known else None)
            low, high = next((w.low, w.high) for w in one if w.system == "a")
            covered[known] += low <= 0.6 <= high
    assert 0.9 <= covered[True] / 200 <= 0.99
    assert covered[False] / 200 < 0.75  # as if all 300 were independent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], [], []), "at least one comparison"),
        ((["a"], ["b"], ["A"]), "expected first, second or tie, got 'A'"),
        ((["a"], ["a"], ["tie"]), "another system than the first, got a twice"),
        ((["a"], ["b"], []), "one a comparison"),
        ((["a"], ["b"], ["tie"], []), "one a comparison"),
    ],
)
def test_wrong_arguments(arguments: tuple, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        win_rates(*arguments)


def test_a_level_is_a_share() -> None:
    with pytest.raises(ArgumentError, match="level: expected a number between 0 and 1, got 95"):
        win_rates(["a"], ["b"], ["tie"], level=95)
