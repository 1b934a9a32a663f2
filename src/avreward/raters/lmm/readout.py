"""From hidden states, where answers are read, to scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from avreward.errors import AvrewardError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Head = Callable[[Tensor], Tensor]
LEVEL_WORDS = ("excellent", "good", "fair", "poor", "bad")
# Equation 1 of AGAV-Rater lists the words in the other order, which read literally would turn the ranking upside down.
_LEVELS = (5.0, 4.0, 3.0, 2.0, 1.0)


class Readout(Protocol):
    """Hidden states (k, width) at the k positions of one sequence → its scores (n,), in float32 or wider."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """The scores."""


@dataclass(frozen=True, eq=False)
class FiveLevels:
    """The expected level under the softmax over five words' first tokens (Q-Align; AGAV-Rater, equation 1).

    excellent counts 5, good 4, fair 3, poor 2, bad 1; the result is rescaled from [1, 5] to [low, high].

    Args:
        head: hidden (k, width) → logits (k, vocabulary).
        ids: first tokens of the five words, best first; see `first_tokens`.
        low, high: the range of the score.

    >>> readout = FiveLevels(nn.Identity(), (0, 1, 2, 3, 4), low=0.0, high=100.0)
    >>> readout(torch.tensor([[50.0, 0.0, 0.0, 0.0, 0.0]]))
    tensor([100.])
    """

    head: Head
    ids: tuple[int, ...]
    low: float = 0.0
    high: float = 100.0

    def __call__(self, hidden: Tensor) -> Tensor:
        """(1,): read at the last of the positions."""
        level = _probabilities(self.head, hidden, self.ids) @ hidden.new_tensor(_LEVELS, dtype=_wide(hidden))
        return (self.low + (self.high - self.low) * (level - 1) / 4)[None]


@dataclass(frozen=True, eq=False)
class BinaryConfidence:
    """The probability of the first of two words at one position, softmax over the two (AVBench).

    >>> BinaryConfidence(nn.Identity(), (0, 1))(torch.tensor([[1.0, 1.0, 7.0]]))
    tensor([0.5000])
    """

    head: Head
    ids: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def __call__(self, hidden: Tensor) -> Tensor:
        """(1,): read at the last of the positions."""
        yes = _probabilities(self.head, hidden, self.ids)[:1]
        return self.low + (self.high - self.low) * yes


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear head on the hidden states: raw scores, on no scale of their own.

    One position and n rows give n scores (AGAV-Rater's checkpoint: three at the last position). n positions give n
    scores, each from its own row, or from the one row that all share (AGAV-Rater's section 4.2; VideoReward).

    >>> head = nn.Linear(2, 2, bias=False)
    >>> _ = torch.nn.init.eye_(head.weight)
    >>> Regression(head)(torch.tensor([[3.0, 9.0], [9.0, 4.0]])).detach()
    tensor([3., 4.])
    """

    head: nn.Module

    def __call__(self, hidden: Tensor) -> Tensor:
        """(n,)."""
        scores = applied(self.head, hidden)  # (positions, rows)
        positions, rows = scores.shape
        if positions == 1 or rows == 1:
            return scores.flatten()
        if positions != rows:
            raise AvrewardError(f"the head has {rows} rows for {positions} positions; give it one row, or one each")
        return scores.diagonal()


def first_tokens(tokenizer: PreTrainedTokenizerBase, stem: str, words: Sequence[str]) -> tuple[int, ...]:
    """The token that each of `words` would begin with if it came right after `stem`.

    Raises `AvrewardError` where two of them begin with the same token, so that one position can't tell them apart.
    """
    start = tokenizer(stem, add_special_tokens=False)["input_ids"] if stem else []
    ids = []
    for word in words:
        whole = tokenizer(stem + word, add_special_tokens=False)["input_ids"]
        if whole[: len(start)] != start or len(whole) == len(start):
            raise AvrewardError(f"the tokenizer joins {word!r} with the text {stem!r} before it; use another stem")
        ids.append(whole[len(start)])
    same = sorted({word.strip() for word, token in zip(words, ids, strict=True) if ids.count(token) > 1})
    if same:
        raise AvrewardError(
            f"{', '.join(same)} begin with the same token in this tokenizer, so one position can't tell them apart; "
            "use a model whose tokenizer splits them, or yes/no questions (answers='yes_no')"
        )
    return tuple(ids)


def applied(head: Head, hidden: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """`head(hidden)`, or the entries `rows` of it alone, in float32 or wider: (…, rows).

    In bfloat16 a score of 50 would come in steps of a quarter, and near candidates would tie.
    """
    if type(head) is nn.Linear:  # not what quantizes or adapts one
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
