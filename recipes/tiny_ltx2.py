"""A tiny LTX-2 pipeline with random weights: picture and sound of the right shapes that show nothing.

It stands in for the published one where there is none: to try a training loop, to test, to measure. It has no text
encoder: `prompt_embeds` gives what the pipeline's `__call__` takes instead of a prompt.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

CAPTION, LAYERS = 8, 3  # width of the text features, and how many layers of them LTX-2 reads
PLAIN = {"guidance_scale": 1.0, "audio_guidance_scale": 1.0, "modality_scale": 1.0, "audio_modality_scale": 1.0} | (
    dict.fromkeys(("stg_scale", "audio_stg_scale", "guidance_rescale", "audio_guidance_rescale"), 0.0)
)
"""The call without any guidance: one pass of the transformer a step."""


def tiny_ltx2(seed: int = 0, width: int = 8) -> Any:
    """Return an `LTX2Pipeline`: 4 frames and 4 x 4 pixels to a latent, stereo sound at 16 kHz, 40 ms to a latent.

    The transformer has two layers; decoder and vocoder have `width` channels or so. Frozen, in evaluation mode.

    >>> pipe = tiny_ltx2()
    >>> call = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 2, "output_type": "pt", **PLAIN}
    >>> frames, sound = pipe(**prompt_embeds(["rain"]), **call, return_dict=False)
    >>> frames.shape
    torch.Size([1, 9, 3, 32, 32])
    """
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        LTX2Pipeline,
        LTX2VideoTransformer3DModel,
    )
    from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKLLTX2Video(
            latent_channels=4, block_out_channels=(8, 8), down_block_types=("LTX2VideoDownBlock3D",) * 2,
            decoder_block_out_channels=(width, width), layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
            spatio_temporal_scaling=(True, True), decoder_spatio_temporal_scaling=(True, True),
            decoder_inject_noise=(False, False, False), downsample_type=("spatiotemporal",) * 2,
            upsample_type=("spatiotemporal",) * 2, upsample_residual=(True, True), upsample_factor=(1, 1),
            patch_size=1, decoder_causal=False,
        )  # fmt: skip
        audio_vae = AutoencoderKLLTX2Audio(
            base_channels=8, output_channels=2, ch_mult=(1, 1, 1), num_res_blocks=1, in_channels=2, resolution=32,
            latent_channels=2, mel_bins=16,
        )  # fmt: skip
        vocoder = LTX2Vocoder(
            in_channels=2 * 16, hidden_channels=4 * width, upsample_kernel_sizes=[16, 15, 8],
            upsample_factors=[8, 5, 4], resnet_kernel_sizes=[3], resnet_dilations=[[1, 3]], output_sampling_rate=16000,
        )  # fmt: skip
        transformer = LTX2VideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
            vae_scale_factors=(4, 4, 4), audio_in_channels=8, audio_out_channels=8, audio_num_attention_heads=2,
            audio_attention_head_dim=8, audio_cross_attention_dim=16, num_layers=2, caption_channels=CAPTION,
            rope_double_precision=False, rope_type="split",
        )  # fmt: skip
        connector = {
            "num_attention_heads": 2,
            "attention_head_dim": 4,
            "num_layers": 1,
            "num_learnable_registers": None,
        }
        connectors = LTX2TextConnectors(
            caption_channels=CAPTION, text_proj_in_factor=LAYERS, connector_rope_base_seq_len=32,
            rope_double_precision=False, rope_type="split",
            **{f"{track}_connector_{key}": value for track in ("video", "audio") for key, value in connector.items()},
        )  # fmt: skip
    parts = {"vae": vae, "audio_vae": audio_vae, "vocoder": vocoder, "transformer": transformer}
    parts["connectors"] = connectors
    for part in parts.values():
        part.eval().requires_grad_(False)
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05)
    pipe = LTX2Pipeline(**parts, scheduler=scheduler, text_encoder=None, tokenizer=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def prompt_embeds(prompts: Sequence[str], tokens: int = 4) -> dict[str, Tensor]:
    """Random text features, a token a word that depends on the word alone: the arguments of the pipeline's call.

    A prompt is cut after `tokens` words, or filled up with empty ones in front.

    >>> prompt_embeds(["heavy rain", "rain"])["prompt_embeds"].shape
    torch.Size([2, 4, 24])
    """
    rows = []
    for prompt in prompts:
        words = prompt.split()[:tokens]
        generators = [
            torch.Generator().manual_seed(zlib.crc32(w.encode())) for w in [""] * (tokens - len(words)) + words
        ]
        rows.append(torch.stack([torch.randn(CAPTION * LAYERS, generator=generator) for generator in generators]))
    return {
        "prompt_embeds": torch.stack(rows),
        "prompt_attention_mask": torch.ones(len(rows), tokens, dtype=torch.long),
    }
