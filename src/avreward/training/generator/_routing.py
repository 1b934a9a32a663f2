"""Which advantages a stream of a generator follows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.rewards.base import Reward
from avreward.training.generator._rated import RatedBatch
from avreward.training.generator.advantages import group_advantages


def advantages_of(
    reward: Reward, found: RatedBatch, groups: Sequence[Hashable], streams: Sequence[str]
) -> dict[str, Tensor]:
    """Return the advantages of each stream, (clips,); 0 where a clip has no reward.

    If every term may move every stream that the generator makes, they are those of the reward itself. Otherwise each
    stream follows the reward with the terms that may not move it held at their group's mean, so that they neither help
    nor harm it.

    Raises:
        ArgumentError: if a term may move no stream of the generator, or if only some terms may move a stream and the
            reward has weights that depend on the prompt.
    """
    moves = moved_streams(reward, streams)
    present = found.present
    members = [group for group, there in zip(groups, present.tolist(), strict=True) if there]
    columns = {name: values[present] for name, values in found.terms.items()}
    advantages = {}
    for stream in streams:
        own = {name for name, moved in moves.items() if stream in moved}
        if not own:
            continue
        if not members:  # only another process has rewards
            advantages[stream] = torch.zeros_like(found.values)
            continue
        values = found.values[present]
        if own != set(moves):
            if reward.prompt_weights:
                expected = "one weight for all prompts where terms move different streams"
                raise ArgumentError("reward", expected, reward, "use one reward for each kind of prompt")
            held = {name: v if name in own else group_means(v, members) for name, v in columns.items()}
            values = reward.compute(held)
        whole = torch.zeros_like(found.values)
        whole[present] = group_advantages(values, members)
        advantages[stream] = whole
    return advantages


def moved_streams(reward: Reward, streams: Sequence[str]) -> dict[str, set[str]]:
    """Return which of a generator's streams each term may move.

    Raises:
        ArgumentError: if a term may move none.
    """
    moves = {term.name: set(term.rater.dimension(term.dimension).streams) & set(streams) for term in reward.terms}
    for name, own in moves.items():
        if not own:
            remedy = "leave the term out, or declare its streams"
            raise ArgumentError("reward", f"terms that may move {' or '.join(streams)}", name, remedy)
    return moves


def group_means(values: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """Return for each entry the mean over its group."""
    rows: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        rows.setdefault(group, []).append(number)
    found = torch.empty_like(values)
    for members in rows.values():
        found[members] = values[members].mean()
    return found
