"""Which embedding rater reads a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from avreward.errors import AvrewardError

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.checkpoints.loading import Loading

MODELS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "clap": ("clap", "ClapRater"),
    "clip": ("image_text", "ImageTextRater"),
    "siglip": ("image_text", "ImageTextRater"),
    "siglip2": ("image_text", "ImageTextRater"),
    "pe_audio_video": ("pe_av", "PeAvRater"),
})  # fmt: skip
"""`model_type` of a checkpoint → the room in `avreward.raters.embedding`, and the rater there."""


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, score: str = "cosine") -> Rater:
    """The embedding rater of the checkpoint in `folder`.

    `score`: ``"cosine"``, or ``"probability"`` where the model has a calibrated one. Raises `AvrewardError` for options
    of `loading` that these small models don't have.
    """
    usable = {"device", "dtype", "rounding", "revision", "allow"}
    unusable = [f.name for f in fields(loading) if f.name not in usable and getattr(loading, f.name) != f.default]
    if unusable:
        raise AvrewardError(f"{unusable[0]}: not for embedding raters, which are small; leave it out")
    room, name = MODELS[config["model_type"]]
    rater = getattr(import_module(f"avreward.raters.embedding.{room}"), name)
    return rater.from_pretrained(
        folder,
        device=loading.torch_device,
        dtype=loading.torch_dtype,
        rounding=loading.rounding,
        score=score,
        allow=loading.allow,
    )
