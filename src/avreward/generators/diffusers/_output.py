"""From what a diffusers pipeline returns to clips, by the type of the output: picture, sound, or both."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError

PICTURES = ("frames", "video", "videos", "images")
SOUNDS = ("audio", "audios", "sound")
FPS = ("frame_rate", "fps")
# Where pipelines say how fast their sound is; the first that is there counts. A vocoder comes before the autoencoder,
# which knows only the rate of the log-mel that it was trained on.
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
    """One clip for each row of a pipeline's output, on the CPU as float32.

    Args:
        output: what the pipeline returned: has one of `PICTURES`, or one of `SOUNDS`, or both.
        pipeline: it may know frame rate and sample rate.
        rows: how many candidates there are in it.
        call: the arguments of the call; its prompt becomes the clips'.
        clip: the condition (*optional*): sound alone is added to it.
        given: ``fps`` and ``sample_rate``, where the user says them.

    Raises `AvrewardError` if there is neither picture nor sound, or their rates aren't known.
    """
    films = _rows(_first(output, PICTURES), rows, _films)
    sounds = _rows(_first(output, SOUNDS), rows, _sounds)
    if films is None and sounds is None:
        names = ", ".join((*PICTURES, *SOUNDS))
        raise AvrewardError(f"{type(pipeline).__name__}: it returned a {type(output).__name__} with none of {names}")
    prompt = call.get("prompt")
    prompt = prompt if isinstance(prompt, str) else None if clip is None else clip.prompt
    clips = []
    for i in range(rows):
        tracks: dict[str, Any] = {}
        if films is not None:
            tracks |= {
                "video": films[i],
                "fps": 1.0 if len(films[i]) == 1 else frame_rate(pipeline, call, given["fps"]),
            }
        if sounds is not None:
            tracks |= {"audio": sounds[i], "sample_rate": sample_rate(pipeline, given["sample_rate"])}
        if films is None and clip is not None and clip.has_video:
            # The picture keeps its key, so that raters encode it once for all of its dubs.
            clips.append(clip.with_audio(tracks["audio"], tracks["sample_rate"]).with_prompt(prompt))
        else:
            clips.append(Clip(**tracks, prompt=prompt, texts=None if clip is None else clip.texts))
    return clips


def frame_rate(pipeline: Any, call: Mapping[str, Any], given: float | None) -> float:
    """Frames per second: given, an argument of the call, or that argument's default."""
    defaults = inspect.signature(type(pipeline).__call__).parameters
    for name in FPS:
        default = defaults[name].default if name in defaults else None
        value = given or call.get(name) or default
        if isinstance(value, int | float):
            return float(value)
    if given:
        return float(given)
    kind = type(pipeline).__name__
    raise AvrewardError(f"fps: {kind} does not report a frame rate; pass fps=16, or the rate it was trained at")


def sample_rate(pipeline: Any, given: int | None) -> int:
    """Samples per second: given, or of the pipeline's vocoder or autoencoder."""
    found = given or getattr(pipeline, "audio_sample_rate", None)
    for part, name in RATES:
        found = found or getattr(getattr(getattr(pipeline, part, None), "config", None), name, None)
    if not found:
        kind = type(pipeline).__name__
        raise AvrewardError(
            f"sample_rate: {kind} does not report one; pass sample_rate=44100, or the rate it was trained at"
        )
    return int(found)


def _first(output: Any, names: tuple[str, ...]) -> Any:
    return next((found for name in names if (found := getattr(output, name, None)) is not None), None)


def _rows(value: Any, rows: int, split: Any) -> list[Tensor] | None:
    if value is None:
        return None
    found: list[Tensor] = split(value, rows)
    if len(found) != rows:
        raise AvrewardError(f"the pipeline returned {len(found)} candidates instead of {rows}; use batch_size=1")
    # A copy: a row of a batch would keep the whole batch in memory.
    return [row.detach().to("cpu", torch.float32, copy=True) for row in found]


def _films(value: Any, rows: int) -> list[Tensor]:
    """Each (frames, 3, height, width) in [0, 1], from tensors, arrays or PIL pictures, batched or not."""
    if isinstance(value, list | tuple):
        if rows == 1 and not isinstance(value[0], list | tuple) and _tensor(value[0]).ndim == 3 and len(value) > 1:
            value = [value]  # the frames of one film
        return [_film(item) for item in value]
    value = _tensor(value)
    if value.ndim == 4 and rows == 1 and len(value) > 1:  # one film without a batch dimension
        value = value[None]
    return [_film(item) for item in value]


def _film(value: Any) -> Tensor:
    value = torch.stack([_tensor(frame) for frame in value]) if isinstance(value, list | tuple) else _tensor(value)
    value = value[None] if value.ndim == 3 else value
    if value.shape[1] != 3 and value.shape[-1] == 3:  # NumPy and PIL have the channels last
        value = value.permute(0, 3, 1, 2)
    return value / 255 if value.dtype == torch.uint8 else value


def _sounds(value: Any, rows: int) -> list[Tensor]:
    """Each (channels, samples): from (rows, samples), (rows, channels, samples) or (channels, samples)."""
    if isinstance(value, list | tuple):
        return [_tensor(item) for item in value]
    value = _tensor(value)
    if value.ndim == 1 or (value.ndim == 2 and rows == 1 and len(value) != 1):
        value = value[None]
    return list(value)


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    import numpy

    array = numpy.array(value)
    return torch.from_numpy(array.astype("float32") if array.dtype.kind == "f" else array)
