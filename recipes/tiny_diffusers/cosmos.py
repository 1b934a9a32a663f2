"""Cosmos: text-to-world and video-to-world of the first release, video-to-world of the second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiny_diffusers._parts import TEXT, Tiny, image, seeded, text, wan_vae


class Safe:
    """Stands in for the safety checker, which loads models of its own."""

    def to(self, *arguments: Any) -> Safe:
        """Return itself."""
        return self

    def check_text_safety(self, prompt: str) -> bool:
        """Pass every text."""
        return True

    def check_video_safety(self, video: Any) -> Any:
        """Pass every video."""
        return video


def _transformer(in_channels: int, **options: Any) -> Any:
    from diffusers import CosmosTransformer3DModel

    return CosmosTransformer3DModel(**{
        "in_channels": in_channels, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 16,
        "num_layers": 1, "mlp_ratio": 2.0, "text_embed_dim": TEXT, "adaln_lora_dim": 4, "max_size": (4, 32, 32),
        "patch_size": (1, 2, 2), "extra_pos_embed_type": None, "concat_padding_mask": False, **options,
    })  # fmt: skip


def _made(name: str, first: bool, channels: int, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        if first:
            vae = diffusers.AutoencoderKLCosmos(
                latent_channels=4, encoder_block_out_channels=(8, 8, 8, 8), decode_block_out_channels=(8, 8, 8, 8),
                attention_resolutions=(8,), resolution=64, num_layers=1, patch_size=4, latents_mean=None,
                latents_std=None, spatial_compression_ratio=4, temporal_compression_ratio=4,
            )  # fmt: skip
            scheduler = diffusers.EDMEulerScheduler(
                sigma_min=0.002, sigma_max=80, sigma_data=0.5, sigma_schedule="karras", prediction_type="epsilon",
                rho=7.0, final_sigmas_type="sigma_min",
            )  # fmt: skip
        else:
            vae = wan_vae(4)
            scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
        parts: dict[str, Any] = {"text_encoder": None, "tokenizer": None, "safety_checker": Safe()}
        pipe = getattr(diffusers, name)(**parts, transformer=_transformer(channels), vae=vae, scheduler=scheduler)
        size = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 4, "guidance_scale": 1.0}
        return Tiny(pipe, {"prompt_embeds": text(), **size, **more})

    return made


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "CosmosTextToWorldPipeline": _made("CosmosTextToWorldPipeline", True, 4),
    "CosmosVideoToWorldPipeline": _made("CosmosVideoToWorldPipeline", True, 5, image=image(32)),
    "Cosmos2VideoToWorldPipeline": _made("Cosmos2VideoToWorldPipeline", False, 5, image=image(32)),
}
