"""Clips from batched tensors, as `Rater.score` takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING

from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described

if TYPE_CHECKING:
    from avreward.raters.base import Rater

Prompts = str | Sequence[str | None]


def clips_of(
    video: Tensor | None, audio: Tensor | None, prompts: Prompts | None, fps: float | None, sample_rate: int | None
) -> list[Clip]:
    """Return one clip for each sample; the arguments are those of `Rater.score`."""
    if video is None and audio is None:
        raise ArgumentError("video", "a batch of video, of audio, or both", Described("neither"))
    if video is not None and not (isinstance(video, Tensor) and video.ndim == 5 and video.shape[2] == 3):
        one = isinstance(video, Tensor) and video.ndim == 4 and video.shape[1] == 3
        remedy = "for one video pass video[None]" if one else None
        raise ArgumentError("video", "a tensor (batch, frames, 3, height, width)", video, remedy)
    if audio is not None and not (isinstance(audio, Tensor) and audio.ndim == 3):
        remedy = "for mono pass audio[:, None]" if isinstance(audio, Tensor) and audio.ndim == 2 else None
        raise ArgumentError("audio", "a tensor (batch, channels, samples)", audio, remedy)
    _check_rate("fps", "frames per second", "video", video, fps)
    _check_rate("sample_rate", "samples per second", "audio", audio, sample_rate)
    sizes = {name: len(track) for name, track in (("video", video), ("audio", audio)) if track is not None}
    size = next(iter(sizes.values()))
    if sizes.get("audio", size) != size:
        raise ArgumentError("audio", f"as many samples as video ({size})", sizes["audio"])
    return [
        Clip(
            video=None if video is None else video[i],
            fps=fps,
            audio=None if audio is None else audio[i],
            sample_rate=sample_rate,
            prompt=prompt,
        )
        for i, prompt in enumerate(_prompts(prompts, size))
    ]


def dimension_of(rater: Rater, name: str | None) -> str:
    """Return the dimension called `name`; for `None` the only one, or ``"overall"``."""
    if name is not None:
        return rater.dimension(name).name
    names = [d.name for d in rater.dimensions if not d.detail] or [d.name for d in rater.dimensions]
    if len(names) == 1 or "overall" in names:
        return "overall" if "overall" in names else names[0]
    remedy = f"{rater.name} has no overall score; pass one of them"
    raise ArgumentError("dimension", f"one of {', '.join(names)}", None, remedy)


def _check_rate(name: str, meaning: str, track: str, given: Tensor | None, rate: float | None) -> None:
    if given is None and rate is not None:
        raise ArgumentError(name, f"nothing without {track}", rate, f"pass {track} too, or leave {name} out")
    if given is not None and (isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < rate < math.inf):
        raise ArgumentError(name, f"the {meaning} of {track}, a positive number", rate)


def _prompts(prompts: Prompts | None, size: int) -> Sequence[str | None]:
    if prompts is None or isinstance(prompts, str):
        return [prompts] * size
    if not isinstance(prompts, Sequence) or not all(isinstance(p, str | None) for p in prompts):
        raise ArgumentError("prompts", "a text, or a list of one a sample", prompts)
    if len(prompts) != size:
        raise ArgumentError("prompts", f"one a sample ({size})", Described(str(len(prompts))))
    return prompts
