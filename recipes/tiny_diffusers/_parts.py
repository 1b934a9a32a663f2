"""What tiny pipelines share: text features, images, autoencoders and text encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

TEXT = 8  # width of the text features
CLIP = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}


@dataclass(frozen=True)
class Tiny:
    """A pipeline and the arguments of its call for one candidate.

    Args:
        pipeline: with random weights.
        call: arguments of a small call.
        fps: frames per second, if neither the pipeline nor its call has them.
        sample_rate: likewise of the audio.
    """

    pipeline: Any
    call: dict[str, Any] = field(default_factory=dict)
    fps: float | None = None
    sample_rate: int | None = None


def seeded(build: Callable[[], Tiny]) -> Callable[[], Tiny]:
    """Build with the same weights each time, frozen, in evaluation mode, without a progress bar."""

    def built() -> Tiny:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            tiny = build()
            for part in tiny.pipeline.components.values():
                if isinstance(part, torch.nn.Module):
                    _enliven(part.eval().requires_grad_(False))
        tiny.pipeline.set_progress_bar_config(disable=True)
        return tiny

    return built


def _enliven(network: torch.nn.Module) -> None:
    """Give layers that begin with zeros weights, or what is made would not depend on the noise."""
    for weights in network.parameters():
        if weights.ndim > 1 and not weights.any():
            weights.normal_(std=0.3)


def text(tokens: int = 4, width: int = TEXT, seed: int = 1) -> Tensor:
    """Return the features of one prompt."""
    return torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int) -> Tensor:
    """Return random values in [0, 1), the same each time."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def image(size: int = 32, width: int | None = None) -> Any:
    """Return an image with a gradient."""
    import numpy
    from PIL import Image

    rows, columns = numpy.mgrid[0:size, 0 : width or size]
    return Image.fromarray(numpy.stack([4 * rows, 4 * columns, 0 * rows + 99], -1).astype("uint8"))


def video(frames: int, size: int = 32) -> list[Any]:
    """Return a video as images."""
    return [image(size) for _ in range(frames)]


def wan_vae(frames: int = 2) -> Any:
    """Return Wan's autoencoder: 2 (or 4) frames and 4 x 4 pixels to a latent."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=3, z_dim=4, dim_mult=[1, 1, 2], num_res_blocks=1, temperal_downsample=[frames == 4, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[2.0, 1.5, 1.0, 2.5], scale_factor_temporal=frames,
        scale_factor_spatial=4,
    )  # fmt: skip


def wan_sizes(**options: Any) -> dict[str, Any]:
    """Return the sizes of a transformer of Wan's family."""
    return {
        "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4,
        "out_channels": 4, "text_dim": TEXT, "freq_dim": 8, "ffn_dim": 16, "num_layers": 1, "rope_max_seq_len": 32,
    } | options  # fmt: skip


def image_vae(**options: Any) -> Any:
    """Return an image autoencoder: 2 x 2 pixels to a latent."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16,
        **{"in_channels": 3, "out_channels": 3, "scaling_factor": 0.4, **options},
    )  # fmt: skip


def clip_vision(size: int = 32, patch: int = 8, projection: bool = True) -> Any:
    """Return CLIP's image encoder."""
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(image_size=size, patch_size=patch, **CLIP)
    return (CLIPVisionModelWithProjection if projection else CLIPVisionModel)(config)


def clip_processor(size: int = 32) -> Any:
    """Return CLIP's image processor."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(crop_size=size, size=size)
