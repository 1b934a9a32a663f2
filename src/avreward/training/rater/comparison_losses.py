"""Losses on comparisons: pairs of clips with a winner or a tie, and lists of clips with an order."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.preferences.models import log_bradley_terry, log_davidson, log_rao_kupper

Ties = Literal["half", "rao_kupper", "davidson"]
TIES: tuple[Ties, ...] = ("half", "rao_kupper", "davidson")


def bradley_terry_loss(
    difference: Tensor,
    outcome: Tensor,
    *,
    margin: Tensor | None = None,
    ties: Ties = "half",
    log_tie: Tensor | float = 0.0,
) -> Tensor:
    """Return the mean negative log-likelihood of outcomes under a Bradley–Terry model, with or without ties.

    With d = (first's score − second's)/temperature, the loss of a decided pair is −log σ(d) or −log σ(−d) with
    ``ties="half"`` (Bradley and Terry, Biometrika 39, 1952), where a tie counts as half a win and half a loss. With
    ``"rao_kupper"`` or ``"davidson"`` a tie is an outcome of its own (`avreward.preferences.RaoKupper`, `Davidson`).
    A margin m asks for a difference that large before a pair is as good as an even one: d becomes d − m for a win,
    d + m for a loss (Touvron et al., arXiv:2307.09288, equation 2).

    Args:
        difference: d, (pairs,).
        outcome: 1 where the first wins, −1 where the second does, 0 for a tie; (pairs,).
        margin: how clearly it won, in units of d; (pairs,), at least 0 (*optional*, 0).
        ties: how ties are modelled.
        log_tie: log θ (at least 0) of Rao–Kupper, or log ν of Davidson; may be learned.

    Returns:
        A scalar.

    Raises:
        ArgumentError: if shapes differ, or a value is out of its range.

    Example:
        >>> won = torch.tensor([1, -1])
        >>> round(float(bradley_terry_loss(torch.tensor([0.0, 0.0]), won)), 4)
        0.6931
        >>> float(bradley_terry_loss(torch.tensor([50.0, -50.0]), won)) < 1e-6
        True
    """
    _check_pairs(difference, outcome)
    if ties not in TIES:
        raise unknown_name("ties", ties, TIES)
    sign = outcome.to(difference)
    if margin is not None:
        if margin.shape != difference.shape or bool((margin < 0).any()):
            expected = f"margins of 0 or more, shape {tuple(difference.shape)}"
            raise ArgumentError("margin", expected, margin, "pass how clearly the better clip won")
        difference = difference - sign * margin.to(difference)
    tie = torch.as_tensor(log_tie, dtype=difference.dtype, device=difference.device)
    if ties == "half":
        win, _, loss = log_bradley_terry(difference).unbind(-1)
        return -((1 + sign) / 2 * win + (1 - sign) / 2 * loss).mean()
    log_p = log_rao_kupper(difference, tie) if ties == "rao_kupper" else log_davidson(difference, tie)
    return -log_p.gather(-1, (1 - outcome.long())[:, None]).mean()


def fidelity_loss(difference: Tensor, probability: Tensor, eps: float = 1e-12) -> Tensor:
    """Return the mean fidelity loss of predicted probabilities Φ(d/√2) that the first clip is better.

    With p̂ = Φ(d/√2) (Thurstone's case V) and the given p, the loss of a pair is 1 − √(p·p̂) − √((1−p)(1−p̂)) (Tsai et
    al., "FRank", SIGIR 2007; Zhang et al., "UNIQUE", IEEE TIP 30, 2021, equation 5). It is bounded by 1, so that
    single wrong labels count little.

    Args:
        difference: first's score − second's, (pairs,).
        probability: that the first is better, such as 1, 0.5 (a tie) or 0; (pairs,).
        eps: least value under the roots, whose slope at 0 is infinite.

    Returns:
        A scalar from 0 to 1.

    Raises:
        ArgumentError: if the shapes differ, or a probability lies outside [0, 1].

    Example:
        >>> round(float(fidelity_loss(torch.tensor([0.0]), torch.tensor([1.0]))), 4)  # 1 − √½
        0.2929
    """
    _same_shape(difference, probability, "probability")
    if bool(((probability < 0) | (probability > 1)).any()):
        raise ArgumentError("probability", "values from 0 to 1", probability)
    p = probability.to(difference)
    # Φ of −d instead of 1 − Φ, which would be 0 for large d
    predicted, other = torch.special.ndtr(difference / 2**0.5), torch.special.ndtr(-difference / 2**0.5)
    overlap = (p * predicted).clamp_min(eps).sqrt() + ((1 - p) * other).clamp_min(eps).sqrt()
    return (1 - overlap).mean()


def listwise_loss(scores: Tensor, target: Tensor, group: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean cross-entropy between the softmax of targets and that of scores within each group (ListNet).

    Cao et al., "Learning to rank: from pairwise approach to listwise approach", ICML 2007, equation 4 with top-one
    probabilities. Equal targets are no problem. Groups with one clip, or with equal targets only, have no order and
    are left out; without any other the loss is 0.

    Args:
        scores: (clips,).
        target: ratings (clips,).
        group: an integer a clip: which clips belong together; (clips,).
        temperature: divides the targets: lower ones make the best clip of a group count more.

    Returns:
        A scalar.

    Raises:
        ArgumentError: if shapes differ or the temperature is not positive.

    Example:
        >>> scores, group = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 0, 1])
        >>> round(float(listwise_loss(scores, torch.tensor([1.0, 2.0, 9.0]), group)), 4)  # log 2: one group of two
        0.6931
    """
    _same_shape(scores, target, "target")
    _same_shape(scores, group, "group")
    if not temperature > 0:
        raise ArgumentError("temperature", "a positive number", temperature)
    losses = []
    for members in lists_of(target, group):
        wanted = (target[members].to(scores) / temperature).softmax(0)
        losses.append(-(wanted * F.log_softmax(scores[members], dim=0)).sum())
    return torch.stack(losses).mean() if losses else scores.sum() * 0


def list_policy_loss(
    scores: Tensor,
    target: Tensor,
    group: Tensor,
    *,
    std: float = 0.1,
    samples: int = 16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return a policy-gradient loss whose reward is the quality of the order within each group.

    After the last stage of the sync evaluator (arXiv:2607.09091): the policy draws scores from a normal distribution
    around the predicted ones; its reward is the mean of NDCG and Kendall's τ of the drawn order (their weights were
    not published); rewards are standardized over the draws of a group. The gradient is that of
    −mean(advantage · log-probability).

    Args:
        scores: (clips,).
        target: ratings (clips,); NDCG counts them from the lowest of the group.
        group: an integer a clip; (clips,).
        std: of the policy, in units of the scores.
        samples: draws a group.
        generator: of the draws (*optional*, torch's own).

    Returns:
        A scalar; its value means nothing, its gradient does.

    Raises:
        ArgumentError: if shapes differ, or `std` or `samples` is too small.

    Example:
        >>> scores = torch.zeros(2, requires_grad=True)
        >>> better, one = torch.tensor([0.0, 1.0]), torch.tensor([0, 0])
        >>> loss = list_policy_loss(scores, better, one, samples=64, generator=torch.Generator().manual_seed(0))
        >>> loss.backward()
        >>> bool(scores.grad[1] < 0)  # descending raises the better one
        True
    """
    _same_shape(scores, target, "target")
    _same_shape(scores, group, "group")
    if not std > 0:
        raise ArgumentError("std", "a positive number", std)
    if not isinstance(samples, int) or samples < 2:
        raise ArgumentError("samples", "an integer of at least 2", samples)
    losses = []
    for members in lists_of(target, group):
        mean, truth = scores[members], target[members].to(scores)
        noise = torch.randn(samples, len(mean), generator=generator, dtype=mean.dtype, device=mean.device)
        drawn = (mean + std * noise).detach()
        reward = (_ndcg(drawn, truth) + _tau(drawn, truth)) / 2
        advantage = (reward - reward.mean()) / (reward.std(correction=0) + 1e-6)
        log_probability = -((drawn - mean) ** 2).mean(-1) / (2 * std**2)
        losses.append(-(advantage * log_probability).mean())
    return torch.stack(losses).mean() if losses else scores.sum() * 0


def lists_of(target: Tensor, group: Tensor) -> list[Tensor]:
    """Return the indices of the members of each group in which two targets differ."""
    found = [(group == number).nonzero().flatten() for number in group.unique()]
    return [members for members in found if len(members) > 1 and len(target[members].unique()) > 1]


def _ndcg(drawn: Tensor, truth: Tensor) -> Tensor:
    """Return the normalized discounted cumulative gain (samples,) of drawn scores (samples, n)."""
    gain = truth - truth.min()
    discount = torch.log2(torch.arange(2, len(truth) + 2, dtype=truth.dtype, device=truth.device))
    best = (gain.sort(descending=True).values / discount).sum()
    return (gain[drawn.argsort(dim=-1, descending=True)] / discount).sum(-1) / best


def _tau(drawn: Tensor, truth: Tensor) -> Tensor:
    """Return Kendall's τ (samples,) over the pairs of `truth` that are no ties."""
    order = (truth[:, None] - truth).sign()
    agree = (drawn[:, :, None] - drawn[:, None, :]).sign() * order
    return agree.sum((-1, -2)) / order.abs().sum()


def _check_pairs(difference: Tensor, outcome: Tensor) -> None:
    _same_shape(difference, outcome, "outcome")
    if difference.ndim != 1 or not len(difference):
        raise ArgumentError("difference", "a vector (pairs,)", Described(f"shape {tuple(difference.shape)}"))
    if bool(((outcome != 1) & (outcome != 0) & (outcome != -1)).any()):
        raise ArgumentError("outcome", "1 (first), 0 (tie) or -1 (second) for each pair", outcome.tolist())


def _same_shape(first: Tensor, second: Tensor, name: str) -> None:
    if first.shape != second.shape:
        got = Described(f"shape {tuple(second.shape)}")
        raise ArgumentError(name, f"one value for each, shape {tuple(first.shape)}", got)
