"""Diffusers pipelines as generators that search can lead: any that make picture, sound, or both.

Nothing is known of single pipelines, and none of their code is copied. What they return tells whether it is picture or
sound; noise is led through the generators they are given; steps are seen at the scheduler, whatever callbacks the
pipeline allows. Networks are shared with the pipeline that was given, and nothing else of it is touched.

The rooms beside: `diffusers_output` (what comes back), `diffusers_call` (noise and prompts), `diffusers_steps` (the
scheduler), `diffusers_run` (calls that wait).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.generators._identity import run_key
from avreward.generators.base import Condition, Cost, Noise
from avreward.generators.diffusers._call import EncodedPrompts, arguments_of, generators_of, prepared
from avreward.generators.diffusers._output import clips_of, frame_rate
from avreward.generators.diffusers._run import DiffusersRun
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep
from avreward.rewards.latent.reward import LatentReward

Preview = Callable[[list[Tensor]], list[Clip]]


class DiffusersSampler:
    """A diffusers pipeline as a `Sampler`.

    Args:
        pipeline: a `DiffusionPipeline` whose call takes a ``generator``.
        fps (`float`, *optional*): frames per second, for pipelines that don't take it as an argument (Wan: 16,
            CogVideoX: 8, Mochi: 30).
        sample_rate (`int`, *optional*): of the sound in Hz, where neither vocoder nor autoencoder tells.
        preview (*optional*): from clean latents, a tensor a track with a row a candidate, to clips. By default the
            decoders of `LatentReward`, which know Wan, LTX, LTX-2, Stable Audio, AudioLDM 2 and still pictures.
        preview_frames (`int`, *optional*): how many frames of a preview are decoded; all by default.

    Each candidate has a generator of its own on the CPU, so that its seed alone says what it becomes, in a batch of
    any size and on any device, up to rounding: `difference` measures it. Prompts are encoded once, where the pipeline
    has ``encode_prompt``, for all candidates and the negative prompt, too; make another sampler after changing the text
    encoder. A tensor argument with one row whose name ends in ``embeds`` or ``attention_mask`` is repeated for the
    batch.

    >>> from tiny_pipelines import tiny_wan  # in recipes/; or a WanPipeline
    >>> sampler = DiffusersSampler(tiny_wan(), fps=16)
    >>> search = Search(sampler, rater["static_quality"], "evolution")
    >>> search(prompt="a kettle whistles", num_frames=9, height=32, width=32, num_inference_steps=2).best.video.shape
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
            raise AvrewardError(f"pipeline: {kind} takes no generator, so no seed can repeat what it makes; wrap it in "
                                "generate(condition, seed) -> Clip yourself")  # fmt: skip
        self.pipeline, self.fps, self.sample_rate = pipeline, fps, sample_rate
        self._preview, self.preview_frames = preview, preview_frames
        self._prompts = EncodedPrompts()
        scheduler = getattr(pipeline, "scheduler", None)
        settings = run_key(type(scheduler).__name__, _settings(scheduler), fps, sample_rate)
        path = getattr(pipeline, "name_or_path", None) or getattr(pipeline, "_name_or_path", None) or ""
        self.name = " ".join(filter(None, (kind, str(path), settings)))

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """One call of the pipeline, a row a noise; see `avreward.generators.base.Sampler`."""
        own, call = self._call(condition, noises, steps)

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
        """A call that waits before its first step."""
        own, call = self._call(condition, noises, steps)
        total = steps or self.steps(condition)
        if getattr(own, "scheduler", None) is None:
            raise AvrewardError(f"pipeline: {type(own).__name__} has no scheduler whose steps could be led")

        def decode(latents: list[Tensor]) -> Clip:
            return self.decode(latents, condition)[0]

        return DiffusersRun(own, call, decode, call.generators, total, cost)

    def steps(self, condition: Condition) -> int:
        """Of a call: given, or its default."""
        count = self._argument(condition.arguments, "num_inference_steps")
        if not isinstance(count, int):
            raise AvrewardError(
                f"num_inference_steps: {count!r} of {type(self.pipeline).__name__}; give a whole number"
            )
        return count

    def decode(self, latents: list[Tensor], condition: Condition) -> list[Clip]:
        """The clips that clean latents show, as the denoising loop holds them: a tensor a track."""
        call, given = condition.arguments, condition.clip
        if self._preview is not None:
            clips = self._preview(latents)
        else:
            clips = self._decoder(call).clips(latents[0], latents[1] if len(latents) > 1 else None)
        prompt = call.get("prompt")
        prompt = prompt if isinstance(prompt, str) else None if given is None else given.prompt
        if given is not None and given.has_video:
            clips = [clip if clip.has_video else given.with_audio(clip) for clip in clips]
        return [clip.with_prompt(prompt) for clip in clips]

    def difference(self, *seeds: int, condition: Clip | None = None, **arguments: Any) -> float:
        """The largest difference of a sample or pixel between candidates made in one batch and made alone.

        About 1e-6 in float32. A large one means that the pipeline doesn't keep its candidates apart: use
        ``batch_size=1``.
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

    def _call(self, condition: Condition, noises: Sequence[Noise], steps: int | None) -> tuple[Any, _Call]:
        if steps is not None and "num_inference_steps" not in self._parameters:
            raise AvrewardError(f"steps: {type(self.pipeline).__name__} takes no num_inference_steps")
        self._check_rate(condition)
        own = prepared(self.pipeline)
        self._prompts.attach(own)
        return own, _Call(self, own, condition, noises, steps)

    def _check_rate(self, condition: Condition) -> None:
        """A film's speed is asked for before the film is made, not after."""
        if "num_frames" in self._parameters or "video_length" in self._parameters:
            frame_rate(self.pipeline, condition.arguments, self.fps)

    def _argument(self, call: Mapping[str, Any], name: str) -> Any:
        if name in call:
            return call[name]
        return self._parameters[name].default if name in self._parameters else None

    def _decoder(self, call: Mapping[str, Any]) -> LatentReward:
        sides = [self._argument(call, name) for name in ("num_frames", "height", "width")]
        size = (sides[0], sides[1], sides[2]) if all(isinstance(side, int) for side in sides) else None
        film = "num_frames" in self._parameters
        seconds = self._argument(call, "audio_length_in_s")
        if (end := self._argument(call, "audio_end_in_s")) is not None:
            seconds = end - (self._argument(call, "audio_start_in_s") or 0.0)
        return LatentReward(
            self.pipeline,
            _no_reward,
            fps=frame_rate(self.pipeline, call, self.fps) if film else None,
            frames="all" if self.preview_frames is None else "uniform",
            count=self.preview_frames or 1,
            size=size,
            seconds=seconds,
        )


class _Call:
    """A call of a pipeline for a few noises, ready to be made, in whatever thread."""

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
    """What a scheduler was made with; names that begin with an underline are notes of diffusers."""
    config = getattr(scheduler, "config", {})
    return {name: config[name] for name in config if not name.startswith("_")}


def _no_reward(clips: list[Clip]) -> Tensor:
    raise AssertionError("previews are only decoded")
