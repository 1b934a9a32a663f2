"""Load the embedding rater of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.errors import ArgumentError
from avreward.raters.embedding._card import MODELS

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.embedding.base import Score


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, score: Score = "cosine") -> Rater:
    """Load the embedding rater of the checkpoint in `folder`.

    Args:
        folder: with the checkpoint.
        config: its ``config.json``.
        loading: options of loading the network.
        score: ``"cosine"``, or ``"probability"`` where the model has one.

    Raises:
        ArgumentError: for options of `loading` that these small models do not have.
    """
    usable = {"device", "dtype", "rounding", "revision", "allow"}
    unusable = [f.name for f in fields(loading) if f.name not in usable and getattr(loading, f.name) != f.default]
    if unusable:
        name = unusable[0]
        raise ArgumentError(
            name, "no value for embedding raters, which are small", getattr(loading, name), "leave it out"
        )
    return MODELS[config["model_type"]]().from_pretrained(
        folder,
        device=loading.torch_device,
        dtype=loading.torch_dtype,
        rounding=loading.rounding,
        score=score,
        allow=loading.allow,
    )
