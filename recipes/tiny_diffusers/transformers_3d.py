"""Pipelines with a transformer of their own: Allegro, EasyAnimate, Kandinsky, Latte, Mochi."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tiny_diffusers._parts import TEXT, Tiny, image, image_vae, seeded, text, uniform

SIZE = {"height": 16, "width": 16, "num_inference_steps": 4, "guidance_scale": 1.0}


@seeded
def allegro() -> Tiny:
    """Return a tiny `AllegroPipeline`."""
    from diffusers import AllegroPipeline, AllegroTransformer3DModel, AutoencoderKLAllegro, DDIMScheduler

    vae = AutoencoderKLAllegro(
        down_block_types=("AllegroDownBlock3D",) * 4, up_block_types=("AllegroUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2, sample_size=16,
    )  # fmt: skip
    transformer = AllegroTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, num_layers=1, cross_attention_dim=24, caption_channels=TEXT,
        sample_width=8, sample_height=8, sample_frames=8,
    )  # fmt: skip
    vae.enable_tiling()  # it decodes tiles alone
    vae.kernel = vae.stride = (8, 16, 16)
    pipe = AllegroPipeline(None, None, vae, transformer, DDIMScheduler(clip_sample=False))
    mask = torch.ones(1, 4, dtype=torch.long)
    return Tiny(pipe, {"prompt_embeds": text(), "prompt_attention_mask": mask, "num_frames": 8, **SIZE}, 15)


def _easy(name: str, channels: int, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        vae = diffusers.AutoencoderKLMagvit(
            latent_channels=4, block_out_channels=[8, 8, 8, 8], layers_per_block=1, norm_num_groups=2,
            down_block_types=["SpatialDownBlock3D", *["SpatialTemporalDownBlock3D"] * 3],
            up_block_types=["SpatialUpBlock3D", *["SpatialTemporalUpBlock3D"] * 3],
        )  # fmt: skip
        transformer = diffusers.EasyAnimateTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=channels, out_channels=4, patch_size=2,
            num_layers=1, mmdit_layers=1, time_embed_dim=8, text_embed_dim=TEXT, sample_width=8, sample_height=8,
            time_position_encoding_type="3d_rope",
        )  # fmt: skip
        pipe = getattr(diffusers, name)(vae, None, None, transformer, diffusers.FlowMatchEulerDiscreteScheduler())
        mask = torch.ones(1, 4, dtype=torch.bool)
        call = {"prompt_embeds": text(), "prompt_attention_mask": mask, "num_frames": 5, **SIZE, **more}
        return Tiny(pipe, call, 8)

    return made


def _kandinsky5(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        from tiny_diffusers.hunyuan import hunyuan_vae

        transformer = diffusers.Kandinsky5Transformer3DModel(
            in_visual_dim=4, out_visual_dim=4, in_text_dim=TEXT, in_text_dim2=TEXT, time_dim=8, model_dim=16, ff_dim=16,
            num_text_blocks=1, num_visual_blocks=1, axes_dims=(2, 2, 4), visual_cond=True,
        )  # fmt: skip
        texts = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
        pipe = getattr(diffusers, name)(
            transformer=transformer, vae=hunyuan_vae(), scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), **texts
        )
        features = {"prompt_embeds_qwen": text(), "prompt_embeds_clip": text()[:, 0]}
        lengths = {"prompt_cu_seqlens": torch.tensor([0, 4], dtype=torch.int32)}
        size = {"height": 32, "width": 32, "num_frames": 21, "num_inference_steps": 4, "guidance_scale": 1.0}
        return Tiny(pipe, {**features, **lengths, **size, **more}, 24)

    return made


@seeded
def latte() -> Tiny:
    """Return a tiny `LattePipeline`."""
    from diffusers import DDIMScheduler, LattePipeline, LatteTransformer3DModel

    transformer = LatteTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, patch_size=2,
        sample_size=8, caption_channels=TEXT, cross_attention_dim=16, attention_bias=True, video_length=2,
        activation_fn="gelu-approximate", norm_type="ada_norm_single", norm_elementwise_affine=False,
    )  # fmt: skip
    pipe = LattePipeline(None, None, image_vae(), transformer, DDIMScheduler(clip_sample=False))
    call = {"prompt_embeds": text(), "mask_feature": False, "video_length": 2, **SIZE}
    return Tiny(pipe, call, 8)


@seeded
def mochi() -> Tiny:
    """Return a tiny `MochiPipeline`."""
    from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

    vae = AutoencoderKLMochi(
        out_channels=3, encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    transformer = MochiTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16, in_channels=12,
        text_embed_dim=TEXT, time_embed_dim=4, max_sequence_length=4,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    pipe = MochiPipeline(scheduler, vae, None, None, transformer)
    mask = torch.ones(1, 4, dtype=torch.bool)
    return Tiny(pipe, {"prompt_embeds": text(), "prompt_attention_mask": mask, "num_frames": 7, **SIZE}, 30)


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "AllegroPipeline": allegro,
    "EasyAnimatePipeline": _easy("EasyAnimatePipeline", 4),
    "EasyAnimateInpaintPipeline": _easy("EasyAnimateInpaintPipeline", 9, video=uniform(1, 3, 5, 16, 16)),
    "Kandinsky5T2VPipeline": _kandinsky5("Kandinsky5T2VPipeline"),
    "Kandinsky5I2VPipeline": _kandinsky5("Kandinsky5I2VPipeline", image=image(32)),
    "LattePipeline": latte,
    "MochiPipeline": mochi,
}
