"""Readouts: scores from the hidden states at the positions where answers are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError, AvrewardError, Described

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Head = Callable[[Tensor], Tensor]
LEVEL_WORDS = ("excellent", "good", "fair", "poor", "bad")
# Equation 1 of AGAV-Rater lists the words in the other order; taken literally, it would reverse the ranking.
_LEVELS = (5.0, 4.0, 3.0, 2.0, 1.0)


class Readout(Protocol):
    """Map the hidden states (k, width) at the k positions of one sequence to its scores (n,), float32 or wider."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the scores (n,)."""


@dataclass(frozen=True, eq=False)
class FiveLevels:
    """Expected level under the softmax over the first tokens of five words (Q-Align; AGAV-Rater, equation 1).

    The levels are excellent 5, good 4, fair 3, poor 2, bad 1 unless `values` are given; the result is rescaled from
    [1, 5] to [low, high].

    Args:
        head: hidden (k, width) → logits (k, vocabulary).
        ids: first tokens of the five words, best first; see `first_tokens`.
        low: lowest score.
        high: highest score.
        values: what each word counts, in the order of `ids`.
        temperature: divides the logits before the softmax.

    Example:
        >>> readout = FiveLevels(nn.Identity(), (0, 1, 2, 3, 4), low=0.0, high=100.0)
        >>> readout(torch.tensor([[50.0, 0.0, 0.0, 0.0, 0.0]]))
        tensor([100.])
    """

    head: Head
    ids: tuple[int, ...]
    low: float = 0.0
    high: float = 100.0
    values: tuple[float, ...] = _LEVELS
    temperature: float = 1.0

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the score (1,), read at the last position."""
        shares = (applied(self.head, hidden[-1], self.ids) / self.temperature).softmax(dim=-1)
        level = shares @ hidden.new_tensor(self.values, dtype=_wide(hidden))
        return (self.low + (self.high - self.low) * (level - 1) / 4)[None]


@dataclass(frozen=True, eq=False)
class BinaryConfidence:
    """Probability of the first of two words at one position, softmax over the two (AVBench).

    Args:
        head: hidden (k, width) → logits (k, vocabulary).
        ids: first tokens of the two words; see `first_tokens`.
        low: score for probability 0.
        high: score for probability 1.

    Example:
        >>> BinaryConfidence(nn.Identity(), (0, 1))(torch.tensor([[1.0, 1.0, 7.0]]))
        tensor([0.5000])
    """

    head: Head
    ids: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the score (1,), read at the last position."""
        yes = _probabilities(self.head, hidden, self.ids)[:1]
        return self.low + (self.high - self.low) * yes


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear head on the hidden states: raw scores without a fixed scale.

    One position and n rows give n scores (AGAV-Rater's checkpoint: three at the last position). n positions give n
    scores, each from its own row, or from one row that all share (AGAV-Rater's section 4.2; VideoReward).

    Args:
        head: hidden (k, width) → scores (k, rows).

    Example:
        >>> head = nn.Linear(2, 2, bias=False)
        >>> _ = torch.nn.init.eye_(head.weight)
        >>> Regression(head)(torch.tensor([[3.0, 9.0], [9.0, 4.0]])).detach()
        tensor([3., 4.])
    """

    head: nn.Module

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the scores (n,).

        Raises:
            ArgumentError: if the head's rows don't fit the number of positions.
        """
        scores = applied(self.head, hidden)  # (positions, rows)
        positions, rows = scores.shape
        if positions == 1 or rows == 1:
            return scores.flatten()
        if positions != rows:
            raise ArgumentError("head", f"1 row, or one for each of {positions} positions", Described(f"{rows} rows"))
        return scores.diagonal()


@dataclass(frozen=True, eq=False)
class AttentionPooling:
    """A linear head on a weighted mean of the hidden states: each score has a query of its own over the positions.

    The weights of a score are the softmax over the positions of (query · hidden) / √width. A query of zeros, with which
    training starts, gives the plain mean.

    Args:
        query: hidden (k, width) → one number a score (k, scores).
        head: hidden (scores, width) → scores (scores, rows); one row, or one a score.

    Example:
        >>> query, head = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.zeros_(query.weight), torch.nn.init.ones_(head.weight)
        >>> AttentionPooling(query, head)(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).detach()
        tensor([6.])
    """

    query: nn.Module
    head: nn.Module

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the scores (n,)."""
        shares = (applied(self.query, hidden) / hidden.shape[-1] ** 0.5).softmax(dim=0)  # (positions, scores)
        scores = applied(self.head, shares.T @ hidden.to(shares.dtype))
        return scores.diagonal() if scores.shape[1] > 1 else scores.flatten()


def first_tokens(tokenizer: PreTrainedTokenizerBase, stem: str, words: Sequence[str]) -> tuple[int, ...]:
    """Return the first token of each of `words` when it follows `stem`.

    Args:
        tokenizer: of the language model.
        stem: the text before the word.
        words: the possible answers.

    Raises:
        AvrewardError: if the tokenizer joins a word with the stem, or if two words begin with the same token, so that
            one position can't distinguish them.
    """
    start = tokenizer(stem, add_special_tokens=False)["input_ids"] if stem else []
    ids = []
    for word in words:
        tokens = tokenizer(stem + word, add_special_tokens=False)["input_ids"]
        if tokens[: len(start)] != start or len(tokens) == len(start):
            raise AvrewardError(f"this tokenizer joins {word!r} with the text {stem!r} before it; use another stem")
        ids.append(tokens[len(start)])
    same = sorted({word.strip() for word, token in zip(words, ids, strict=True) if ids.count(token) > 1})
    if same:
        raise AvrewardError(
            f"{', '.join(same)} begin with the same token in this tokenizer, so one position can't distinguish them; "
            "use a model whose tokenizer splits them, or yes/no questions (answers='yes_no')"
        )
    return tuple(ids)


def applied(head: Head, hidden: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """Return `head(hidden)`, or its entries `rows` alone, in float32 or wider: (…, rows).

    In bfloat16 a score near 50 would have steps of 0.25, and close candidates would tie.

    Args:
        head: hidden (…, width) → logits (…, vocabulary).
        hidden: (…, width).
        rows: the entries to compute (*optional*, all).
    """
    if type(head) is nn.Linear:  # not a quantized or adapted layer
        wanted = slice(None) if rows is None else list(rows)
        wide = _wide(hidden)
        out = hidden.to(wide) @ head.weight[wanted].to(hidden.device, wide).T
        return out if head.bias is None else out + head.bias[wanted].to(out)
    out = head(hidden).to(_wide(hidden))
    return out if rows is None else out[..., list(rows)]


def _probabilities(head: Head, hidden: Tensor, ids: tuple[int, ...]) -> Tensor:
    return applied(head, hidden[-1], ids).softmax(dim=-1)


def _wide(hidden: Tensor) -> torch.dtype:
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32
