"""Diffusers pipelines as samplers that search can control, for video, audio, or both.

There is no code for individual pipelines, and none of theirs is copied: the output shows whether it is video or audio,
noise is set through the ``generator`` argument, and steps are observed at the scheduler. The networks are shared with
the given pipeline, which is not changed.

The modules: `_output` (output to clips), `_call` (noise and prompts), `_steps` (the scheduler), `_run` (paused calls).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.generators._identity import run_key
from avreward.generators.base import Condition, Cost, Noise
from avreward.generators.diffusers._call import EncodedPrompts, arguments_of, generators_of, prepared
from avreward.generators.diffusers._check import check_call
from avreward.generators.diffusers._clean import check_scheduler
from avreward.generators.diffusers._output import MOVING, clips_of, frame_rate
from avreward.generators.diffusers._run import DiffusersRun
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep
from avreward.generators.diffusers._support import alone, check_exchangeable, check_pausable, check_usable, decoded
from avreward.generators.diffusers._weights import weights_key
from avreward.rewards.latent.reward import LatentReward

Preview = Callable[[list[Tensor]], list[Clip]]


class DiffusersSampler:
    """A diffusers pipeline as a `Sampler`.

    Args:
        pipeline: a `DiffusionPipeline` whose call takes a ``generator``.
        fps (`float`, *optional*): frames per second, for pipelines without such an argument (Wan: 16, CogVideoX: 8,
            Mochi: 30).
        sample_rate (`int`, *optional*): of the audio in Hz, for pipelines whose vocoder and autoencoder have none.
        preview (*optional*): decodes clean latents, one tensor per track with a row per candidate, to clips. Default:
            the decoders of `LatentReward`, or else a call of the pipeline in one step.
        preview_frames (`int`, *optional*): number of frames of a preview that are decoded. Default: all.

    Each candidate has its own generator on the CPU, so that it depends on its seed alone, in a batch of any size and on
    any device, up to rounding, which `difference` measures. If the pipeline has ``encode_prompt``, the prompt and the
    negative prompt are encoded once for all candidates; make another sampler after changing the text encoder. A tensor
    argument with one row whose name contains ``embeds`` or ``attention_mask`` is repeated for the batch, and so is an
    image or a video where the pipeline takes one per candidate.

    Raises:
        ArgumentError: if the pipeline's call takes no ``generator``.

    Example:
        >>> from tiny_pipelines import tiny_wan  # in recipes/; or a WanPipeline
        >>> sampler = DiffusersSampler(tiny_wan(), fps=16)
        >>> search = Search(sampler, rater["static_quality"], "evolution")
        >>> size = {"num_frames": 9, "height": 32, "width": 32}
        >>> search(prompt="a kettle whistles", **size, num_inference_steps=2).best.video.shape
        torch.Size([9, 3, 32, 32])
    """

    def __init__(
        self,
        pipeline: Any,
        *,
        fps: float | None = None,
        sample_rate: int | None = None,
        preview: Preview | None = None,
        preview_frames: int | None = None,
    ) -> None:
        self._parameters = inspect.signature(type(pipeline).__call__).parameters
        kind = type(pipeline).__name__
        if "generator" not in self._parameters:
            remedy = "wrap it in a callable generate(condition, seed) -> Clip"
            raise ArgumentError("pipeline", "one whose call takes a generator", Described(f"a {kind}"), remedy)
        check_usable(pipeline)
        self.pipeline, self.fps, self.sample_rate = pipeline, fps, sample_rate
        self._preview, self.preview_frames = preview, preview_frames
        self._prompts = EncodedPrompts()

    @property
    def name(self) -> str:
        """The pipeline with its scheduler, weights and adapters as they are now, so that no other one resumes a run."""
        pipeline = self.pipeline
        scheduler = getattr(pipeline, "scheduler", None)
        parts = (type(scheduler).__name__, _settings(scheduler), self.fps, self.sample_rate, weights_key(pipeline))
        path = getattr(pipeline, "name_or_path", None) or getattr(pipeline, "_name_or_path", None) or ""
        return " ".join(filter(None, (type(pipeline).__name__, str(path), run_key(*parts))))

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """Call the pipeline once with a row for each noise, or once for each noise; see `Sampler.make`.

        Raises:
            ArgumentError: if `steps` is given to a pipeline without ``num_inference_steps``, or a rate is not known.
        """
        if alone(self.pipeline) and len(noises) > 1:
            return [clip for noise in noises for clip in self.make(condition, [noise], cost, steps)]
        own, call = self.prepare(condition, noises, steps)

        def count(seen: ObservedStep) -> Tensor:
            cost.steps += len(noises) if seen.track == 0 else 0
            return seen.result

        if getattr(own, "scheduler", None) is not None:
            own.scheduler.step = ObservedScheduler(own.scheduler, count, call.generators)
        clips = call()
        cost.decodes += len(noises)
        return clips

    def start(
        self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None
    ) -> DiffusersRun:
        """Start a call that waits before its first step.

        Raises:
            ArgumentError: if the pipeline has no scheduler, or a rate is not known.
        """
        check_pausable(self.pipeline)
        own, call = self.prepare(condition, noises, steps)
        total = steps or self.steps(condition)
        if getattr(own, "scheduler", None) is None:
            remedy = "use a strategy that does not pause between steps, such as best_of_n"
            raise ArgumentError("pipeline", "one with a scheduler", Described(f"a {type(own).__name__}"), remedy)
        check_scheduler(own.scheduler)

        def decode(latents: list[Tensor], row: int) -> Clip:
            return self.decode(latents, condition, noises[row], cost)

        return DiffusersRun(own, call, decode, call.generators, total, cost)

    def steps(self, condition: Condition) -> int:
        """Return the ``num_inference_steps`` of the condition, or the pipeline's default.

        Raises:
            ArgumentError: if it is not an integer.
        """
        count = self._argument(condition.arguments, "num_inference_steps")
        if not isinstance(count, int):
            raise ArgumentError("num_inference_steps", "an integer", count)
        return count

    def rows(self, batch_size: int) -> int:
        """Return how many candidates of a batch can be generated together: all, or one."""
        return 1 if alone(self.pipeline) else batch_size

    def check_steering(self) -> None:
        """Raise `ArgumentError` if candidates cannot be exchanged between denoising steps."""
        check_pausable(self.pipeline)
        check_exchangeable(self.pipeline)

    def decode(self, latents: list[Tensor], condition: Condition, noise: Noise, cost: Cost) -> Clip:
        """Decode the clean latents of one candidate, one tensor per track, in the layout of the denoising loop.

        `LatentReward` decodes those of the pipelines that it supports. Any other pipeline is called in one step that
        returns the latents, so that it decodes them itself; its network runs once more, which is counted in `cost`.
        """
        if self._preview is not None:
            [clip] = self._preview(latents)
        elif decoded(self.pipeline):
            [clip] = self.decoder(condition.arguments).clips(latents[0], latents[1] if len(latents) > 1 else None)
        else:
            return self._through_pipeline(latents, condition, noise, cost)
        call, given = condition.arguments, condition.clip
        prompt = call.get("prompt")
        prompt = prompt if isinstance(prompt, str) else None if given is None else given.prompt
        if given is not None and given.has_video and not clip.has_video:
            clip = given.with_audio(clip)
        return clip.with_prompt(prompt)

    def _through_pipeline(self, latents: list[Tensor], condition: Condition, noise: Noise, cost: Cost) -> Clip:
        """Return the clip of a call in one step, whose result is replaced by `latents`."""
        left_out = ("timesteps", "sigmas", "callback", "callback_on_step_end")
        arguments = {name: value for name, value in condition.arguments.items() if name not in left_out}
        strength = self._argument(arguments, "strength")  # a pipeline that starts from a video skips 1 - strength
        steps = math.ceil(1 / strength) if isinstance(strength, float) and 0 < strength < 1 else 1
        own, call = self.prepare(Condition(condition.clip, arguments), [noise], steps)

        def replace(seen: ObservedStep) -> Tensor:
            cost.steps += 1 if seen.track == 0 else 0
            return latents[seen.track].to(seen.result.dtype)

        own.scheduler.step = ObservedScheduler(own.scheduler, replace, call.generators)
        return call()[0]

    def difference(self, *seeds: int, condition: Clip | None = None, **arguments: Any) -> float:
        """Return the largest difference of a sample or pixel between candidates made in one batch and one by one.

        It is about 1e-6 in float32. A large one means that candidates of a batch influence each other in this pipeline:
        use ``batch_size=1``.

        Args:
            *seeds: of the candidates. Default: 0 and 1.
            condition: the clip that they share (*optional*).
            **arguments: of the pipeline's call.
        """
        asked, noises, cost = Condition(condition, arguments), [Noise.of(seed) for seed in seeds or (0, 1)], Cost()
        together = self.make(asked, noises, cost)
        alone = [clip for noise in noises for clip in self.make(asked, [noise], cost)]
        pairs = [
            (getattr(a, track), getattr(b, track))
            for a, b in zip(together, alone, strict=True)
            for track, there in (("video", a.has_video), ("audio", a.has_audio))
            if there
        ]
        return max(float((first - second).abs().max()) for first, second in pairs)

    def prepare(self, condition: Condition, noises: Sequence[Noise], steps: int | None) -> tuple[Any, _Call]:
        """Return a copy of the pipeline with a scheduler of its own, and its call, which is not yet made."""
        if steps is not None and "num_inference_steps" not in self._parameters:
            expected = f"none, as {type(self.pipeline).__name__} takes no num_inference_steps"
            raise ArgumentError("steps", expected, steps)
        self.check(condition)
        own = prepared(self.pipeline)
        self._prompts.attach(own)
        return own, _Call(self, own, condition, noises, steps)

    def check(self, condition: Condition) -> None:
        """Raise `ArgumentError` for a call that cannot work, or whose frame rate is not known."""
        check_call(self.pipeline, condition.arguments)
        if any(name in self._parameters for name in MOVING):
            frame_rate(self.pipeline, condition.arguments, self.fps)

    def _argument(self, call: Mapping[str, Any], name: str) -> Any:
        if name in call:
            return call[name]
        return self._parameters[name].default if name in self._parameters else None

    def decoder(self, call: Mapping[str, Any], checkpointing: bool = True) -> LatentReward:
        """Return what decodes the latents of a call with these arguments."""
        sides = [self._argument(call, name) for name in ("num_frames", "height", "width")]
        size = (sides[0], sides[1], sides[2]) if all(isinstance(side, int) for side in sides) else None
        moving = self.fps is not None or any(name in self._parameters for name in MOVING)
        seconds = self._argument(call, "audio_length_in_s")
        if (end := self._argument(call, "audio_end_in_s")) is not None:
            seconds = end - (self._argument(call, "audio_start_in_s") or 0.0)
        return LatentReward(
            self.pipeline,
            _no_reward,
            fps=frame_rate(self.pipeline, call, self.fps) if moving else None,
            frames="all" if self.preview_frames is None else "uniform",
            count=self.preview_frames or 1,
            size=size,
            seconds=seconds,
            checkpointing=checkpointing,
        )


class _Call:
    """A prepared call of a pipeline for several noises; may run in any thread."""

    def __init__(
        self, sampler: DiffusersSampler, own: Any, condition: Condition, noises: Sequence[Noise], steps: int | None
    ) -> None:
        self.sampler, self.own, self.condition, self.rows = sampler, own, condition, len(noises)
        self.arguments = arguments_of(own, condition.arguments, self.rows, steps)
        self.generators, self.mode = generators_of(noises)

    def __call__(self) -> list[Clip]:
        lone = self.generators[0] if self.rows == 1 else self.generators
        with self.mode, torch.no_grad():
            output = self.own(**self.arguments, generator=lone)
        rates = {"fps": self.sampler.fps, "sample_rate": self.sampler.sample_rate}
        return clips_of(output, self.own, self.rows, self.condition.arguments, self.condition.clip, **rates)


def _settings(scheduler: Any) -> dict[str, Any]:
    """Return the settings of a scheduler, without the private ones of diffusers."""
    config = getattr(scheduler, "config", {})
    return {name: config[name] for name in config if not name.startswith("_")}


def _no_reward(clips: list[Clip]) -> Tensor:
    raise AssertionError("previews are only decoded")
