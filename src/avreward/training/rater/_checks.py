"""Checks before training, and the last whole checkpoint after a kill."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from avreward._display import counted
from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater
from avreward.raters.checkpoints.network_rater import NetworkRater
from avreward.raters.wrappers.base import WrapperRater
from avreward.training.rater._judged_rows import JudgedRow

if TYPE_CHECKING:
    from avreward.training.rater.arguments import RaterTrainingArguments


def last_checkpoint(folder: str | Path) -> Path | None:
    """Return the newest whole checkpoint in the output folder of a stage; `None` if there is none.

    A checkpoint is whole once its ``trainer_state.json`` is written, which comes last.
    """
    found = [one for one in Path(folder).glob("checkpoint-*") if (one / "trainer_state.json").is_file()]
    return max(found, key=lambda one: int(one.name.rpartition("-")[2]), default=None)


def trainable(rater: Rater) -> NetworkRater:
    """Return the rater with weights inside `rater`; raise `ArgumentError` where there is none to train."""
    while isinstance(rater, WrapperRater) and len(rater.raters) == 1:
        rater = rater.rater
    if not isinstance(rater, NetworkRater) or not rater.differentiable:
        got = Described(f"{rater.name} ({type(rater).__name__})")
        raise ArgumentError("rater", "a differentiable rater with weights", got, "load one from a checkpoint")
    return rater


def check_enough(examples: Sequence[JudgedRow], args: RaterTrainingArguments) -> None:
    """Raise `ArgumentError` for fewer examples than a batch."""
    least = args.per_device_train_batch_size * args.world_size if args.dataloader_drop_last else 1
    if len(examples) < least:
        got = Described(counted(len(examples), "row"))
        raise ArgumentError("train", f"at least one batch of {least}", got, "lower per_device_train_batch_size")


def warn_of_leaks(train: Sequence[JudgedRow], held_out: Sequence[JudgedRow]) -> None:
    """Warn where training and evaluation share groups."""
    shared = {example.group for example in train if example.group} & {example.group for example in held_out}
    if shared:
        also = f"{counted(len(shared), 'group')} in training and evaluation ({sorted(shared)[0]})"
        warnings.warn(f"{also}: held-out results are too good; split by prompt or video", UserWarning, stacklevel=3)


def ranges(*examples: Sequence[JudgedRow]) -> list[tuple[float, float]]:
    """Return the lowest and highest rating of each dimension."""
    table = torch.cat([example.ratings for each in examples for example in each])
    return [
        (float(column[~column.isnan()].min()), float(column[~column.isnan()].max()))
        if bool((~column.isnan()).any())
        else (0.0, 1.0)
        for column in table.T
    ]
