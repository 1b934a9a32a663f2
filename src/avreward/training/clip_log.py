"""What a training run logs of rewards and clips: numbers under fixed names, and sample clips with sound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.media.sampling import FramePlan, Spread
from avreward.rewards.results import Rewards

STRIP = 4  # frames of the picture that stands for a video in TensorBoard
KNOWN = ("tensorboard", "wandb", "trackio")


def reward_metrics(rewards: Rewards, name: str = "avreward") -> dict[str, float]:
    """Return the numbers that a training curve shows of a batch, under the names that the TRL reward functions use.

    Args:
        rewards: what ``reward.evaluate(clips)`` returned.
        name: the first part of each key.

    Returns:
        ``NAME/reward``, ``NAME/TERM`` for each term, ``NAME/sigma``: means over the clips that have a value; without
        one the key is left out. ``NAME/missing``: the share of clips without a reward.

    Example:
        >>> found = reward_metrics(rater["audio_quality"].evaluate(clips))
        >>> sorted(found)
        ['avreward/missing', 'avreward/reward', 'avreward/signals.audio_quality']
    """
    found = {"missing": sum(why is not None for why in rewards.reasons) / max(1, len(rewards))}
    columns = {"reward": rewards.values, **rewards.terms}
    columns |= {"sigma": rewards.sigma} if rewards.sigma is not None else {}
    for key, values in columns.items():
        mean = float(values.detach().float().nanmean()) if len(values) else math.nan
        if math.isfinite(mean):
            found[key] = mean
    return {f"{name}/{key}": value for key, value in found.items()}


def log_clips(
    where: Any,
    clips: Sequence[Clip],
    step: int,
    folder: str | PathLike[str],
    *,
    captions: Sequence[str] = (),
    name: str = "samples",
) -> list[Path]:
    """Write sample clips with their sound to files, and show them in the trackers of a training run.

    TensorBoard gets a strip of frames, the sound and the caption, since its videos are silent; Weights & Biases and
    trackio get the file itself, with sound. Other trackers get nothing. No gradient is taken.

    Args:
        where: an `accelerate.Accelerator`, or the trackers themselves: a `SummaryWriter`, a run of W&B, the module
            ``trackio``; several in a list.
        clips: the samples.
        step: the training step.
        folder: where ``step-000050/0.mp4`` (``.wav`` without video) are written.
        captions: a text for each clip (default: its prompt).
        name: under which trackers show them: ``NAME/0``, ``NAME/1``, …

    Returns:
        The files, in the order of the clips.

    Raises:
        ArgumentError: if the captions are not one for each clip, or a tracker is of an unknown kind.
        MediaError: if a clip cannot be written.

    Example:
        >>> writer = SummaryWriter("runs")  # doctest: +SKIP
        >>> log_clips(writer, clips[:2], step=50, folder="samples")  # doctest: +SKIP
        [PosixPath('samples/step-000050/0.mp4'), PosixPath('samples/step-000050/1.mp4')]
    """
    if captions and len(captions) != len(clips):
        raise ArgumentError("captions", f"one for each of {len(clips)} clips", Described(f"{len(captions)}"))
    told = list(captions) or [clip.prompt or "" for clip in clips]
    place = Path(folder) / f"step-{step:06d}"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise AvrewardError(f"{place}: cannot be made ({why}); pass another folder") from error
    written = []
    for number, clip in enumerate(clips):
        path = place / f"{number}{'.mp4' if clip.has_video else '.wav'}"
        clip.detached().save(path)
        written.append(path)
    for kind, tracker in _trackers(where):
        kept = [clip.detached() for clip in clips]
        if kind == "tensorboard":
            _in_tensorboard(tracker, kept, written, told, name, step)
        else:
            _as_files(tracker, kind, kept, written, told, name, step)
    return written


def _trackers(where: Any) -> Iterable[tuple[str, Any]]:
    """Yield kind → tracker of an accelerator, of one tracker or of a list of them."""
    several = getattr(where, "trackers", where)
    for one in several if isinstance(several, list | tuple) else [several]:
        if getattr(one, "name", None) in KNOWN and hasattr(one, "tracker"):  # a tracker of accelerate
            yield one.name, _module_of(one.name, one.tracker)
        elif getattr(where, "trackers", None) is None:
            yield _kind_of(one), one


def _module_of(name: str, tracker: Any) -> Any:
    return import_module("trackio") if name == "trackio" else tracker


def _kind_of(tracker: Any) -> str:
    if hasattr(tracker, "add_audio") and hasattr(tracker, "add_image"):
        return "tensorboard"
    origin = (getattr(tracker, "__name__", "") or type(tracker).__module__).partition(".")[0]
    if origin in ("wandb", "trackio") and hasattr(tracker, "log"):
        return origin
    raise ArgumentError("where", "an Accelerator, a SummaryWriter, a run of W&B, or the module trackio", tracker)


def _in_tensorboard(
    writer: Any, clips: Sequence[Clip], files: Sequence[Path], captions: Sequence[str], name: str, step: int
) -> None:
    for number, (clip, path, caption) in enumerate(zip(clips, files, captions, strict=True)):
        tag = f"{name}/{number}"
        if clip.has_video:
            writer.add_image(tag, _strip(clip), step)
        if clip.has_audio:
            writer.add_audio(tag, clip.sound(channels=1).float().cpu(), step, clip.sample_rate)
        writer.add_text(tag, f"{caption} ({path})".strip(), step)
    writer.flush()


def _strip(clip: Clip) -> Tensor:
    """Return frames spread over the clip side by side: float (3, height, frames · width) in [0, 1]."""
    frames = clip.frames(FramePlan(Spread(min(STRIP, len(clip.times)))))
    return torch.cat(list(frames.float().clamp(0, 1).cpu()), dim=-1)


def _as_files(
    run: Any, kind: str, clips: Sequence[Clip], files: Sequence[Path], captions: Sequence[str], name: str, step: int
) -> None:
    library = import_module(kind)
    shown = {}
    for number, (clip, path, caption) in enumerate(zip(clips, files, captions, strict=True)):
        media = library.Video if clip.has_video else library.Audio
        shown[f"{name}/{number}"] = media(str(path), caption=caption)
    # No `step=`: both count their own, which the trainers' callbacks advance; this is the axis that they use.
    run.log({**shown, "train/global_step": step})
