"""Advantages against the published code's, and their routing to streams."""

from __future__ import annotations

import math

import pytest
import torch

from avreward.errors import ArgumentError
from avreward.training.generator.advantages import best_and_worst, group_advantages, stream_advantages, winners


@pytest.mark.golden(case="flow_grpo_sde")
def test_the_original(golden) -> None:
    for row in golden.data["advantage_rows"]:
        rewards, expected = torch.tensor(row["rewards"], dtype=torch.float64), torch.tensor(row["advantages"])
        if row["kind"] == "grpo":
            deviation = "batch" if row["global_std"] else "prompt"
            golden.close(group_advantages(rewards, row["prompts"], deviation=deviation), expected.double(), 1e-6)
        elif row["kind"] == "sft":
            golden.same(winners(rewards, row["prompts"]).tolist(), row["advantages"])
        else:
            pairs = best_and_worst(rewards, row["prompts"])
            signs = {best: 1.0 for best, _ in pairs} | {worst: -1.0 for _, worst in pairs}
            equal = {
                p
                for p in row["prompts"]
                if len({r for q, r in zip(row["prompts"], row["rewards"], strict=True) if q == p}) == 1
            }
            for number, (prompt, sign) in enumerate(zip(row["prompts"], row["advantages"], strict=True)):
                # the original makes a pair of two equal samples, which says nothing
                assert signs.get(number, 0.0) == (0.0 if prompt in equal else sign)


def test_a_term_reaches_its_streams_alone() -> None:
    terms = {"look": torch.tensor([0.0, 1.0, 2.0]), "sound": torch.tensor([5.0, 1.0, 0.0])}
    routed = stream_advantages(
        terms, {"look": frozenset({"video"}), "sound": frozenset({"audio"})}, {"look": 1.0, "sound": 2.0}, "aaa"
    )
    assert torch.equal(routed["video"], group_advantages(terms["look"], "aaa"))
    assert torch.equal(routed["audio"], 2 * group_advantages(terms["sound"], "aaa"))


def test_what_cannot_be_compared_is_refused() -> None:
    good = torch.tensor([1.0, 2.0])
    with pytest.raises(ArgumentError, match="rewards: expected finite numbers, got nan; leave out sample 1"):
        group_advantages(torch.tensor([1.0, math.nan]), "aa")
    with pytest.raises(ArgumentError, match="rewards: expected one for each of 3 prompts"):
        group_advantages(good, "aab")
    with pytest.raises(ArgumentError, match="deviation"):
        group_advantages(good, "aa", deviation="none")
    with pytest.raises(ArgumentError, match="fit: expected finite numbers, got inf"):
        stream_advantages({"fit": torch.tensor([1.0, math.inf])}, {"fit": frozenset({"audio"})}, {"fit": 1.0}, "aa")
    with pytest.raises(ArgumentError, match="fit: expected streams and a weight"):
        stream_advantages({"fit": good}, {}, {"fit": 1.0}, "aa")
