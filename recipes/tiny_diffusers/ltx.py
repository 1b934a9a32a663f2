"""LTX and LTX-2: text and images as conditions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from tiny_ltx2 import PLAIN, prompt_embeds, tiny_ltx2

from tiny_diffusers._parts import TEXT, Tiny, image, seeded, text

SIZE = {"height": 32, "width": 32, "num_inference_steps": 4}


def ltx_vae(causal: bool = False) -> Any:
    """Return LTX's autoencoder: 4 frames and 4 x 4 pixels to a latent."""
    from diffusers import AutoencoderKLLTXVideo

    return AutoencoderKLLTXVideo(
        latent_channels=4, block_out_channels=(8, 8), down_block_types=("LTXVideoDownBlock3D",) * 2,
        decoder_block_out_channels=(8, 8), layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
        spatio_temporal_scaling=(True, True), decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False), downsample_type=("conv", "conv"), upsample_residual=(False, False),
        upsample_factor=(1, 1), patch_size=1, decoder_causal=causal, scaling_factor=0.7,
    )  # fmt: skip


def _ltx(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        transformer = diffusers.LTXVideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            num_layers=1, caption_channels=TEXT,
        )  # fmt: skip
        pipe = getattr(diffusers, name)(diffusers.FlowMatchEulerDiscreteScheduler(), ltx_vae(), None, None, transformer)
        mask = torch.ones(1, 4, dtype=torch.long)
        call = {"prompt_embeds": text(), "prompt_attention_mask": mask, "num_frames": 5, "guidance_scale": 1.0}
        return Tiny(pipe, {**call, **SIZE, **more})

    return made


def _ltx2(name: str, **more: Any) -> Callable[[], Tiny]:
    def made() -> Tiny:
        import diffusers

        parts = dict(tiny_ltx2().components)
        kind = getattr(diffusers, name)
        accepted = inspect.signature(kind.__init__).parameters
        pipe = kind(**{key: part for key, part in parts.items() if key in accepted})
        pipe.set_progress_bar_config(disable=True)
        call = {**prompt_embeds(["rain"]), **PLAIN, "num_frames": 9, **SIZE, **more}
        taken = inspect.signature(kind.__call__).parameters
        return Tiny(pipe, {key: value for key, value in call.items() if key in taken})

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "LTXPipeline": _ltx("LTXPipeline"),
    "LTXImageToVideoPipeline": _ltx("LTXImageToVideoPipeline", image=image(32)),
    "LTXConditionPipeline": _ltx("LTXConditionPipeline", image=image(32)),
    "LTX2Pipeline": _ltx2("LTX2Pipeline"),
    "LTX2ImageToVideoPipeline": _ltx2("LTX2ImageToVideoPipeline", image=image(32)),
    "LTX2ConditionPipeline": _ltx2("LTX2ConditionPipeline"),
    "LTX2InContextPipeline": _ltx2("LTX2InContextPipeline"),
    "LTX2HDRPipeline": _ltx2("LTX2HDRPipeline"),
}
