"""Pipelines with a U-Net: AnimateDiff, PIA, I2VGen-XL, Stable Video Diffusion, ModelScope's text-to-video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiny_diffusers._parts import TEXT, Tiny, clip_processor, clip_vision, image, image_vae, seeded, text, video

SIZE = {"height": 16, "width": 16, "num_inference_steps": 4}
CHANNELS = (8, 16)
DOWN, UP = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")


def _scheduler() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False)


def unet(**options: Any) -> Any:
    """Return a U-Net of images with two levels."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8, block_out_channels=CHANNELS, layers_per_block=1, down_block_types=DOWN, up_block_types=UP,
        norm_num_groups=2, **{"cross_attention_dim": TEXT, "attention_head_dim": 4, **options},
    )  # fmt: skip


def _adapter(**options: Any) -> Any:
    from diffusers import MotionAdapter

    return MotionAdapter(
        block_out_channels=CHANNELS, motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2,
        **options,
    )  # fmt: skip


def _controlnet() -> Any:
    from diffusers import ControlNetModel

    return ControlNetModel(
        block_out_channels=CHANNELS, layers_per_block=1, down_block_types=DOWN, cross_attention_dim=TEXT,
        attention_head_dim=4, norm_num_groups=2, conditioning_embedding_out_channels=(8, 8),
    )  # fmt: skip


def _sparse() -> Any:
    from diffusers import SparseControlNetModel

    return SparseControlNetModel(
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"), block_out_channels=CHANNELS,
        layers_per_block=1, cross_attention_dim=TEXT, attention_head_dim=4, norm_num_groups=2,
        conditioning_embedding_out_channels=(8, 8), conditioning_channels=3, concat_conditioning_mask=False,
        use_simplified_condition_embedding=False,
    )  # fmt: skip


def _animate(
    name: str, controlnet: Callable[[], Any] | None = None, frames: int | None = 4, **more: Any
) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        parts = {"vae": image_vae(), "text_encoder": None, "tokenizer": None, "unet": unet(), "scheduler": _scheduler()}
        parts["motion_adapter"] = _adapter(**({"conv_in_channels": 9} if name == "PIAPipeline" else {}))
        if controlnet is not None:
            parts["controlnet"] = controlnet()
        extra: dict[str, Any] = {"pag_applied_layers": ["down.*"]} if "PAG" in name else {}
        pipe = getattr(diffusers, name)(**parts, **extra)
        count = {} if frames is None else {"num_frames": frames}
        features = {"prompt_embeds": text(), "negative_prompt_embeds": text(seed=2), "guidance_scale": 5.0}
        return Tiny(pipe, {**features, **count, **SIZE, **more}, 8)

    return made


@seeded
def animate_sdxl() -> Tiny:
    """Return a tiny `AnimateDiffSDXLPipeline`."""
    from diffusers import AnimateDiffSDXLPipeline

    network = unet(
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=6 * 4 + 8
    )
    pipe = AnimateDiffSDXLPipeline(
        vae=image_vae(), text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None, unet=network,
        motion_adapter=_adapter(use_motion_mid_block=False), scheduler=_scheduler(),
    )  # fmt: skip
    features = {"prompt_embeds": text(), "pooled_prompt_embeds": text()[:, 0], "guidance_scale": 1.0}
    return Tiny(pipe, {**features, "num_frames": 4, **SIZE}, 8)


@seeded
def i2vgen() -> Tiny:
    """Return a tiny `I2VGenXLPipeline`."""
    from diffusers import I2VGenXLPipeline, I2VGenXLUNet

    network = I2VGenXLUNet(
        sample_size=8, block_out_channels=CHANNELS, layers_per_block=1, norm_num_groups=2, cross_attention_dim=TEXT,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        attention_head_dim=4, num_attention_heads=4,
    )  # fmt: skip
    pipe = I2VGenXLPipeline(image_vae(), None, None, clip_vision(), clip_processor(), network, _scheduler())
    features = {"prompt_embeds": text(), "negative_prompt_embeds": text(seed=2), "guidance_scale": 5.0}
    return Tiny(pipe, {**features, "image": image(32), "num_frames": 4, **SIZE}, 8)


@seeded
def stable_video() -> Tiny:
    """Return a tiny `StableVideoDiffusionPipeline`."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )

    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), latent_channels=4, sample_size=16
    )
    network = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32), down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), layers_per_block=1,
        num_attention_heads=(2, 2), cross_attention_dim=8, addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        use_karras_sigmas=True, interpolation_type="linear", timestep_spacing="leading", timestep_type="continuous",
        sigma_min=0.002, sigma_max=700.0, steps_offset=1,
    )  # fmt: skip
    pipe = StableVideoDiffusionPipeline(vae, clip_vision(224, patch=32), network, scheduler, clip_processor())
    return Tiny(pipe, {"image": image(32), "num_frames": 3, "decode_chunk_size": 3, **SIZE})


def _model_scope(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        network = diffusers.UNet3DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=2, cross_attention_dim=TEXT,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), attention_head_dim=4,
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        )  # fmt: skip
        pipe = getattr(diffusers, name)(image_vae(), None, None, network, _scheduler())
        features = {"prompt_embeds": text(), "negative_prompt_embeds": text(seed=2), "num_inference_steps": 4}
        return Tiny(pipe, {**features, **more}, 8)

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "AnimateDiffPipeline": _animate("AnimateDiffPipeline"),
    "AnimateDiffPAGPipeline": _animate("AnimateDiffPAGPipeline"),
    "AnimateDiffControlNetPipeline": _animate(
        "AnimateDiffControlNetPipeline", _controlnet, conditioning_frames=video(4, 16)
    ),
    "AnimateDiffSparseControlNetPipeline": _animate(
        "AnimateDiffSparseControlNetPipeline", _sparse, conditioning_frames=video(1, 16)
    ),
    "AnimateDiffVideoToVideoPipeline": _animate(
        "AnimateDiffVideoToVideoPipeline", None, None, video=video(4, 16), strength=0.75
    ),
    "AnimateDiffVideoToVideoControlNetPipeline": _animate(
        "AnimateDiffVideoToVideoControlNetPipeline",
        _controlnet,
        None,
        video=video(4, 16),
        strength=0.75,
        conditioning_frames=video(4, 16),
    ),
    "AnimateDiffSDXLPipeline": animate_sdxl,
    "PIAPipeline": _animate("PIAPipeline", image=image(16)),
    "I2VGenXLPipeline": i2vgen,
    "StableVideoDiffusionPipeline": stable_video,
    "TextToVideoSDPipeline": _model_scope("TextToVideoSDPipeline", num_frames=4, height=16, width=16),
    "VideoToVideoSDPipeline": _model_scope("VideoToVideoSDPipeline", video=video(4, 16), strength=0.75),
}
