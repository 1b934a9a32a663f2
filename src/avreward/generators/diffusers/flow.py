"""A diffusers pipeline as a `FlowGenerator`: its own code up to the first step, and its network after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.generators.base import Condition, Noise
from avreward.generators.diffusers._coordinates import SCHEDULERS, coordinates_of
from avreward.generators.diffusers._encode import encoded_latents
from avreward.generators.diffusers._first_step import FirstStep, NetworkCall, first_step, rescaled
from avreward.generators.diffusers._text_encoders import offload_text_encoders
from avreward.generators.diffusers.sampler import DiffusersSampler
from avreward.generators.flow_generator import Latents
from avreward.rewards.latent.reward import LatentReward

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
    "CogVideoXPipeline",
    "CogVideoXImageToVideoPipeline",
    "StableAudioPipeline",
    "AudioLDM2Pipeline",
)
AUDIO = ("StableAudioPipeline", "AudioLDM2Pipeline")
# Arguments that change what a step does from step to step.
CHANGING = ("use_dynamic_cfg", "enable_temporal_reasoning")
TIMES = ("timestep", "sigma")


@dataclass
class PipelineCondition:
    """A condition, and what the pipeline does in a step for it, which is found out when it is needed.

    Attributes:
        condition: with the arguments of the pipeline's call.
        steps: number of denoising steps that were last asked for.
        first: number of rows → the first step.
    """

    condition: Condition
    steps: int
    first: dict[int, FirstStep] = field(default_factory=dict)


class DiffusersFlow:
    """Trains the network of a diffusers pipeline, by flow matching or with a schedule that preserves variance.

    The pipeline's own code encodes the prompt, draws the noise and plans the steps: its call is stopped at the end of
    its first step, and what it gave its network is kept. The steps after that call the network with these arguments, so
    that Euler steps give the latents of the pipeline's own call. Latents stay in the layout of the denoising loop.

    On an accelerator, the weights of the text encoders stay in CPU memory, unless the pipeline is offloaded already: a
    prompt is encoded once, layer by layer, and the encoders take no memory of the training. Move the pipeline to its
    device before.

    Guidance is the pipeline's own, as its call asks for it (``guidance_scale``): the weights with which the pipeline
    joins the outputs of its network are read from its first step. Each copy of the network's batch that guidance needs
    is a call of the network in training, too; ``guidance_scale=1.0`` turns it off, as published recipes do.

    A network that predicts noise or v (CogVideoX, Stable Audio, AudioLDM 2) is trained in the coordinates of flow
    matching, where an Euler step is a DDIM step; see `FlowGenerator`. The pipeline's own call gives the same latents
    if its scheduler takes DDIM steps and ends at the clean sample.

    Args:
        pipeline: one of `PIPELINES`, with a scheduler of `SCHEDULERS`.
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
        kind = type(pipeline).__name__
        self.pipeline, self.checkpointing = pipeline, checkpointing
        self.network: nn.Module = pipeline.transformer if hasattr(pipeline, "transformer") else pipeline.unet
        if (device := next(self.network.parameters()).device).type != "cpu":
            offload_text_encoders(pipeline, device)
        self.streams: tuple[str, ...] = ("audio",) if kind in AUDIO else ("video",)
        if getattr(pipeline, "audio_vae", None) is not None:
            self.streams = ("video", "audio")
        names = ("hidden_states", "audio_hidden_states") if hasattr(pipeline, "transformer") else ("sample",)
        self._inputs = dict(zip(names, self.streams, strict=False))
        self._axis = 2 if kind.startswith("CogVideoX") else 1  # of the latents' channels
        self._sampler = DiffusersSampler(pipeline, fps=fps)
        self._coordinates = coordinates_of(pipeline.scheduler)

    def encode(self, condition: Condition) -> PipelineCondition:
        """Return the condition; the pipeline is called when the number of rows is known.

        Raises:
            ArgumentError: for an argument of the call that makes steps differ from each other.
        """
        for name in CHANGING:
            if condition.arguments.get(name):
                raise ArgumentError(name, "False, as all steps are trained alike", True, "leave it out")
        return PipelineCondition(condition, self._sampler.steps(condition))

    def start(self, encoded: PipelineCondition, noises: Sequence[Noise]) -> Latents:
        """Return the pipeline's own initial latents for these noises.

        Where the first noise level depends on the number of steps, it is that of the last call of `sigmas`.
        """
        first = self._first(encoded, noises)
        encoded.first[len(noises)] = first
        level = self.sigmas(encoded.steps, encoded)[0]
        return {stream: self._coordinates.latents(x.float(), level) for stream, x in first.samples.items()}

    def sigmas(self, steps: int, encoded: PipelineCondition) -> list[float]:
        """Return the noise levels that the pipeline plans for so many steps.

        Raises:
            AvrewardError: if they don't end at 0.
        """
        encoded.steps = steps
        own, call = self._sampler.prepare(encoded.condition, [Noise.of(0)], steps)
        self._until_first_step(call, 1)
        found = self._coordinates.planned(own.scheduler)
        if len(found) != steps + 1 or found[-1] != 0:
            raise AvrewardError(f"{type(self.pipeline).__name__}: expected {steps} steps to noise level 0, got {found}")
        return found

    def velocity(self, latents: Latents, sigma: Tensor, encoded: PipelineCondition) -> Latents:
        """Call the network as the pipeline does, with its guidance."""
        rows = len(sigma)
        if rows not in encoded.first:
            encoded.first[rows] = self._first(encoded, [Noise.of(number) for number in range(rows)])
        first = encoded.first[rows]
        shown = {stream: self._coordinates.shown(latents[stream], sigma) for stream in self.streams}
        outputs: dict[str, list[Tensor]] = {stream: [] for stream in self.streams}
        for call in first.calls:
            found = self.network(**self._arguments(call, shown, sigma))
            found = found if isinstance(found, tuple) else (found.sample,)
            for stream, value in zip(self.streams, found, strict=False):
                outputs[stream] += value.float().chunk(call.copies)
        return {stream: self._velocity(first, stream, latents[stream], outputs[stream], sigma) for stream in latents}

    def encode_clip(self, clip: Clip, encoded: PipelineCondition) -> Latents:
        """Return the clean latents of a clip, by the pipeline's autoencoder, without a gradient.

        Raises:
            ArgumentError: if the clip has not the size that the condition asks for, or the autoencoder takes no clips
                (LTX-2, AudioLDM 2).
        """
        if len(self.streams) > 1:
            got = Described(f"a {type(self.pipeline).__name__}, whose audio is encoded as a spectrogram")
            raise ArgumentError("pipeline", "one whose autoencoder encodes clips", got, "encode the clips yourself")
        if not encoded.first:
            encoded.first[1] = self._first(encoded, [Noise.of(0)])
        [stream] = self.streams
        shape = tuple(next(iter(encoded.first.values())).samples[stream].shape[1:])
        return {stream: encoded_latents(self.pipeline, clip, shape)}

    def decode(self, latents: Latents, encoded: PipelineCondition) -> list[Clip]:
        """Return the clips, decoded by the pipeline's autoencoders and vocoder, with gradients."""
        return self._decoded(latents, encoded, self._sampler.decoder(encoded.condition.arguments, self.checkpointing))

    def decode_frames(
        self, latents: Latents, encoded: PipelineCondition, count: int, draw: torch.Generator
    ) -> list[Clip]:
        """Return the clips with `count` random frames; a causal autoencoder decodes no latents after them."""
        decoder = self._sampler.decoder(encoded.condition.arguments, self.checkpointing)
        decoder.frames, decoder.count, decoder.generator = "random", count, draw
        return self._decoded(latents, encoded, decoder)

    def _decoded(self, latents: Latents, encoded: PipelineCondition, decoder: LatentReward) -> list[Clip]:
        prompt, given = encoded.condition.arguments.get("prompt"), encoded.condition.clip
        prompt = prompt if isinstance(prompt, str) else None if given is None else given.prompt
        first, *more = (latents[stream] for stream in self.streams)
        prompts = None if prompt is None else [prompt] * len(first)
        return decoder.clips(first, more[0] if more else None, prompts)

    def _arguments(self, call: NetworkCall, shown: Mapping[str, Tensor], sigma: Tensor) -> dict[str, Any]:
        """Return the arguments of a call of the network for these latents and noise levels."""
        given = dict(call.arguments)
        for name, stream in self._inputs.items():
            whole = given[name]
            own = torch.cat([shown[stream]] * call.copies).to(whole.dtype)
            beside = whole.narrow(self._axis, own.shape[self._axis], whole.shape[self._axis] - own.shape[self._axis])
            given[name] = torch.cat([own, beside], self._axis)  # beside the latents: an image, a video
        times = self._coordinates.times(sigma).repeat(call.copies)
        for name in TIMES:
            if isinstance(old := given.get(name), Tensor):
                own = times.to(old.device, old.dtype if old.is_floating_point() else torch.float32)
                given[name] = own.reshape(-1, *[1] * (old.ndim - 1)).expand(-1, *old.shape[1:])
        return given

    def _velocity(
        self, first: FirstStep, stream: str, latents: Tensor, outputs: Sequence[Tensor], sigma: Tensor
    ) -> Tensor:
        """Return the guided velocity of a stream."""
        found = self._coordinates.velocity(latents, first.guided(stream, outputs), sigma)
        share = first.rescale.get(stream)
        if share is None:
            return found
        prompted = outputs[first.prompted()]
        if len(self.streams) == 1:
            return rescaled(found, prompted, share)
        level = sigma.reshape(-1, *[1] * (latents.ndim - 1))  # LTX-2 rescales predicted clean latents
        return (latents - rescaled(latents - level * found, latents - level * prompted, share)) / level

    def _first(self, encoded: PipelineCondition, noises: Sequence[Noise]) -> FirstStep:
        """Return the pipeline's first step for these noises."""
        _, call = self._sampler.prepare(encoded.condition, noises, encoded.steps)
        return self._until_first_step(call, len(noises))

    def _until_first_step(self, call: Any, rows: int) -> FirstStep:
        return first_step(call, self.network, rows, self._inputs, self._axis)


def _check(pipeline: Any) -> None:
    kind = type(pipeline).__name__
    if kind not in PIPELINES:
        remedy = "write a FlowGenerator for it"
        raise ArgumentError("pipeline", f"one of {', '.join(PIPELINES)}", Described(f"a {kind}"), remedy)
    scheduler = type(pipeline.scheduler).__name__
    noise = kind in AUDIO or kind.startswith("CogVideoX")
    known = SCHEDULERS[1:] if noise else SCHEDULERS[:1]
    if scheduler not in known:
        got, expected = Described(f"{kind} with {scheduler}"), f"one with {' or '.join(known)}"
        raise ArgumentError("pipeline", expected, got, "set pipeline.scheduler to one whose steps are those trained")
    if getattr(pipeline, "transformer_2", None) is not None:
        raise ArgumentError("pipeline", "one with a single transformer", Described(f"{kind} with two"))
    if kind == "WanImageToVideoPipeline" and pipeline.config.expand_timesteps:
        got = Described(f"{kind} with expand_timesteps, which keeps the first frame's latents in every step")
        raise ArgumentError("pipeline", "one that denoises all latents", got, "use WanPipeline with this transformer")
    guider = getattr(pipeline, "guider", None)
    if guider is not None and guider.num_conditions > 1:
        plain = type(guider).__name__ == "ClassifierFreeGuidance" and not guider.guidance_rescale
        if not plain or (guider._start, guider._stop) != (0.0, 1.0):
            got = Described(f"a {type(guider).__name__} of other settings or another kind")
            expected = "one whose guider is ClassifierFreeGuidance in all steps, without guidance_rescale"
            raise ArgumentError("pipeline", expected, got, "set pipeline.guider to one")
