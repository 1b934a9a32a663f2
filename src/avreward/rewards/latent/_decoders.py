"""Decode the latents of a diffusers pipeline to video and audio, for each family as the pipeline itself does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError, Described
from avreward.rewards.latent._frames import FrameGrid

Size = tuple[int, int, int]
ENDINGS = ("", "Wan", "LTXVideo", "LTX2Video", "CogVideoX", "HunyuanVideo", "Mochi")  # of the autoencoders of video


@dataclass(frozen=True)
class VideoLatentDecoder:
    """Decoder of video latents.

    Args:
        prepare: latents as the pipeline returns them (batch, …) → (batch, channels, latents, height, width).
        decode: prepared latents → frames (batch, 3, frames, height, width), roughly in [-1, 1].
        grid: how latents map to frames.
        modules: the networks whose single calls are checkpointed.
    """

    prepare: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    grid: FrameGrid
    modules: tuple[nn.Module, ...]


@dataclass(frozen=True)
class AudioLatentDecoder:
    """Decoder of audio latents: `decode` returns (batch, channels, samples) at `rate` Hz."""

    prepare: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    rate: int
    modules: tuple[nn.Module, ...]


def decoders(pipeline: Any, size: Size | None) -> tuple[VideoLatentDecoder | None, AudioLatentDecoder | None]:
    """Return the decoders of a pipeline's video and audio; one is `None` if the pipeline generates only the other.

    Args:
        pipeline: an object with ``vae`` and, depending on the family, ``audio_vae`` and ``vocoder``; or an autoencoder.
        size: (frames, height, width) of the video, as in the pipeline's call, for packed latents (*optional*).

    Raises:
        ArgumentError: if the autoencoder isn't supported; the message lists those that are.
    """
    vae = getattr(pipeline, "vae", pipeline)
    match type(vae).__name__:
        case "AutoencoderKLWan":
            return _wan(vae), None
        case "AutoencoderKLLTXVideo":
            return _ltx(pipeline, vae, size, unpacked_is_normal=True), None
        case "AutoencoderKLLTX2Video":
            audio = _ltx2_audio(pipeline) if getattr(pipeline, "audio_vae", None) is not None else None
            return _ltx(pipeline, vae, size, unpacked_is_normal=False), audio
        case "AutoencoderKLCogVideoX":
            return _cogvideox(vae, size), None
        case "AutoencoderKLHunyuanVideo":
            return _hunyuan(vae), None
        case "AutoencoderKLMochi":
            return _mochi(vae), None
        case "AutoencoderOobleck":
            return None, _waveform(vae)
        case "AutoencoderKL" if getattr(pipeline, "vocoder", None) is not None:
            return None, _mel(vae, pipeline.vocoder)
        case "AutoencoderKL":
            return _frames(vae), None
        case other:
            known = ", ".join(f"AutoencoderKL{end}" for end in ENDINGS) + ", AutoencoderOobleck"
            remedy = "decode the latents yourself and pass clips to the reward"
            raise ArgumentError("pipeline", f"one with an autoencoder of {known}", Described(other), remedy)


def _sample(vae: Any, latents: Tensor, **options: Any) -> Tensor:
    return vae.decode(latents.to(vae.dtype), return_dict=False, **options)[0]


def _across(statistics: Any, latents: Tensor, dimensions: int) -> Tensor:
    """Return one number per channel, shaped to broadcast with (batch, channels, …)."""
    return torch.as_tensor(statistics).view(1, -1, *[1] * (dimensions - 2)).to(latents.device, latents.dtype)


def _wan(vae: Any) -> VideoLatentDecoder:
    """Wan: causal, so the frames of a latent depend on it and on earlier ones only."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 5, "(batch, channels, frames, height, width)")
        mean, std = (_across(s, latents, 5) for s in (vae.config.latents_mean, vae.config.latents_std))
        return latents * std + mean

    grid = FrameGrid(vae.config.scale_factor_temporal, before=None, after=0)
    return VideoLatentDecoder(prepare, partial(_sample, vae), grid, (vae.decoder,))


def _cogvideox(vae: Any, size: Size | None) -> VideoLatentDecoder:
    """CogVideoX: frames come first, and are decoded in pairs of latents that are normalized together."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 5, "(batch, frames, channels, height, width)")
        if size is not None:  # version 1.5 pads at the start up to a whole number of patches
            kept = (size[0] - 1) // vae.config.temporal_compression_ratio + 1
            latents = latents[:, max(0, latents.shape[1] - kept) :]
        return latents.transpose(1, 2) / vae.config.scaling_factor

    grid = FrameGrid(vae.config.temporal_compression_ratio, before=None, after=None)
    return VideoLatentDecoder(prepare, partial(_sample, vae), grid, (vae.decoder,))


def _hunyuan(vae: Any) -> VideoLatentDecoder:
    """HunyuanVideo: all frames are normalized together."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 5, "(batch, channels, frames, height, width)")
        return latents / vae.config.scaling_factor

    grid = FrameGrid(vae.config.temporal_compression_ratio, before=None, after=None)
    return VideoLatentDecoder(prepare, partial(_sample, vae), grid, (vae.decoder,))


def _mochi(vae: Any) -> VideoLatentDecoder:
    """Mochi: causal, and each frame is normalized alone."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 5, "(batch, channels, frames, height, width)")
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is None or std is None:
            return latents / vae.config.scaling_factor
        return latents * _across(std, latents, 5) / vae.config.scaling_factor + _across(mean, latents, 5)

    grid = FrameGrid(vae.temporal_compression_ratio, before=None, after=0)
    return VideoLatentDecoder(prepare, partial(_sample, vae), grid, (vae.decoder,))


def _ltx(pipeline: Any, vae: Any, size: Size | None, unpacked_is_normal: bool) -> VideoLatentDecoder:
    """LTX: causal only if the configuration says so; the published models also use later latents."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, (3, 5), "(batch, tokens, features) or (batch, channels, frames, height, width)")
        if latents.ndim == 3:
            latents = _unpack(latents, _latent_size(vae, size), *_patches(pipeline))
        elif not unpacked_is_normal:
            return latents
        mean, std = (_across(s, latents, 5) for s in (vae.latents_mean, vae.latents_std))
        return latents * std / vae.config.scaling_factor + mean

    def decode(latents: Tensor) -> Tensor:
        step = latents.new_zeros(len(latents), dtype=vae.dtype) if vae.config.timestep_conditioning else None
        return _sample(vae, latents, temb=step)

    grid = FrameGrid(vae.temporal_compression_ratio, before=None, after=0 if vae.config.decoder_causal else None)
    return VideoLatentDecoder(prepare, decode, grid, (vae.decoder,))


def _unpack(latents: Tensor, size: Size, patch: int, patch_t: int) -> Tensor:
    """(batch, tokens, features) → (batch, channels, frames, height, width); a token is a block of latents."""
    frames, height, width = size[0] // patch_t, size[1] // patch, size[2] // patch
    if latents.shape[1] != frames * height * width:
        got = Described(f"{latents.shape[1]}")
        remedy = "pass num_frames, height and width of the pipeline's call as size"
        raise ArgumentError("latents", f"{frames} x {height} x {width} tokens, by size", got, remedy)
    blocks = latents.reshape(len(latents), frames, height, width, -1, patch_t, patch, patch)
    return blocks.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _latent_size(vae: Any, size: Size | None) -> Size:
    if size is None:
        raise ArgumentError("size", "(num_frames, height, width) of the pipeline's call, for packed latents", None)
    side = vae.spatial_compression_ratio
    return (size[0] - 1) // vae.temporal_compression_ratio + 1, size[1] // side, size[2] // side


def _patches(pipeline: Any) -> tuple[int, int]:
    names = ("transformer_spatial_patch_size", "transformer_temporal_patch_size")
    return getattr(pipeline, names[0], 1), getattr(pipeline, names[1], 1)


def _ltx2_audio(pipeline: Any) -> AudioLatentDecoder:
    """LTX-2: latents → log-mel spectrogram → waveform."""
    vae, vocoder = pipeline.audio_vae, pipeline.vocoder

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, (3, 4), "(batch, tokens, features) or (batch, channels, time, mel)", "audio_latents")
        if latents.ndim == 4:
            return latents
        mean, std = (s.to(latents.device, latents.dtype) for s in (vae.latents_mean, vae.latents_std))
        bins = vae.config.mel_bins // vae.mel_compression_ratio
        return (latents * std + mean).unflatten(2, (-1, bins)).transpose(1, 2)

    def decode(latents: Tensor) -> Tensor:
        return vocoder(_sample(vae, latents))

    return AudioLatentDecoder(prepare, decode, vocoder.config.output_sampling_rate, (vae.decoder, vocoder))


def _waveform(vae: Any) -> AudioLatentDecoder:
    """Stable Audio: latents (batch, channels, time) → waveform, without scaling."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 3, "(batch, channels, time)")
        return latents

    return AudioLatentDecoder(prepare, partial(_sample, vae), vae.config.sampling_rate, (vae.decoder,))


def _mel(vae: Any, vocoder: Any) -> AudioLatentDecoder:
    """AudioLDM 2: latents → log-mel spectrogram, decoded like an image → waveform."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, 4, "(batch, channels, time, mel)")
        return latents / vae.config.scaling_factor

    def decode(latents: Tensor) -> Tensor:
        return vocoder(_sample(vae, latents)[:, 0])[:, None]

    return AudioLatentDecoder(prepare, decode, vocoder.config.sampling_rate, (vae.decoder, vocoder))


def _frames(vae: Any) -> VideoLatentDecoder:
    """Image autoencoders: each latent is decoded separately."""

    def prepare(latents: Tensor) -> Tensor:
        _check(latents, (4, 5), "(batch, channels, height, width) or (batch, channels, frames, height, width)")
        latents = latents[:, :, None] if latents.ndim == 4 else latents
        config = vae.config
        if getattr(config, "latents_mean", None) is not None and getattr(config, "latents_std", None) is not None:
            mean, std = (_across(s, latents, 5) for s in (config.latents_mean, config.latents_std))
            return latents * std / config.scaling_factor + mean
        return latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)

    def decode(latents: Tensor) -> Tensor:
        return torch.stack([_sample(vae, frame) for frame in latents.unbind(2)], 2)

    return VideoLatentDecoder(prepare, decode, FrameGrid(1, before=0, after=0), (vae.decoder,))


def _check(latents: Tensor, dimensions: int | tuple[int, ...], wanted: str, name: str = "latents") -> None:
    allowed = dimensions if isinstance(dimensions, tuple) else (dimensions,)
    if latents.ndim not in allowed:
        got = Described(f"shape {tuple(latents.shape)}")
        raise ArgumentError(name, wanted, got, "pass the latents as the pipeline returns them")
