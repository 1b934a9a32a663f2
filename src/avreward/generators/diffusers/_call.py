"""One call of a diffusers pipeline for several candidates, each with its own noise; the prompt is encoded once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from avreward.generators.base import Noise, NoiseStream
from avreward.generators.diffusers._support import repeated
from avreward.raters.shared import Shared

PER_PROMPT = ("num_videos_per_prompt", "num_images_per_prompt", "num_waveforms_per_prompt")
TEXTS = ("prompt", "negative_prompt", "transcription")  # arguments that begin so have one text per candidate
# Tensors with these in their names have one row per candidate; a single row is repeated.
BATCHED = ("embeds", "attention_mask")
# Conditions of which pipelines take one per candidate.
SHOWN = ("image", "last_image", "video", "control_video", "ref_image", "mask_video", "conditioning_frames")


class MixedNoise(TorchFunctionMode):
    """Make ``torch.randn`` draw from a mix of noise when it is called with one of `generators`.

    A pipeline draws all of its noise with the generators passed to it, so this works for video and audio without
    knowing where in the pipeline noise is drawn.

    Args:
        generators: passed to the pipeline, one per candidate.
        noises: the mix that replaces each of them.
    """

    def __init__(self, generators: Sequence[torch.Generator], noises: Sequence[Noise]) -> None:
        super().__init__()
        pairs = zip(generators, noises, strict=True)
        self.streams: dict[int, NoiseStream] = {id(own): noise.stream() for own, noise in pairs}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        stream = self.streams.get(id(kwargs.get("generator"))) if func is torch.randn else None
        if stream is None:
            return func(*args, **kwargs)
        shape = args[0] if args and not isinstance(args[0], int) else args or kwargs["size"]
        return stream.randn(*shape, dtype=kwargs.get("dtype"))


def generators_of(noises: Sequence[Noise]) -> tuple[list[torch.Generator], AbstractContextManager[Any]]:
    """Return one CPU generator per candidate, and the context in which to call the pipeline."""
    generators = [torch.Generator().manual_seed(noise.parts[0][0]) for noise in noises]
    plain = all(noise.seed is not None for noise in noises)
    return generators, nullcontext() if plain else MixedNoise(generators, noises)


class EncodedPrompts:
    """Encode each prompt once and repeat the result of ``encode_prompt`` for all candidates."""

    def __init__(self, size: int = 4) -> None:
        self._known = Shared(size)

    def attach(self, pipeline: Any) -> None:
        """Replace the ``encode_prompt`` of `pipeline` by one that caches; do nothing if it has none."""
        encode = getattr(pipeline, "encode_prompt", None)
        if encode is None:
            return
        signature = inspect.signature(encode)

        def once(*arguments: Any, **named: Any) -> Any:
            bound = signature.bind(*arguments, **named)
            rows, single = 1, {}
            for name, value in bound.arguments.items():
                repeated = isinstance(value, list | tuple) and value and all(item == value[0] for item in value)
                if repeated and isinstance(value[0], str):
                    rows, value = max(rows, len(value)), type(value)(value[:1])
                single[name] = value
            key = tuple((name, _hashable(value)) for name, value in single.items())
            if not _nameable(single) or not _is_text(single):
                return encode(*arguments, **named)
            bound.arguments.update(single)
            found = self._known.get(key, lambda: encode(*bound.args, **bound.kwargs))
            return _repeated(found, rows)

        pipeline.__dict__["encode_prompt"] = once


def _is_text(arguments: Mapping[str, Any]) -> bool:
    """Return whether there is a prompt to encode, for one candidate only."""
    texts = [value for value in arguments.values() if isinstance(value, str | list | tuple)]
    counts = [arguments.get(name, 1) for name in PER_PROMPT]
    return bool(texts) and all(count in (None, 1) for count in counts) and all(_length(t) == 1 for t in texts)


def _length(text: Any) -> int:
    return 1 if isinstance(text, str) else len(text)


def _nameable(arguments: Mapping[str, Any]) -> bool:
    plain = str | int | float | bool | torch.dtype | torch.device | None
    flat = [v for value in arguments.values() for v in (value if isinstance(value, list | tuple) else [value])]
    return all(isinstance(value, plain) for value in flat)


def _hashable(value: Any) -> Hashable:
    """Return the same key for a prompt and for a list of that one prompt."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) if isinstance(value, str) else value


def _repeated(value: Any, rows: int) -> Any:
    """Repeat the encoding of one prompt `rows` times: tensors of one row, or of two (negative and positive)."""
    if isinstance(value, Tensor):
        # (negative, positive) becomes all negative rows, then all positive ones, as in the pipeline itself.
        return value.repeat_interleave(rows, 0) if value.ndim and len(value) in (1, 2) else value.clone()
    if isinstance(value, list) and len(value) == 1 and rows > 1 and isinstance(value[0], Tensor):
        return [value[0].clone() for _ in range(rows)]
    if isinstance(value, list | tuple):
        return type(value)(_repeated(item, rows) for item in value)
    return value


def prepared(pipeline: Any) -> Any:
    """Return a copy of the pipeline with the same networks but its own scheduler, so the original is not changed."""
    own = copy.copy(pipeline)
    for name, part in vars(pipeline).items():
        if callable(getattr(part, "step", None)) and callable(getattr(part, "set_timesteps", None)):
            own.__dict__[name] = copy.deepcopy(part)  # not setattr: the pipeline's setter would rewrite its config
    own.__dict__["_progress_bar_config"] = {"disable": True}
    return own


def arguments_of(pipeline: Any, call: Mapping[str, Any], rows: int, steps: int | None) -> dict[str, Any]:
    """Return the arguments of a call for `rows` candidates of one condition, which is repeated."""
    accepted = inspect.signature(type(pipeline).__call__).parameters
    found = dict(call)
    if rows > 1:
        shown = repeated(pipeline)
        found = {name: _repeat(name, value, rows, shown) for name, value in call.items()}
        if "batch_size" in accepted:  # Dance Diffusion, which reads no prompt
            found["batch_size"] = rows
    if "output_type" in accepted:
        found.setdefault("output_type", "pt")
    if steps is not None:
        found["num_inference_steps"] = steps
    return found


def _repeat(name: str, value: Any, rows: int, shown: bool) -> Any:
    if name.startswith(TEXTS) and isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and name.startswith(TEXTS):
        return [value] * rows
    if isinstance(value, Tensor) and name.endswith("cu_seqlens"):  # where each prompt of Kandinsky 5 ends
        return torch.cat([value[:1], value.diff().repeat(rows).cumsum(0).to(value.dtype)])
    if isinstance(value, Tensor) and any(part in name for part in BATCHED) and len(value) == 1:
        return value.repeat_interleave(rows, 0)
    if name in SHOWN and shown:
        return value.repeat_interleave(rows, 0) if isinstance(value, Tensor) and len(value) == 1 else [value] * rows
    return value
