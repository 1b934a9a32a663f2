"""The pipeline: a silent video in, its sound out, as diffusers pipelines for sound do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.pipeline_utils import AudioPipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from tiny_v2a.codec import BandVocoder
from tiny_v2a.network import V2ATransformer, seen

WEIGHTS = Path(__file__).parent / "weights"


class TinyV2APipeline(DiffusionPipeline):
    """Sound for a silent video by flow matching (Lipman et al., 2023, arXiv:2210.02747).

    Args:
        transformer: the velocity of band energies.
        vocoder: band energies → waveform.
        scheduler: Euler steps of the flow.
    """

    model_cpu_offload_seq = "transformer->vocoder"
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self, transformer: V2ATransformer, vocoder: BandVocoder, scheduler: FlowMatchEulerDiscreteScheduler
    ) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, vocoder=vocoder, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        video: Tensor,
        frame_rate: float,
        num_inference_steps: int = 12,
        guidance_scale: float = 1.0,
        num_waveforms_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pt",
        return_dict: bool = True,
        callback_on_step_end: Any = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> AudioPipelineOutput | tuple[Tensor]:
        """Sound (batch, 1, samples) in [−1, 1], as long as the video, at ``vocoder.config.sampling_rate``.

        Args:
            video: frames (frames, 3, height, width) in [0, 1].
            frame_rate: frames per second.
            num_inference_steps: Euler steps.
            guidance_scale: how much more than likely the sound should fit; 1 is none (arXiv:2207.12598).
            num_waveforms_per_prompt: how many sounds, where `generator` isn't a list with one for each.
            generator: of the noise, one or one a sound (*optional*).
            latents: the noise itself, (batch, bands, frames) (*optional*).
            output_type: ``"pt"``, ``"np"``, or ``"latent"`` for band energies.
            return_dict: else a tuple.
            callback_on_step_end: called with pipeline, step, time and the tensors named beside it (*optional*).
            callback_on_step_end_tensor_inputs: of which there is ``"latents"``.
        """
        samples = round(len(video) / frame_rate * self.vocoder.config.sampling_rate)
        video = self.watched(video, frame_rate, samples)
        batch = len(generator) if isinstance(generator, list) else num_waveforms_per_prompt
        shape = (batch, self.transformer.config.bands, video.shape[-1])
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=video.device, dtype=video.dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=video.device)
        for step, time in enumerate(self.progress_bar(self.scheduler.timesteps)):
            velocity = self.velocity(latents, time, video, guidance_scale)
            latents = self.scheduler.step(velocity, time, latents, generator=generator, return_dict=False)[0]
            if callback_on_step_end is not None:
                kept = {name: {"latents": latents}[name] for name in callback_on_step_end_tensor_inputs}
                latents = callback_on_step_end(self, step, time, kept).get("latents", latents)
        sound = latents if output_type == "latent" else self.vocoder(latents, samples)
        sound = sound.cpu().numpy() if output_type == "np" else sound
        return AudioPipelineOutput(audios=sound) if return_dict else (sound,)

    def watched(self, video: Tensor, frame_rate: float, samples: int) -> Tensor:
        """Encode the video for the transformer, (1, width, frames of the sound), differentiably."""
        like = next(self.transformer.parameters())
        at = torch.arange(self.vocoder.frames(samples), device=like.device) * (
            self.vocoder.config.hop / self.vocoder.config.sampling_rate
        )
        times = torch.arange(len(video), device=like.device) / frame_rate
        return self.transformer.watch(seen(video.to(like.device)).to(like.dtype), times, at)

    def velocity(self, latents: Tensor, time: Tensor, video: Tensor, guidance_scale: float = 1.0) -> Tensor:
        """Return the transformer's velocity, with classifier-free guidance where the scale isn't 1."""
        times = time.expand(len(latents))
        told = self.transformer(latents, times, video)
        if guidance_scale == 1.0:
            return told
        untold = self.transformer(latents, times, torch.zeros_like(video))
        return untold + guidance_scale * (told - untold)


def random_pipeline(seed: int = 0, **sizes: int) -> TinyV2APipeline:
    """Return a pipeline with random weights, to be trained; `sizes` are `V2ATransformer`'s."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer = V2ATransformer(**sizes)
    vocoder = BandVocoder(bands=transformer.config.bands)
    return TinyV2APipeline(transformer, vocoder, FlowMatchEulerDiscreteScheduler())


def tiny_v2a(folder: str | Path = WEIGHTS) -> TinyV2APipeline:
    """Return the trained pipeline in `folder`: by default the one beside this file, made by `tiny_v2a/train.py`."""
    transformer = V2ATransformer.from_pretrained(folder).float()
    pipe = TinyV2APipeline(
        transformer.eval().requires_grad_(False),
        BandVocoder(bands=transformer.config.bands),
        FlowMatchEulerDiscreteScheduler(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
