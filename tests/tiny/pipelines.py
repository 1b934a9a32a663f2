"""Tiny diffusers pipelines with random weights, and how each is called; beside them `tiny_ltx2` of the recipes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from tiny_diffusers import _parts, build
from tiny_diffusers import audio as audio_parts
from tiny_diffusers import ltx as ltx_parts
from tiny_ltx2 import PLAIN, prompt_embeds, tiny_ltx2
from torch import Tensor

TEXT = _parts.TEXT


@dataclass(frozen=True, eq=False)
class Case:
    """A pipeline, the arguments of its call, and the options of a `LatentReward` on it."""

    pipeline: Any
    call: dict[str, Any]
    options: dict[str, Any]

    @cache  # noqa: B019  # as long as the tests
    def run(self, output_type: str) -> tuple[Any, ...]:
        generator = torch.Generator().manual_seed(3)
        out = self.pipeline(**self.call, output_type=output_type, generator=generator, return_dict=False)
        return out if type(out) is tuple else (out.audios,)  # audio pipelines forget return_dict for latents


def text(samples: int = 2) -> Tensor:
    return torch.randn(samples, 4, TEXT, generator=torch.Generator().manual_seed(1))


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def wan_vae(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return _parts.wan_vae().eval()


def wan() -> Case:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    vae = wan_vae()
    transformer = WanTransformer3DModel(**_parts.wan_sizes(qk_norm="rms_norm_across_heads")).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=7.0)
    pipeline = WanPipeline(None, None, vae, scheduler, transformer)
    call = {
        "prompt_embeds": text(), "height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 2,
        "guidance_scale": 1.0,
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"fps": 8})


def ltx_vae(causal: bool = False, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    vae = ltx_parts.ltx_vae(causal).eval()
    vae.latents_mean.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    vae.latents_std.copy_(torch.tensor([2.0, 1.5, 1.0, 2.5]))
    return vae


def ltx() -> Case:
    from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel

    vae = ltx_vae()
    transformer = LTXVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=TEXT,
    ).eval()  # fmt: skip
    pipeline = LTXPipeline(FlowMatchEulerDiscreteScheduler(), vae, None, None, transformer)
    call = {
        "prompt_embeds": text(), "prompt_attention_mask": torch.ones(2, 4, dtype=torch.long), "height": 32,
        "width": 32, "num_frames": 5, "num_inference_steps": 2, "guidance_scale": 1.0,
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"fps": 8, "size": (5, 32, 32)})


def ltx2() -> Case:
    pipeline = tiny_ltx2()
    pipeline.vae.latents_std.copy_(torch.tensor([2.0, 1.5, 1.0, 2.5]))
    pipeline.audio_vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
    call = {
        **prompt_embeds(["rain", "sun"]), **PLAIN, "height": 32, "width": 32, "num_frames": 9, "frame_rate": 30.0,
        "num_inference_steps": 2,
    }  # fmt: skip
    return Case(pipeline, call, {"fps": 30})


def stable_audio() -> Case:
    torch.manual_seed(0)
    pipeline = audio_parts.stable_audio_with(audio_parts.oobleck())
    for part in (pipeline.vae, pipeline.transformer, pipeline.projection_model):
        part.eval()
    call = {
        "prompt_embeds": text(), "attention_mask": torch.ones(2, 4, dtype=torch.long), "audio_end_in_s": 0.05,
        "num_inference_steps": 2, "guidance_scale": 1.0,
        "negative_prompt_embeds": torch.zeros(2, 4, TEXT),
        "negative_attention_mask": torch.ones(2, 4, dtype=torch.long),
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"seconds": 0.05})


def image_vae(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return _parts.image_vae(**options).eval()


def vocoder(bins: int = 8) -> Any:
    return audio_parts.vocoder(bins).eval()


def audioldm2() -> Case:
    from diffusers import AudioLDM2Pipeline, AudioLDM2UNet2DConditionModel, DDIMScheduler
    from transformers import T5Config, T5EncoderModel

    vae = image_vae(in_channels=1, out_channels=1)
    unet = AudioLDM2UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=(TEXT, TEXT), attention_head_dim=4, norm_num_groups=4,
    ).eval()  # fmt: skip
    t5 = T5EncoderModel(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).eval()
    pipeline = AudioLDM2Pipeline(vae, None, t5, None, t5, None, None, None, unet, DDIMScheduler(), vocoder())
    call = {
        "prompt_embeds": text(), "generated_prompt_embeds": text(), "attention_mask": torch.ones(2, 4),
        "audio_length_in_s": 0.062, "num_inference_steps": 2, "guidance_scale": 1.0,
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"seconds": 0.062})


def _of_two(name: str) -> Case:
    tiny = build(name)
    rows = {key: torch.cat([value, value.flip(-1)]) for key, value in tiny.call.items() if isinstance(value, Tensor)}
    return Case(tiny.pipeline, tiny.call | rows | {"num_inference_steps": 2}, {"fps": tiny.fps})


def cogvideox() -> Case:
    return _of_two("CogVideoXPipeline")


def hunyuan() -> Case:
    return _of_two("HunyuanVideoPipeline")


def mochi() -> Case:
    return _of_two("MochiPipeline")
