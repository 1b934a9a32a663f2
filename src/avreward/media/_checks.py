"""Checks of the arguments that a clip is made from; each error names the argument and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described, MediaError

PICTURE_RANGE = (-0.5, 1.5)  # decoders overshoot [0, 1] a little, and clamping would kill gradients
_EIGHT_BIT = 4.0  # above this a video is probably on a scale of 0 to 255
SOUND_RANGE = 8.0  # full scale is 1; mixes clip, but values 18 dB above it are probably on a scale of integers
_MOST_CHANNELS = 64


def check_video(video: Tensor) -> None:
    """Check that `video` is float (frames, 3, height, width), about in [0, 1] and finite.

    Raises:
        ArgumentError: if it is not a tensor.
        MediaError: if the tensor cannot be used as a video.
    """
    if not isinstance(video, Tensor):
        raise ArgumentError("video", "a tensor", Described(f"a {type(video).__name__}"), "use torch.as_tensor")
    shape = tuple(video.shape)
    if video.ndim == 5:
        raise MediaError("video", f"shape {shape} has a batch dimension", "make one clip of each video in the batch")
    if video.ndim != 4 or shape[1] != 3:
        hint = "give (frames, 3, height, width)"
        if video.ndim == 4 and shape[-1] == 3:
            hint = "the channels are last: use video.permute(0, 3, 1, 2)"
        elif video.ndim == 4 and shape[0] == 3:
            hint = "the channels are first: use video.transpose(0, 1)"
        raise MediaError("video", f"shape {shape} is not (frames, 3, height, width)", hint)
    if 0 in shape:
        raise MediaError("video", f"shape {shape} is empty", "give at least one frame, or leave the argument out")
    if not video.is_floating_point():
        remedy = (
            "convert it to float and divide by 255" if video.dtype == torch.uint8 else "convert it to float in [0, 1]"
        )
        raise MediaError("video", f"dtype {video.dtype} is not floating", remedy)
    low, high = _extent(video)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # NaN compares false, too
        raise MediaError("video", "it contains NaN or infinity", "look for the step that made them")
    if high > _EIGHT_BIT:
        raise MediaError("video", f"values up to {high:.4g} look like a scale of 0 to 255", "divide by 255")
    if low < PICTURE_RANGE[0] or high > PICTURE_RANGE[1]:
        remedy = "map -1..1 to 0..1 with (video + 1) / 2" if low < PICTURE_RANGE[0] else "scale it to [0, 1]"
        raise MediaError("video", f"values from {low:.4g} to {high:.4g} are far outside [0, 1]", remedy)


def check_alone(track: Tensor | None, owner: str, **given: object) -> None:
    """Raise `ArgumentError` if an argument that describes a track is `given` without the `track` called `owner`."""
    for name, value in given.items():
        if track is None and value is not None:
            raise ArgumentError(name, f"nothing without {owner}", value, f"pass {owner} too, or leave {name} out")


def check_audio(audio: Tensor, sample_rate: float | None) -> tuple[Tensor, int]:
    """Return `audio` as (channels, samples) and its rate.

    Raises:
        ArgumentError: if it is not a tensor, or `sample_rate` is not a positive integer.
        MediaError: unless the tensor is float, about in [-1, 1] and finite.
    """
    if not isinstance(audio, Tensor):
        raise ArgumentError("audio", "a tensor", Described(f"a {type(audio).__name__}"), "use torch.as_tensor")
    if sample_rate is None or not (sample_rate > 0 and sample_rate == int(sample_rate)):
        raise ArgumentError("sample_rate", "a positive integer, the sample rate of audio in Hz", sample_rate)
    shape = tuple(audio.shape)
    if audio.ndim == 3:
        raise MediaError("audio", f"shape {shape} has a batch dimension", "make one clip of each item in the batch")
    if audio.ndim not in (1, 2):
        raise MediaError("audio", f"shape {shape} is not (channels, samples)", "give (channels, samples) or (samples,)")
    if 0 in shape:
        raise MediaError("audio", f"shape {shape} is empty", "give at least one sample, or leave the argument out")
    if audio.ndim == 2 and shape[0] > _MOST_CHANNELS:
        remedy = (
            "the samples seem to come first: use audio.T" if shape[1] <= _MOST_CHANNELS else "give (channels, samples)"
        )
        raise MediaError("audio", f"shape {shape} would be {shape[0]} channels", remedy)
    if not audio.is_floating_point():
        scale = {torch.int16: "32768", torch.int32: "2**31"}.get(audio.dtype, "the largest value of its scale")
        raise MediaError("audio", f"dtype {audio.dtype} is not floating", f"convert it to float and divide by {scale}")
    low, high = _extent(audio)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise MediaError("audio", "it contains NaN or infinity", "look for the step that made them")
    peak = max(-low, high)
    if peak > SOUND_RANGE:
        remedy = "divide by 32768" if peak > 256 else "scale it to [-1, 1]"
        raise MediaError("audio", f"values up to {peak:.4g} are far outside [-1, 1]", remedy)
    return audio[None] if audio.ndim == 1 else audio, int(sample_rate)


def check_samples(path: Path, samples: Tensor, start: float, rate: int) -> None:
    """Raise `MediaError` unless samples of a file, (channels, n) from `start` s on, are finite and about in [-1, 1]."""
    low, high = _extent(samples)
    if max(-low, high) <= SOUND_RANGE:  # NaN compares false
        return
    bad = ~(samples.abs() <= SOUND_RANGE).all(dim=0)
    first = int(bad.nonzero()[0])
    moment, peak = start + first / rate, float(samples[:, first].abs().max())
    if not peak < float("inf"):
        problem = f"its audio contains NaN or infinity at {moment:.3f} s"
        raise MediaError(path, problem, "look for the step that made them")
    remedy = "divide it by 32768" if peak > 256 else "scale it to [-1, 1]"
    raise MediaError(path, f"its audio has values up to {peak:.4g}, far outside [-1, 1], at {moment:.3f} s", remedy)


def check_times(video: Tensor, fps: float | None, times: Tensor | None) -> Tensor:
    """Return the display times of the frames of `video`, float64 (n,) in s, from one of `fps` and `times`."""
    if (fps is None) == (times is None):
        got = Described("both" if fps is not None else "neither")
        raise ArgumentError("fps, times", "one of the two with video", got)
    if fps is not None:
        if not 0 < fps < float("inf"):
            raise ArgumentError("fps", "the frames per second of video, a positive number", fps)
        return torch.arange(len(video), dtype=torch.float64) / fps
    times = torch.as_tensor(times).detach().to("cpu", torch.float64)
    if times.shape != video.shape[:1]:
        got = Described(f"shape {tuple(times.shape)} for {len(video)} frames")
        raise ArgumentError("times", "one display time in seconds per frame", got)
    if not bool(torch.isfinite(times).all()) or bool((times.diff() <= 0).any()) or float(times[0]) < 0:
        raise ArgumentError("times", "display times in seconds that ascend from 0 or later", times.tolist())
    return times


def check_texts(prompt: str | None, texts: Mapping[str, str] | None) -> tuple[str | None, dict[str, str]]:
    """Return prompt and texts, copied; raise `ArgumentError` unless they are texts."""
    if prompt is not None and not isinstance(prompt, str):
        raise ArgumentError("prompt", "a str", prompt)
    if texts is not None and not isinstance(texts, Mapping):
        raise ArgumentError("texts", "a mapping of str to str", texts)
    for name, text in (texts or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise ArgumentError("texts", "a mapping of str to str", {name: text})
    return prompt, dict(texts or {})


def check_audio_format(rate: int | None, channels: int | None) -> None:
    """Raise `ArgumentError` unless `rate` and `channels` are positive integers, or None."""
    for name, value in (("rate", rate), ("channels", channels)):
        if value is not None and not (value > 0 and value == int(value)):
            raise ArgumentError(name, "a positive integer", value, "leave it out to keep that of the clip")


def check_path(path: str | PathLike[str]) -> Path:
    """Return the path of a file; raise `MediaError` if it is empty or an address, `ArgumentError` for another type."""
    if not isinstance(path, str | PathLike):
        raise ArgumentError("path", "the path of a file", path)
    text = fspath(path)
    if not text:
        raise MediaError("path", "it is empty", "pass the path of a file")
    if "://" in text and not Path(text).exists():
        raise MediaError(text, "addresses are not opened, only files", "download it and pass the path")
    return Path(text)


def _extent(tensor: Tensor) -> tuple[float, float]:
    """Return (smallest, largest) value, NaN if there is one: a single transfer from a GPU."""
    low, high = torch.stack(torch.aminmax(tensor.detach())).tolist()
    return low, high
