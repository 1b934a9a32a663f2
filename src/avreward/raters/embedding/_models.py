"""Which embedding rater reads a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.errors import AvrewardError
from avreward.raters.embedding._card import MODELS

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.embedding.base import Score


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, score: Score = "cosine") -> Rater:
    """Return the embedding rater of the checkpoint in `folder`.

    `score`: ``"cosine"``, or ``"probability"`` where the model has a calibrated one. Raises `AvrewardError` for options
    of `loading` that these small models don't have.
    """
    usable = {"device", "dtype", "rounding", "revision", "allow"}
    unusable = [f.name for f in fields(loading) if f.name not in usable and getattr(loading, f.name) != f.default]
    if unusable:
        raise AvrewardError(f"{unusable[0]}: not for embedding raters, which are small; leave it out")
    return MODELS[config["model_type"]]().from_pretrained(
        folder,
        device=loading.torch_device,
        dtype=loading.torch_dtype,
        rounding=loading.rounding,
        score=score,
        allow=loading.allow,
    )
