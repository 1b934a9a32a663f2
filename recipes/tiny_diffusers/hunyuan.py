"""HunyuanVideo, its image-to-video pipelines and HunyuanVideo 1.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tiny_diffusers._parts import TEXT, Tiny, clip_processor, image, seeded, text


def hunyuan_vae() -> Any:
    """Return HunyuanVideo's autoencoder."""
    from diffusers import AutoencoderKLHunyuanVideo

    return AutoencoderKLHunyuanVideo(
        latent_channels=4, down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        norm_num_groups=4, scaling_factor=0.476986, mid_block_add_attention=True,
    )  # fmt: skip


def _sizes(in_channels: int = 4, patch: int = 1) -> dict[str, Any]:
    return {
        "in_channels": in_channels, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 10,
        "num_layers": 1, "num_single_layers": 1, "num_refiner_layers": 1, "patch_size": patch, "text_embed_dim": TEXT,
        "pooled_projection_dim": 8, "rope_axes_dim": (2, 4, 4),
    }  # fmt: skip


def _scheduler() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=7.0)


def _call(**more: Any) -> dict[str, Any]:
    mask = torch.ones(1, 4, dtype=torch.long)
    features = {"prompt_embeds": text(), "pooled_prompt_embeds": text()[:, 0], "prompt_attention_mask": mask}
    return {**features, "height": 16, "width": 16, "num_frames": 9, "num_inference_steps": 4, **more}


def _parts(transformer: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    return {**texts, "transformer": transformer, "vae": hunyuan_vae(), "scheduler": _scheduler()}


@seeded
def hunyuan() -> Tiny:
    """Return a tiny `HunyuanVideoPipeline`."""
    from diffusers import HunyuanVideoPipeline, HunyuanVideoTransformer3DModel

    return Tiny(HunyuanVideoPipeline(**_parts(HunyuanVideoTransformer3DModel(**_sizes()))), _call(), 24)


@seeded
def hunyuan_image() -> Tiny:
    """Return a tiny `HunyuanVideoImageToVideoPipeline`."""
    from diffusers import HunyuanVideoImageToVideoPipeline, HunyuanVideoTransformer3DModel

    transformer = HunyuanVideoTransformer3DModel(
        **_sizes(9), image_condition_type="latent_concat", guidance_embeds=False
    )
    pipe = HunyuanVideoImageToVideoPipeline(**_parts(transformer), image_processor=clip_processor())
    return Tiny(pipe, _call(image=image(16)), 24)


@seeded
def hunyuan_skyreels() -> Tiny:
    """Return a tiny `HunyuanSkyreelsImageToVideoPipeline`."""
    from diffusers import HunyuanSkyreelsImageToVideoPipeline, HunyuanVideoTransformer3DModel

    pipe = HunyuanSkyreelsImageToVideoPipeline(
        **_parts(HunyuanVideoTransformer3DModel(**_sizes(8), guidance_embeds=False))
    )
    return Tiny(pipe, _call(image=image(16), true_cfg_scale=1.0, guidance_scale=1.0), 24)


def _siglip() -> tuple[Any, Any]:
    from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    return SiglipVisionModel(config), SiglipImageProcessorPil(size={"height": 16, "width": 16})


@seeded
def hunyuan_framepack() -> Tiny:
    """Return a tiny `HunyuanVideoFramepackPipeline`."""
    from diffusers import HunyuanVideoFramepackPipeline, HunyuanVideoFramepackTransformer3DModel

    transformer = HunyuanVideoFramepackTransformer3DModel(
        **_sizes(patch=2), has_image_proj=True, image_proj_dim=8, has_clean_x_embedder=True
    )
    encoder, extractor = _siglip()
    pipe = HunyuanVideoFramepackPipeline(**_parts(transformer), image_encoder=encoder, feature_extractor=extractor)
    return Tiny(pipe, _call(image=image(64), height=64, width=64, latent_window_size=3), 24)


def _hunyuan15(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        vae = diffusers.AutoencoderKLHunyuanVideo15(
            latent_channels=4, block_out_channels=(8, 8, 8), layers_per_block=1, spatial_compression_ratio=4,
            temporal_compression_ratio=4,
        )  # fmt: skip
        transformer = diffusers.HunyuanVideo15Transformer3DModel(
            in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=16, num_layers=1,
            num_refiner_layers=1, text_embed_dim=TEXT, text_embed_2_dim=TEXT, image_embed_dim=8,
            rope_axes_dim=(4, 6, 6), target_size=16, task_type="i2v" if more else "t2v",
        )  # fmt: skip
        texts = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
        guider = diffusers.ClassifierFreeGuidance(guidance_scale=1.0)
        parts = {**texts, "transformer": transformer, "vae": vae, "scheduler": _scheduler(), "guider": guider}
        if more:
            parts["image_encoder"], parts["feature_extractor"] = _siglip()
        masks = {f"prompt_embeds_mask{end}": torch.ones(1, 4, dtype=torch.long) for end in ("", "_2")}
        call = {"prompt_embeds": text(), "prompt_embeds_2": text(seed=2), **masks, "num_frames": 5, **more}
        size = {} if more else {"height": 16, "width": 16}
        return Tiny(getattr(diffusers, name)(**parts), {**call, **size, "num_inference_steps": 4}, 24)

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "HunyuanVideoPipeline": hunyuan,
    "HunyuanVideoImageToVideoPipeline": hunyuan_image,
    "HunyuanSkyreelsImageToVideoPipeline": hunyuan_skyreels,
    "HunyuanVideoFramepackPipeline": hunyuan_framepack,
    "HunyuanVideo15Pipeline": _hunyuan15("HunyuanVideo15Pipeline"),
    "HunyuanVideo15ImageToVideoPipeline": _hunyuan15("HunyuanVideo15ImageToVideoPipeline", image=image(16)),
}
