"""Clips to the latents of a pipeline's denoising loop: the inverse of what its decoder does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described


def encoded_latents(pipeline: Any, clip: Clip, shape: tuple[int, ...]) -> Tensor:
    """Return the clean latents of a clip, one row, without a gradient.

    The mean of the autoencoder's distribution is taken.

    Args:
        pipeline: of `DiffusersFlow`.
        clip: with the frames and the size of the pipeline's call, or with audio of at most its length.
        shape: of a row of its latents, without the batch.

    Raises:
        ArgumentError: if the pipeline's autoencoder takes no clip (LTX-2's and AudioLDM 2's spectrograms), or the clip
            has another size.
    """
    vae = pipeline.vae
    with torch.no_grad():
        match type(vae).__name__:
            case "AutoencoderKLWan":
                mean, deviation = (_across(s, vae) for s in (vae.config.latents_mean, vae.config.latents_std))
                found = (_video(vae, clip) - mean) / deviation
            case "AutoencoderKLCogVideoX":
                found = _video(vae, clip).transpose(1, 2) * vae.config.scaling_factor
            case "AutoencoderKLHunyuanVideo":
                found = _video(vae, clip) * vae.config.scaling_factor
            case "AutoencoderKLLTXVideo":
                mean, deviation = (_across(s, vae) for s in (vae.latents_mean, vae.latents_std))
                found = (_video(vae, clip) - mean) * vae.config.scaling_factor / deviation
                patches = pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
                found = pipeline._pack_latents(found, *patches)
            case "AutoencoderOobleck":
                found = _wave(vae, clip, shape[-1])
            case other:
                got = Described(f"{type(pipeline).__name__} with {other}")
                raise ArgumentError("pipeline", "one whose autoencoder encodes clips", got, "encode them yourself")
    if found.shape[1:] != shape:
        got = Described(f"latents of shape {tuple(found.shape[1:])}")
        remedy = "make the clips with the frames and the size of the condition's call"
        raise ArgumentError("clip", f"one with latents of shape {shape}", got, remedy)
    return found.float()


def _across(statistics: Any, vae: Any) -> Tensor:
    return torch.as_tensor(statistics).view(1, -1, 1, 1, 1).to(vae.device, torch.float32)


def _video(vae: Any, clip: Clip) -> Tensor:
    """Return the autoencoder's latents (1, channels, frames, height, width) of a clip's frames."""
    frames = clip.video.to(vae.device, vae.dtype).transpose(0, 1)[None]
    return vae.encode(2 * frames - 1).latent_dist.mode().float()


def _wave(vae: Any, clip: Clip, latents: int) -> Tensor:
    """Return the latents (1, channels, latents) of a clip's audio, followed by silence."""
    whole = latents * vae.hop_length
    wave = clip.sound(vae.config.sampling_rate, vae.config.audio_channels).to(vae.device, vae.dtype)
    return vae.encode(F.pad(wave, (0, max(0, whole - wave.shape[-1])))[None]).latent_dist.mode().float()
