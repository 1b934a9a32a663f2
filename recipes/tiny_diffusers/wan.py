"""Wan and pipelines with its autoencoder: SkyReels, Lucy, ChronoEdit, AnyFlow, Helios, Motif, Sana."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiny_diffusers._parts import (
    TEXT,
    Tiny,
    clip_processor,
    clip_vision,
    image,
    seeded,
    text,
    video,
    wan_sizes,
    wan_vae,
)

SIZE = {"height": 16, "width": 16, "num_inference_steps": 4, "guidance_scale": 1.0}
NORM = {"qk_norm": "rms_norm_across_heads"}


def _flow() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=3.0)


def _unipc() -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def _call(num_frames: int | None = 5, **more: Any) -> dict[str, Any]:
    count = {} if num_frames is None else {"num_frames": num_frames}
    return {"prompt_embeds": text(), **SIZE, **count, **more}


def _with_image(transformer: Any, **sizes: Any) -> tuple[Any, dict[str, Any]]:
    """Return a transformer that reads an image, and the encoder of it."""
    made = transformer(**wan_sizes(**NORM, in_channels=10, image_dim=8, added_kv_proj_dim=24, **sizes))
    return made, {"image_encoder": clip_vision(projection=False), "image_processor": clip_processor()}


@seeded
def wan() -> Tiny:
    """Return a tiny `WanPipeline`."""
    from diffusers import WanPipeline, WanTransformer3DModel

    transformer = WanTransformer3DModel(**wan_sizes(**NORM))
    return Tiny(WanPipeline(None, None, wan_vae(), _flow(), transformer), _call(), 16)


@seeded
def wan_image() -> Tiny:
    """Return a tiny `WanImageToVideoPipeline`."""
    from diffusers import WanImageToVideoPipeline, WanTransformer3DModel

    transformer, encoder = _with_image(WanTransformer3DModel)
    pipe = WanImageToVideoPipeline(None, None, wan_vae(), _flow(), transformer=transformer, **encoder)
    return Tiny(pipe, _call(image=image(16)), 16)


@seeded
def wan_video() -> Tiny:
    """Return a tiny `WanVideoToVideoPipeline`."""
    from diffusers import WanTransformer3DModel, WanVideoToVideoPipeline

    transformer = WanTransformer3DModel(**wan_sizes(**NORM))
    call = _call(None, video=video(5, 16), strength=0.75)
    return Tiny(WanVideoToVideoPipeline(None, None, transformer, wan_vae(), _flow()), call, 16)


@seeded
def wan_vace() -> Tiny:
    """Return a tiny `WanVACEPipeline`."""
    from diffusers import WanVACEPipeline, WanVACETransformer3DModel

    # 2 x 4 channels of latents, 16 of the mask.
    transformer = WanVACETransformer3DModel(**wan_sizes(**NORM, vace_layers=[0], vace_in_channels=24))
    pipe = WanVACEPipeline(None, None, wan_vae(), _flow(), transformer=transformer)
    return Tiny(pipe, _call(), 16)


@seeded
def wan_animate() -> Tiny:
    """Return a tiny `WanAnimatePipeline`."""
    from diffusers import WanAnimatePipeline, WanAnimateTransformer3DModel

    transformer = WanAnimateTransformer3DModel(
        **wan_sizes(**NORM, in_channels=12, latent_channels=4, image_dim=8, num_layers=2),
        motion_encoder_channel_sizes={"4": 8, "8": 8, "16": 8}, motion_encoder_size=16, motion_style_dim=8,
        motion_dim=4, motion_encoder_dim=16, face_encoder_hidden_dim=16, face_encoder_num_heads=2,
        inject_face_latents_blocks=2,
    )  # fmt: skip
    pipe = WanAnimatePipeline(
        None, None, wan_vae(4), _unipc(), clip_processor(), clip_vision(projection=False), transformer
    )
    clips = {"pose_video": video(5, 16), "face_video": video(5, 16)}
    return Tiny(pipe, _call(None, image=image(16), segment_frame_length=5, **clips), 16)


@seeded
def lucy() -> Tiny:
    """Return a tiny `LucyEditPipeline`."""
    from diffusers import LucyEditPipeline, WanTransformer3DModel

    transformer = WanTransformer3DModel(**wan_sizes(**NORM, in_channels=8))
    pipe = LucyEditPipeline(None, None, wan_vae(), _flow(), transformer)
    return Tiny(pipe, _call(video=video(5, 16)), 24)


@seeded
def chrono_edit() -> Tiny:
    """Return a tiny `ChronoEditPipeline`."""
    from diffusers import ChronoEditPipeline, ChronoEditTransformer3DModel

    transformer, encoder = _with_image(ChronoEditTransformer3DModel)
    pipe = ChronoEditPipeline(None, None, transformer=transformer, vae=wan_vae(), scheduler=_flow(), **encoder)
    return Tiny(pipe, _call(image=image(16)), 16)


@seeded
def anyflow() -> Tiny:
    """Return a tiny `AnyFlowPipeline`."""
    from diffusers import AnyFlowPipeline, AnyFlowTransformer3DModel, FlowMapEulerDiscreteScheduler

    transformer = AnyFlowTransformer3DModel(**wan_sizes())
    pipe = AnyFlowPipeline(None, None, transformer, wan_vae(), FlowMapEulerDiscreteScheduler(shift=5.0))
    return Tiny(pipe, _call(), 16)


@seeded
def anyflow_far() -> Tiny:
    """Return a tiny `AnyFlowFARPipeline`."""
    from diffusers import AnyFlowFARPipeline, AnyFlowFARTransformer3DModel, FlowMapEulerDiscreteScheduler

    transformer = AnyFlowFARTransformer3DModel(**wan_sizes(), chunk_partition=(1, 2))
    pipe = AnyFlowFARPipeline(None, None, transformer, wan_vae(), FlowMapEulerDiscreteScheduler(shift=5.0))
    return Tiny(pipe, _call(), 16)


def _skyreels(name: str, transformer: str = "plain", **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        kind, model = getattr(diffusers, name), diffusers.SkyReelsV2Transformer3DModel
        encoder: dict[str, Any] = {}
        if transformer == "image":
            network, encoder = _with_image(model)
        else:
            network = model(**wan_sizes(**NORM, inject_sample_info=transformer == "forcing"))
        parts = {"tokenizer": None, "text_encoder": None, "vae": wan_vae(), "scheduler": _unipc()}
        call = _call(**{"num_frames": 5, **more})
        return Tiny(kind(**parts, transformer=network, **encoder), call, None if transformer == "forcing" else 24)

    return made


@seeded
def helios() -> Tiny:
    """Return a tiny `HeliosPipeline`."""
    from diffusers import HeliosPipeline, HeliosScheduler

    pipe = HeliosPipeline(None, None, wan_vae(), HeliosScheduler(stages=1, stage_range=[0, 1]), _helios())
    return Tiny(pipe, _call(9, num_latent_frames_per_chunk=3, history_sizes=[4, 2, 1]), 24)


@seeded
def helios_pyramid() -> Tiny:
    """Return a tiny `HeliosPyramidPipeline`."""
    from diffusers import HeliosPyramidPipeline, HeliosScheduler

    pipe = HeliosPyramidPipeline(None, None, wan_vae(), HeliosScheduler(gamma=0.2), _helios())
    call = _call(9, num_latent_frames_per_chunk=3, history_sizes=[4, 2, 1], pyramid_num_inference_steps_list=[2, 2, 2])
    call |= {"height": 32, "width": 32}
    del call["num_inference_steps"]
    return Tiny(pipe, call, 24)


def _helios() -> Any:
    from diffusers import HeliosTransformer3DModel

    sizes = wan_sizes(**NORM, rope_dim=(4, 4, 4))
    del sizes["rope_max_seq_len"]
    return HeliosTransformer3DModel(**sizes)


def _motif(image_embed_dim: int | None = None) -> Any:
    from diffusers import MotifVideoTransformer3DModel

    return MotifVideoTransformer3DModel(
        in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1, num_single_layers=1,
        patch_size=2, text_embed_dim=TEXT, rope_axes_dim=(2, 2, 4), image_embed_dim=image_embed_dim,
    )  # fmt: skip


@seeded
def motif() -> Tiny:
    """Return a tiny `MotifVideoPipeline`."""
    import torch
    from diffusers import ClassifierFreeGuidance, MotifVideoPipeline

    pipe = MotifVideoPipeline(_flow(), wan_vae(), None, None, _motif(), ClassifierFreeGuidance(guidance_scale=1.0))
    call = _call(prompt_attention_mask=torch.ones(1, 4, dtype=torch.bool))
    del call["guidance_scale"]
    return Tiny(pipe, call, 24)


def _sana(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers
        import torch

        transformer = diffusers.SanaVideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=12, num_layers=1,
            num_cross_attention_heads=2, cross_attention_head_dim=12, cross_attention_dim=24, caption_channels=TEXT,
            sample_size=8, rope_max_seq_len=32,
        )  # fmt: skip
        scheduler = (
            _flow()
            if "Image" in name
            else diffusers.DPMSolverMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            )
        )
        pipe = getattr(diffusers, name)(None, None, wan_vae(), transformer, scheduler)
        mask = torch.ones(1, 4, dtype=torch.long)
        call = _call(None, frames=5, prompt_attention_mask=mask, use_resolution_binning=False, **more)
        return Tiny(pipe, call | {"height": 32, "width": 32}, 16)

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "WanPipeline": wan,
    "WanImageToVideoPipeline": wan_image,
    "WanVideoToVideoPipeline": wan_video,
    "WanVACEPipeline": wan_vace,
    "WanAnimatePipeline": wan_animate,
    "LucyEditPipeline": lucy,
    "ChronoEditPipeline": chrono_edit,
    "AnyFlowPipeline": anyflow,
    "AnyFlowFARPipeline": anyflow_far,
    "SkyReelsV2Pipeline": _skyreels("SkyReelsV2Pipeline"),
    "SkyReelsV2ImageToVideoPipeline": _skyreels("SkyReelsV2ImageToVideoPipeline", "image", image=image(16)),
    "SkyReelsV2DiffusionForcingPipeline": _skyreels(
        "SkyReelsV2DiffusionForcingPipeline", "forcing", prompt=None, base_num_frames=5
    ),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": _skyreels(
        "SkyReelsV2DiffusionForcingImageToVideoPipeline", "forcing", image=image(16), base_num_frames=5
    ),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _skyreels(
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
        "forcing",
        video=video(5, 16),
        num_frames=9,
        base_num_frames=5,
        overlap_history=3,
    ),
    "HeliosPipeline": helios,
    "HeliosPyramidPipeline": helios_pyramid,
    "MotifVideoPipeline": motif,
    "SanaVideoPipeline": _sana("SanaVideoPipeline"),
    "SanaImageToVideoPipeline": _sana("SanaImageToVideoPipeline", image=image(32)),
}
