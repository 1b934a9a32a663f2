"""The first denoising step of a pipeline's call: what its network gets, and how the outputs are joined by guidance.

The call runs up to its scheduler. In place of the network a stand-in notes the arguments and returns random numbers,
so that the weights of guidance can be read from what the pipeline makes of them, whatever the guidance.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError, AvrewardError, Described

RESCALES = {"video": "guidance_rescale", "audio": "audio_guidance_rescale"}


class _Reached(Exception):
    """Ends a call of the pipeline when it has come to the end of its first step."""


@dataclass(frozen=True)
class NetworkCall:
    """A call of the network within a step.

    Attributes:
        arguments: by name.
        copies: how many rows it has for each candidate; 2 where guidance takes one call of a doubled batch.
    """

    arguments: dict[str, Any]
    copies: int


@dataclass(frozen=True)
class FirstStep:
    """What a pipeline does in a step.

    Attributes:
        calls: of the network.
        weights: stream → weight of each copy of each call's output in the guided output.
        rescale: stream → share of the deviation that is brought back to that of the output for the prompt.
        samples: stream → latents before the step, as the scheduler gets them.
    """

    calls: Sequence[NetworkCall]
    weights: Mapping[str, Sequence[float]]
    rescale: Mapping[str, float]
    samples: Mapping[str, Tensor]

    def guided(self, stream: str, outputs: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum of the outputs (rows, …)."""
        weights = self.weights[stream]
        if len(weights) == 1 and weights[0] == 1:
            return outputs[0]
        return torch.stack([weight * output for weight, output in zip(weights, outputs, strict=True)]).sum(0)

    def prompted(self) -> int:
        """Return which of the outputs is that for the prompt, where one batch holds both."""
        return self.calls[0].copies - 1


def rescaled(guided: Tensor, prompted: Tensor, share: float) -> Tensor:
    """Bring the deviation of guided outputs back to that of the prompted ones (arXiv:2305.08891, section 3.4)."""
    axes = tuple(range(1, guided.ndim))
    sizes = prompted.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
    return guided * (share * sizes + 1 - share)


def first_step(call: Any, network: nn.Module, rows: int, inputs: Mapping[str, str], axis: int) -> FirstStep:
    """Run a prepared call of a pipeline up to the end of its first step.

    Args:
        call: what `DiffusersSampler.prepare` returned; its arguments may be changed.
        network: of the pipeline.
        rows: number of candidates.
        inputs: names of the network's inputs that hold latents → streams.
        axis: of the latents' channels.

    Raises:
        AvrewardError: if the call ends before.
        ArgumentError: if guidance is not a weighted sum of the network's outputs.
    """
    draw = torch.Generator().manual_seed(0)
    forward = inspect.signature(network.forward)
    calls: list[NetworkCall] = []
    made: list[dict[str, Tensor]] = []
    joined: list[Tensor] = []
    samples: list[Tensor] = []
    streams = list(inputs.values())

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        arguments = dict(forward.bind(*args, **kwargs).arguments)
        arguments |= arguments.pop("kwargs", {})
        found = {}
        for name, stream in inputs.items():
            if name in arguments:
                found[stream] = torch.randn(_out_shape(network, arguments[name], axis), generator=draw)
                found[stream] = found[stream].to(arguments[name].device)
        calls.append(NetworkCall(arguments, len(found[streams[0]]) // rows))
        made.append(found)
        if arguments.get("return_dict", True):
            return SimpleNamespace(sample=next(iter(found.values())))
        return tuple(found.values())

    def step(*args: Any, **kwargs: Any) -> Any:
        given = stepping.bind(*args, **kwargs).arguments
        joined.append(given["model_output"])
        samples.append(given["sample"].detach().clone())
        if len(joined) == len(streams):
            raise _Reached
        return (given["sample"], given["sample"])

    scheduler = call.own.scheduler
    stepping = inspect.signature(scheduler.step)
    scheduler.step = step
    rescale = _rescales(call, streams)
    with _replaced(network, stand_in):
        try:
            call()
        except _Reached:
            pieces = [one for k, found in enumerate(made) for one in _copies(found, calls[k].copies)]
            weights = {s: _weights([p[s] for p in pieces], joined[i]) for i, s in enumerate(streams)}
            start = dict(zip(streams, samples, strict=True))
            return FirstStep(calls, weights, rescale if len(pieces) > 1 else {}, start)
    raise AvrewardError(f"{type(call.own).__name__}: its call ended without a step of its scheduler")


def _out_shape(network: nn.Module, hidden: Tensor, axis: int) -> tuple[int, ...]:
    """Return the shape of the latents in a network's input, which a condition may follow among the channels."""
    shape, config = list(hidden.shape), getattr(network, "config", None)
    if len(shape) >= 4 and config is not None:
        shape[axis] = min(shape[axis], config.out_channels)
    return tuple(shape)


def _copies(found: Mapping[str, Tensor], copies: int) -> list[dict[str, Tensor]]:
    parts = {stream: value.chunk(copies) for stream, value in found.items()}
    return [{stream: part[k] for stream, part in parts.items()} for k in range(copies)]


def _weights(pieces: Sequence[Tensor], whole: Tensor) -> list[float]:
    columns = torch.stack([piece.double().cpu().flatten() for piece in pieces], 1)
    target = whole.detach().double().cpu().flatten()
    found = torch.linalg.lstsq(columns, target[:, None]).solution[:, 0]
    if float((columns @ found - target).abs().max()) > 1e-3 * float(target.abs().max()):
        got = Described("one that is not")
        remedy = "turn it off in the pipeline's call (guidance_scale=1.0) or set a ClassifierFreeGuidance guider"
        raise ArgumentError("guidance", "a weighted sum of the network's outputs", got, remedy)
    return [round(weight, 5) for weight in found.tolist()]


def _rescales(call: Any, streams: Sequence[str]) -> dict[str, float]:
    """Return the rescaling that a call asks for, and turn it off, since it is not a weighted sum."""
    defaults = inspect.signature(type(call.own).__call__).parameters
    found: dict[str, float] = {}
    for stream in ("video", "audio"):
        name = RESCALES[stream]
        if stream in streams and name in defaults:
            share = call.arguments.get(name, defaults[name].default)
            share = found.get("video", 0.0) if share is None or (stream == "audio" and not share) else float(share)
            found[stream] = share
            call.arguments[name] = 0.0
    return {stream: share for stream, share in found.items() if share}


@contextmanager
def _replaced(network: nn.Module, forward: Any) -> Iterator[None]:
    own = vars(network).get("forward")  # such as accelerate's hook
    network.forward = forward
    try:
        yield
    finally:
        if own is None:
            del network.forward
        else:
            network.forward = own
