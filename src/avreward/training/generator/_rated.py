"""The rewards of generated clips in a training step: what is missing is left out and named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import EVERY_CLIP, ArgumentError, AvrewardError, Described, describe
from avreward.generators.base import Condition
from avreward.rewards.base import Reward
from avreward.training.generator._processes import average_gradients, from_all

OTHER_LOOPS = "train with DiffusionNft, FlowGrpo, OnlineDpo or Raft, which need scores alone, or through a latent head"


class NoGradient(AvrewardError):
    """A reward without a gradient in a loop that backpropagates it; `problem` is the message without its remedy."""

    def __init__(self, problem: str, remedy: str = OTHER_LOOPS) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem


@dataclass(frozen=True)
class TuningStep:
    """What an update of a generator found.

    Attributes:
        rewards: of the clips that have one, (clips,), without a gradient; empty where none has one: then nothing was
            trained.
        every_reward: of all clips, in their order; NaN where there is none.
        loss: that was minimised; 0 where nothing was trained.
        gradient_norm: before it was clipped.
        kl: distance from the frozen network; 0 where its weight is 0.
        terms: name of a term → its mean before weighting.
        missing: reasons of the clips that had no reward, which were left out.
        clips: that were made.
        denoising_steps: that were taken, each candidate's counted.
        parts: further numbers of the loop, such as the share of clipped ratios.
    """

    rewards: Tensor
    loss: float
    gradient_norm: float
    kl: float
    terms: Mapping[str, float]
    missing: Sequence[str]
    clips: int
    denoising_steps: int
    parts: Mapping[str, float] = field(default_factory=dict)
    every_reward: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def of(cls, found: RatedBatch, **numbers: Any) -> TuningStep:
        """Return the record of an update that rated `found`."""
        terms = {name: float(values[found.present].mean()) for name, values in found.terms.items()}
        every = found.values.masked_fill(~found.present, math.nan).cpu()
        return cls(
            every[found.present.cpu()],
            terms=terms,
            missing=found.reasons,
            clips=len(every),
            every_reward=every,
            **numbers,
        )

    @classmethod
    def together(cls, steps: Sequence[TuningStep]) -> TuningStep:
        """Return the record of one update in several processes."""
        if len(steps) == 1:
            return steps[0]
        every = torch.cat([step.every_reward.cpu() for step in steps])
        weights = [len(step.rewards) for step in steps]
        shares = [w / sum(weights) for w in weights] if any(weights) else [math.nan] * len(steps)
        terms = {
            name: sum(share * step.terms[name] for share, step in zip(shares, steps, strict=True) if share)
            for name in steps[0].terms
        }
        means = {name: sum(getattr(step, name) for step in steps) / len(steps) for name in ("loss", "kl")}
        return cls(
            every[every.isfinite()],
            terms=terms,
            missing=[reason for step in steps for reason in step.missing],
            clips=len(every),
            every_reward=every,
            gradient_norm=steps[0].gradient_norm,
            denoising_steps=sum(step.denoising_steps for step in steps),
            parts={name: sum(step.parts[name] for step in steps) / len(steps) for name in steps[0].parts},
            **means,
        )


@dataclass(frozen=True)
class RatedBatch:
    """The rewards of some clips.

    Attributes:
        values: (clips,), with a gradient where they have one; NaN where missing.
        present: which are there and finite, (clips,).
        terms: name → values, (clips,).
        reasons: of those that are not.
    """

    values: Tensor
    present: Tensor
    terms: Mapping[str, Tensor]
    reasons: Sequence[str]


def rated(reward: Reward, clips: Sequence[Clip]) -> RatedBatch:
    """Return the rewards of clips; one that is missing or not finite gets a reason and no part in the update.

    So do all of them where a rater fails on each: an update may have a single clip.
    """
    try:
        found = reward.evaluate(clips)
    except Exception as error:
        notes = [note for note in getattr(error, "__notes__", ()) if note.endswith(EVERY_CLIP)]
        if not notes:
            raise
        none = torch.full((len(clips),), math.nan)
        reason = f"{notes[0].removesuffix(EVERY_CLIP)}{describe(error)}"
        return RatedBatch(none, none.isfinite(), {term.name: none for term in reward.terms}, [reason] * len(clips))
    present = found.present & found.values.detach().isfinite()
    for values in found.terms.values():
        present = present & values.detach().isfinite()
    reasons = [
        reason or "the reward is not a finite number"
        for reason, there in zip(found.reasons, present.tolist(), strict=True)
        if not there
    ]
    return RatedBatch(found.values, present, found.terms, reasons)


def joined(parts: Sequence[RatedBatch]) -> RatedBatch:
    """Return the rewards of all parts, without gradients."""
    rewarded = [part for part in parts if bool(part.present.any())]
    device = (rewarded or parts)[0].values.device  # rewards that are missing may be elsewhere
    present = torch.cat([part.present.to(device) for part in parts])
    reasons = [reason for part in parts for reason in part.reasons]
    terms = {name: torch.cat([part.terms[name].detach().to(device) for part in parts]) for name in parts[0].terms}
    return RatedBatch(torch.cat([part.values.detach().to(device) for part in parts]), present, terms, reasons)


def any_rated(found: RatedBatch) -> bool:
    """Return whether a clip of this update has a reward, in any process; without one there is nothing to train."""
    return any(from_all(bool(found.present.any())))


def check_differentiable(reward: Reward) -> None:
    """Raise `NoGradient` if a term of `reward` has no gradient, with the loops that train on it all the same."""
    stuck = sorted({term.rater.name for term in reward.terms if not getattr(term.rater, "differentiable", True)})
    if stuck:
        raise NoGradient(f"{', '.join(stuck)}: no gradient reaches the clip, so the reward cannot be backpropagated")


def check_graph(reward: Reward, found: RatedBatch) -> None:
    """Raise `NoGradient` if rewards of clips with gradients have none themselves, whatever the raters say."""
    if not found.values.requires_grad:
        raise NoGradient(f"{reward}: no gradient of it reaches the clip (a rater computed it without one)")


def check_counts(**counts: int) -> None:
    """Raise `ArgumentError` for a setting that is not a positive integer."""
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(name, "a positive integer", value)


def check_noises(conditions: Sequence[Condition], noises: Sequence[Any]) -> None:
    """Raise `ArgumentError` if there are no conditions, or not as many noises or groups of noises."""
    if not len(conditions):
        raise ArgumentError("conditions", "at least one", Described("none"))
    if len(noises) != len(conditions):
        raise ArgumentError("noises", f"one for each of {len(conditions)} conditions", Described(str(len(noises))))


def begin_update(optimizer: torch.optim.Optimizer, seed: int, update: int) -> torch.Generator:
    """Drop the gradients of an update that was interrupted, and return what this update draws from.

    It follows from the seed and the number of the update, so that a resumed run draws what an uninterrupted one does.
    """
    optimizer.zero_grad(set_to_none=True)
    return torch.Generator().manual_seed((seed * 1_000_003 + update) % 2**63)


def clipped_step(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], largest: float) -> float:
    """Take a step of the optimizer with the gradient clipped to `largest`; return its norm before.

    The gradient is the mean over all processes. One that is not finite is dropped: the parameters stay, and the norm
    tells. Without any gradient they stay, too, and the norm is 0.
    """
    average_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, largest)
    if bool(norm.isfinite()):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(norm)
