"""A diffusers pipeline as a `FlowGenerator`: its own code up to the first step, and its transformer after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.generators.base import Condition, Noise
from avreward.generators.diffusers.sampler import DiffusersSampler
from avreward.generators.flow_generator import Latents

INPUTS = {"hidden_states": "video", "audio_hidden_states": "audio"}
# Euler steps give what the call of these gives. Others take part of their latents from elsewhere.
PIPELINES = (
    "WanPipeline",
    "WanImageToVideoPipeline",
    "LucyEditPipeline",
    "ChronoEditPipeline",
    "LTXPipeline",
    "LTX2Pipeline",
    "HunyuanVideoPipeline",
    "HunyuanSkyreelsImageToVideoPipeline",
    "MotifVideoPipeline",
)
TIMES = ("timestep", "sigma")
STEPS = 2  # of the call that is stopped before its first step, where nothing else says how many


class _FirstStep(Exception):
    """Ends a call of the pipeline when it has come to its transformer."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given


@dataclass
class PipelineCondition:
    """A condition, and what the pipeline gives its transformer for it, which is found out when it is needed.

    Attributes:
        condition: with the arguments of the pipeline's call.
        given: number of rows → the transformer's arguments.
    """

    condition: Condition
    given: dict[int, dict[str, Any]] = field(default_factory=dict)


class DiffusersFlow:
    """Trains the transformer of a diffusers pipeline that samples by flow matching.

    The pipeline's own code encodes the prompt, draws the noise and plans the steps: its call is stopped when it calls
    its transformer, whose arguments are kept. The steps after that call the transformer with these arguments, so
    that Euler steps give the latents of the pipeline's own call. Latents stay in the layout of the denoising loop.

    Guidance takes a second call of the transformer, which is not made: pass what turns it off to the pipeline's call
    (``guidance_scale=1.0``), as published recipes do for training.

    Args:
        pipeline: one of `PIPELINES`, with `FlowMatchEulerDiscreteScheduler`.
        fps (`float`, *optional*): frames per second of the video, where the pipeline's call has no such argument.
        checkpointing: recompute the decoder's activations in the backward pass instead of keeping them.

    Raises:
        ArgumentError: for another pipeline, another scheduler, or two transformers.

    Example:
        >>> from tiny_ltx2 import PLAIN, prompt_embeds, tiny_ltx2  # in recipes/
        >>> call = {**prompt_embeds(["rain"]), "num_frames": 9, "height": 32, "width": 32, **PLAIN}
        >>> generator = DiffusersFlow(tiny_ltx2())
        >>> encoded = generator.encode(Condition(arguments=call))
        >>> {name: x.shape for name, x in generator.start(encoded, [Noise.of(0)]).items()}
        {'video': torch.Size([1, 192, 4]), 'audio': torch.Size([1, 9, 8])}
    """

    def __init__(self, pipeline: Any, *, fps: float | None = None, checkpointing: bool = True) -> None:
        _check(pipeline)
        self.pipeline, self.checkpointing = pipeline, checkpointing
        self.network: nn.Module = pipeline.transformer
        self.streams = ("video", "audio") if getattr(pipeline, "audio_vae", None) is not None else ("video",)
        self._sampler = DiffusersSampler(pipeline, fps=fps)

    def encode(self, condition: Condition) -> PipelineCondition:
        """Return the condition; the pipeline is called when the number of rows is known."""
        return PipelineCondition(condition)

    def start(self, encoded: PipelineCondition, noises: Sequence[Noise]) -> Latents:
        """Return the pipeline's own initial latents for these noises."""
        given, _ = self._until_first_step(encoded.condition, noises, STEPS)
        encoded.given[len(noises)] = given
        return {stream: self._own(given[name]).float() for name, stream in INPUTS.items() if name in given}

    def sigmas(self, steps: int, encoded: PipelineCondition) -> list[float]:
        """Return the noise levels that the pipeline plans for so many steps.

        Raises:
            AvrewardError: if they don't end at 0.
        """
        _, found = self._until_first_step(encoded.condition, [Noise.of(0)], steps)
        if len(found) != steps + 1 or found[-1] != 0:
            raise AvrewardError(f"{type(self.pipeline).__name__}: expected {steps} steps to noise level 0, got {found}")
        return found

    def velocity(self, latents: Latents, sigma: Tensor, encoded: PipelineCondition) -> Latents:
        """Call the transformer."""
        rows = len(sigma)
        if rows not in encoded.given:
            noises = [Noise.of(number) for number in range(rows)]
            encoded.given[rows], _ = self._until_first_step(encoded.condition, noises, STEPS)
        given = dict(encoded.given[rows])
        for name, stream in INPUTS.items():
            if name in given:
                whole = given[name]
                shown = whole[:, self._own(whole).shape[1] :]  # what stands beside the latents: an image, a video
                given[name] = torch.cat([latents[stream].to(whole.dtype), shown], 1)
        for name in TIMES:
            if isinstance(given.get(name), Tensor):
                times = sigma * self.pipeline.scheduler.config.num_train_timesteps
                given[name] = times.to(given[name]).reshape(-1, *[1] * (given[name].ndim - 1)).expand_as(given[name])
        found = self.network(**given)
        found = found if isinstance(found, tuple) else (found.sample,)
        return {stream: value.float() for stream, value in zip(self.streams, found, strict=False)}

    def decode(self, latents: Latents, encoded: PipelineCondition) -> list[Clip]:
        """Return the clips, decoded by the pipeline's autoencoders and vocoder, with gradients."""
        prompt, given = encoded.condition.arguments.get("prompt"), encoded.condition.clip
        prompt = prompt if isinstance(prompt, str) else None if given is None else given.prompt
        prompts = None if prompt is None else [prompt] * len(latents["video"])
        decoder = self._sampler.decoder(encoded.condition.arguments, self.checkpointing)
        return decoder.clips(latents["video"], latents.get("audio"), prompts)

    def _own(self, hidden: Tensor) -> Tensor:
        """Return the channels of the transformer's input that are latents; a condition may follow them."""
        config: Any = self.network.config
        return hidden[:, : config.out_channels] if hidden.ndim == 5 else hidden

    def _until_first_step(
        self, condition: Condition, noises: Sequence[Noise], steps: int
    ) -> tuple[dict[str, Any], list[float]]:
        """Return what the pipeline gives its transformer first, and the noise levels that it has planned."""

        def stop(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            if args:
                raise AvrewardError(f"{type(module).__name__}: called without the names of its arguments")
            raise _FirstStep(dict(kwargs))

        own, call = self._sampler.prepare(condition, noises, steps)
        hook = self.network.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            call()
        except _FirstStep as reached:
            return reached.given, [float(sigma) for sigma in own.scheduler.sigmas]
        finally:
            hook.remove()
        raise AvrewardError(f"{type(self.pipeline).__name__}: its call ended without its transformer")


def _check(pipeline: Any) -> None:
    scheduler, kind = getattr(pipeline, "scheduler", None), type(pipeline).__name__
    if kind not in PIPELINES:
        remedy = "write a FlowGenerator for it"
        raise ArgumentError("pipeline", f"one of {', '.join(PIPELINES)}", Described(f"a {kind}"), remedy)
    if type(scheduler).__name__ != "FlowMatchEulerDiscreteScheduler":
        got = Described(f"{kind} with {type(scheduler).__name__}")
        remedy = "give it one; its Euler steps are those that are trained"
        raise ArgumentError("pipeline", "one with FlowMatchEulerDiscreteScheduler", got, remedy)
    if getattr(pipeline, "transformer_2", None) is not None:
        raise ArgumentError("pipeline", "one with a single transformer", Described(f"{kind} with two"))
