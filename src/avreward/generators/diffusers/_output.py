"""Convert the output of a diffusers pipeline to clips with video, audio or both."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described

VIDEOS = ("frames", "video", "videos", "images")
AUDIOS = ("audio", "audios", "sound")
FPS = ("frame_rate", "fps")
MOVING = ("num_frames", "video_length", "frames", "segment_frame_length")  # arguments of pipelines that make video
# Where pipelines keep the sample rate of their audio; the first one found is used. The vocoder comes before the
# autoencoder, whose rate is only that of the log-mel it was trained on.
RATES = (
    ("vocoder", "output_sampling_rate"),
    ("vocoder", "sampling_rate"),
    ("audio_vae", "sample_rate"),
    ("sound_tokenizer", "sampling_rate"),
    ("vae", "sampling_rate"),
    ("vae", "sample_rate"),
)


def clips_of(
    output: Any, pipeline: Any, rows: int, call: Mapping[str, Any], clip: Clip | None, **given: Any
) -> list[Clip]:
    """Return one clip for each row of a pipeline's output, on the CPU as float32.

    Args:
        output: of the pipeline; has one of `VIDEOS`, one of `AUDIOS`, or both.
        pipeline: may report a frame rate and a sample rate.
        rows: number of candidates in the output.
        call: the arguments of the call; its prompt becomes that of the clips.
        clip: the condition (*optional*); output without video is added to it as audio.
        given: ``fps`` and ``sample_rate``, if the user passed them.

    Raises:
        ArgumentError: if the frame rate or sample rate is not known.
        AvrewardError: if the output has neither video nor audio, or the wrong number of candidates.
    """
    parameters = inspect.signature(type(pipeline).__call__).parameters if callable(pipeline) else {}
    moving = any(name in parameters for name in MOVING)
    name, value = _first(output, VIDEOS)
    videos = _rows(value, rows, partial(_videos, images=name == "images" and not moving))
    name, value = _first(output, AUDIOS)
    audios = _rows(value, rows, partial(_audios, channels=name == "sound"))
    if videos is None and audios is None:
        expected = f"an output with one of {', '.join((*VIDEOS, *AUDIOS))}"
        raise ArgumentError(type(pipeline).__name__, expected, Described(f"a {type(output).__name__} without them"))
    prompt = call.get("prompt")
    prompt = prompt if isinstance(prompt, str) else None if clip is None else clip.prompt
    clips = []
    for i in range(rows):
        tracks: dict[str, Any] = {}
        if videos is not None:
            tracks |= {
                "video": videos[i],
                "fps": 1.0 if len(videos[i]) == 1 else frame_rate(pipeline, call, given["fps"]),
            }
        if audios is not None:
            tracks |= {"audio": audios[i], "sample_rate": sample_rate(pipeline, given["sample_rate"])}
        if videos is None and clip is not None and clip.has_video:
            # The video keeps its key, so that raters encode it once for all candidates.
            clips.append(clip.with_audio(tracks["audio"], tracks["sample_rate"]).with_prompt(prompt))
        else:
            clips.append(Clip(**tracks, prompt=prompt, texts=None if clip is None else clip.texts))
    return clips


def frame_rate(pipeline: Any, call: Mapping[str, Any], given: float | None) -> float:
    """Return the frames per second: `given`, an argument of the call, or the default of that argument.

    Raises:
        ArgumentError: if none of them is known.
    """
    defaults = inspect.signature(type(pipeline).__call__).parameters
    for name in FPS:
        default = defaults[name].default if name in defaults else None
        value = given or call.get(name) or default
        if isinstance(value, int | float):
            return float(value)
    if given:
        return float(given)
    kind = type(pipeline).__name__
    got = Described(f"none, and {kind} does not report one")
    raise ArgumentError("fps", "a frame rate", got, "pass fps=16, or the rate it was trained at")


def sample_rate(pipeline: Any, given: int | None) -> int:
    """Return the samples per second: `given`, or those of the pipeline's vocoder or autoencoder.

    Raises:
        ArgumentError: if none of them is known.
    """
    found = given or getattr(pipeline, "audio_sample_rate", None)
    for part, name in RATES:
        found = found or getattr(getattr(getattr(pipeline, part, None), "config", None), name, None)
    if not found:
        got = Described(f"none, and {type(pipeline).__name__} does not report one")
        raise ArgumentError(
            "sample_rate", "a sample rate", got, "pass sample_rate=44100, or the rate it was trained at"
        )
    return int(found)


def _first(output: Any, names: tuple[str, ...]) -> tuple[str, Any]:
    return next(((name, found) for name in names if (found := getattr(output, name, None)) is not None), ("", None))


def _rows(value: Any, rows: int, split: Any) -> list[Tensor] | None:
    if value is None:
        return None
    found: list[Tensor] = split(value, rows)
    if len(found) != rows:
        remedy = "use batch_size=1" if rows > 1 else "make the call return one"
        raise AvrewardError(f"pipeline: expected {rows} candidates, got {len(found)}; {remedy}")
    # A copy: a row of a batch would keep the whole batch in memory.
    return [row.detach().to("cpu", torch.float32, copy=True) for row in found]


def _videos(value: Any, rows: int, images: bool) -> list[Tensor]:
    """Return videos (frames, 3, height, width) in [0, 1], from tensors, arrays or PIL images, batched or not.

    Several `images` are several candidates, not the frames of one.
    """
    if isinstance(value, list | tuple):
        single = rows == 1 and len(value) > 1 and not images
        if single and not isinstance(value[0], list | tuple) and _tensor(value[0]).ndim == 3:
            value = [value]  # the frames of one video
        return [_video(item) for item in value]
    value = _tensor(value)
    if value.ndim == 4 and rows == 1 and len(value) > 1 and not images:  # one video without a batch dimension
        value = value[None]
    return [_video(item) for item in value]


def _video(value: Any) -> Tensor:
    value = torch.stack([_tensor(frame) for frame in value]) if isinstance(value, list | tuple) else _tensor(value)
    value = value[None] if value.ndim == 3 else value
    if value.shape[1] != 3 and value.shape[-1] == 3:  # NumPy and PIL have the channels last
        value = value.permute(0, 3, 1, 2)
    return value / 255 if value.dtype == torch.uint8 else value


def _audios(value: Any, rows: int, channels: bool) -> list[Tensor]:
    """Return audio (channels, samples), from (rows, samples), (rows, channels, samples) or (channels, samples).

    Two dimensions are rows and samples, since several waves are several candidates, unless they are `channels`.
    """
    if isinstance(value, list | tuple):
        return [_tensor(item) for item in value]
    value = _tensor(value)
    if value.ndim == 1 or (value.ndim == 2 and channels and rows == 1):
        value = value[None]
    return list(value)


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    import numpy

    array = numpy.array(value)
    return torch.from_numpy(array.astype("float32") if array.dtype.kind == "f" else array)
