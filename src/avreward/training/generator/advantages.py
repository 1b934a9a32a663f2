"""Advantages: what a sample's reward is worth beside the others of its prompt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described


def group_advantages(
    rewards: Tensor, prompts: Sequence[Hashable], *, deviation: str = "prompt", eps: float = 1e-4
) -> Tensor:
    """Return (r − mean of the prompt) / (deviation + `eps`), as GRPO and Flow-GRPO do.

    A prompt whose samples all have one reward gives 0. Deviations are those of a population.

    Args:
        rewards: (samples,).
        prompts: the prompt, or another key, of each sample.
        deviation: ``"prompt"``: of the samples of the prompt; ``"batch"``: of all samples.
        eps: added to the deviation.

    Raises:
        ArgumentError: if the lengths differ, a reward is not finite, or for another `deviation`.

    Example:
        >>> group_advantages(torch.tensor([1.0, 3.0, 5.0, 5.0]), ["a", "a", "b", "b"])
        tensor([-0.9999,  0.9999,  0.0000,  0.0000])
    """
    if deviation not in ("prompt", "batch"):
        raise ArgumentError("deviation", '"prompt" or "batch"', deviation)
    rows = _rows(rewards, prompts)
    found, whole = torch.zeros_like(rewards), rewards.std(correction=0)
    for members in rows.values():
        mine = rewards[members]
        width = mine.std(correction=0) if deviation == "prompt" else whole
        found[members] = (mine - mine.mean()) / (width + eps)
    return found


def winners(rewards: Tensor, prompts: Sequence[Hashable]) -> Tensor:
    """Return 1 where a reward equals the largest of its prompt, else 0: weights for training on the winners (RAFT).

    Raises:
        ArgumentError: as `group_advantages`.
    """
    found = torch.zeros_like(rewards)
    for members in _rows(rewards, prompts).values():
        found[members] = (rewards[members] == rewards[members].max()).to(rewards.dtype)
    return found


def best_and_worst(rewards: Tensor, prompts: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return (best, worst) of each prompt with different rewards, as indices: pairs for preference losses.

    Raises:
        ArgumentError: as `group_advantages`.

    Example:
        >>> best_and_worst(torch.tensor([1.0, 3.0, 5.0, 5.0]), ["a", "a", "b", "b"])
        [(1, 0)]
    """
    found = []
    for members in _rows(rewards, prompts).values():
        mine = rewards[members]
        best, worst = members[int(mine.argmax())], members[int(mine.argmin())]
        if rewards[best] > rewards[worst]:
            found.append((best, worst))
    return found


def stream_advantages(
    terms: Mapping[str, Tensor],
    streams: Mapping[str, frozenset[str]],
    weights: Mapping[str, float],
    prompts: Sequence[Hashable],
    *,
    deviation: str = "prompt",
) -> dict[str, Tensor]:
    """Return the advantages of each stream: of a term they go only to the streams that it may move.

    About half of the samples of a joint generator have video and audio rewards of opposite sign; one summed advantage
    would reward a stream for what the other did.

    Args:
        terms: name → rewards, (samples,).
        streams: name → the streams that it may move, such as ``{"audio"}``.
        weights: name → weight.
        prompts: of each sample.
        deviation: as in `group_advantages`; every term is divided by its own, before it is weighted.

    Returns:
        Stream → advantages, (samples,). Streams that no term may move are absent.

    Raises:
        ArgumentError: as `group_advantages`, with the name of the term; or if a term has no streams or no weight.

    Example:
        >>> terms = {"fit": torch.tensor([0.0, 1.0]), "loud": torch.tensor([1.0, 0.0])}
        >>> streams = {"fit": frozenset({"audio", "video"}), "loud": frozenset({"audio"})}
        >>> stream_advantages(terms, streams, {"fit": 1.0, "loud": 1.0}, ["a", "a"])
        {'audio': tensor([0., 0.]), 'video': tensor([-0.9998,  0.9998])}
    """
    found: dict[str, Tensor] = {}
    for name, values in terms.items():
        if name not in streams or name not in weights:
            raise ArgumentError(name, "streams and a weight for each term", Described("none"))
        try:
            own = weights[name] * group_advantages(values, prompts, deviation=deviation)
        except ArgumentError as error:
            raise ArgumentError(name, error.expected, Described(error.got), error.remedy) from error
        for stream in sorted(streams[name]):
            found[stream] = found[stream] + own if stream in found else own
    return dict(sorted(found.items()))


def _rows(rewards: Tensor, prompts: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    if rewards.ndim != 1 or len(rewards) != len(prompts):
        given = Described(f"shape {tuple(rewards.shape)}")
        raise ArgumentError("rewards", f"one for each of {len(prompts)} prompts", given)
    if not bool(rewards.isfinite().all()):
        at = int((~rewards.isfinite()).nonzero()[0])
        raise ArgumentError("rewards", "finite numbers", float(rewards[at]), f"leave out sample {at}")
    rows: dict[Hashable, list[int]] = {}
    for number, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(number)
    return rows
