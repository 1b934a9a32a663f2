"""CogVideoX: text, an image, a video, or a control video as the condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiny_diffusers._parts import TEXT, Tiny, image, seeded, text, video


def _parts(in_channels: int = 4, scheduler: str = "CogVideoXDDIMScheduler") -> dict[str, Any]:
    import diffusers

    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3, up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4, sample_height=32, sample_width=32, scaling_factor=0.7,
    )  # fmt: skip
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=in_channels, out_channels=4, time_embed_dim=8,
        text_embed_dim=TEXT, num_layers=1, sample_width=8, sample_height=8, sample_frames=9, max_text_seq_length=4,
        use_rotary_positional_embeddings=True,
    )  # fmt: skip
    made = getattr(diffusers, scheduler)(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing",
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
    )  # fmt: skip
    return {"tokenizer": None, "text_encoder": None, "vae": vae, "transformer": transformer, "scheduler": made}


def _made(
    name: str, in_channels: int = 4, scheduler: str = "CogVideoXDDIMScheduler", **more: Any
) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        pipe = getattr(diffusers, name)(**_parts(in_channels, scheduler))
        size = {"height": 32, "width": 32, "num_inference_steps": 4, "guidance_scale": 1.0}
        return Tiny(pipe, {"prompt_embeds": text(), "max_sequence_length": 4, **size, **more}, 8)

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "CogVideoXPipeline": _made("CogVideoXPipeline", num_frames=9),
    "CogVideoXImageToVideoPipeline": _made(
        "CogVideoXImageToVideoPipeline", 8, "CogVideoXDPMScheduler", num_frames=9, image=image(32)
    ),
    "CogVideoXVideoToVideoPipeline": _made("CogVideoXVideoToVideoPipeline", video=video(9), strength=0.75),
    "CogVideoXFunControlPipeline": _made("CogVideoXFunControlPipeline", 8, control_video=video(9)),
}
