"""Tiny diffusers pipelines with random weights, and how each is called; beside them `tiny_ltx2` of the recipes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from tiny_ltx2 import PLAIN, prompt_embeds, tiny_ltx2
from torch import Tensor

TEXT = 8


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
    from diffusers import AutoencoderKLWan

    torch.manual_seed(seed)
    return AutoencoderKLWan(
        base_dim=3, z_dim=4, dim_mult=[1, 1, 2], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[2.0, 1.5, 1.0, 2.5], scale_factor_temporal=2,
        scale_factor_spatial=4,
    ).eval()  # fmt: skip


def wan() -> Case:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    vae = wan_vae()
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
        text_dim=TEXT, freq_dim=8, ffn_dim=16, num_layers=1, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    ).eval()  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(shift=7.0)
    pipeline = WanPipeline(None, None, vae, scheduler, transformer)
    call = {
        "prompt_embeds": text(), "height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 2,
        "guidance_scale": 1.0,
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"fps": 8})


def ltx_vae(causal: bool = False, seed: int = 0) -> Any:
    from diffusers import AutoencoderKLLTXVideo

    torch.manual_seed(seed)
    vae = AutoencoderKLLTXVideo(
        latent_channels=4, block_out_channels=(8, 8), down_block_types=("LTXVideoDownBlock3D",) * 2,
        decoder_block_out_channels=(8, 8), layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
        spatio_temporal_scaling=(True, True), decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False), downsample_type=("conv", "conv"),
        upsample_residual=(False, False), upsample_factor=(1, 1), patch_size=1, decoder_causal=causal,
        scaling_factor=0.7,
    ).eval()  # fmt: skip
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
    from diffusers import AutoencoderOobleck, EDMDPMSolverMultistepScheduler, StableAudioDiTModel, StableAudioPipeline
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel

    torch.manual_seed(0)
    vae = AutoencoderOobleck(
        encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
        audio_channels=2, channel_multiples=[2, 4], sampling_rate=1000,
    ).eval()  # fmt: skip
    transformer = StableAudioDiTModel(
        sample_size=64, in_channels=3, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        num_key_value_attention_heads=2, out_channels=3, cross_attention_dim=TEXT, time_proj_dim=8,
        global_states_input_dim=2 * TEXT, cross_attention_input_dim=TEXT,
    ).eval()  # fmt: skip
    projection = StableAudioProjectionModel(TEXT, TEXT, 0, 32).eval()
    scheduler = EDMDPMSolverMultistepScheduler(solver_order=2, prediction_type="v_prediction", sigma_data=1.0)
    pipeline = StableAudioPipeline(vae, None, projection, None, transformer, scheduler)
    call = {
        "prompt_embeds": text(), "attention_mask": torch.ones(2, 4, dtype=torch.long), "audio_end_in_s": 0.05,
        "num_inference_steps": 2, "guidance_scale": 1.0,
        "negative_prompt_embeds": torch.zeros(2, 4, TEXT),
        "negative_attention_mask": torch.ones(2, 4, dtype=torch.long),
    }  # fmt: skip
    return Case(quiet(pipeline), call, {"seconds": 0.05})


def image_vae(seed: int = 0, **options: Any) -> Any:
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16,
        **{"in_channels": 3, "out_channels": 3, "scaling_factor": 0.4, **options},
    ).eval()  # fmt: skip


def vocoder(bins: int = 8) -> Any:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    config = SpeechT5HifiGanConfig(
        model_in_dim=bins, sampling_rate=1000, upsample_initial_channel=16, upsample_rates=[2, 2],
        upsample_kernel_sizes=[4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
        normalize_before=False, initializer_range=0.2,
    )  # fmt: skip
    return SpeechT5HifiGan(config).eval()


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
    from tiny_diffusers import build

    tiny = build(name)
    rows = {key: torch.cat([value, value.flip(-1)]) for key, value in tiny.call.items() if isinstance(value, Tensor)}
    return Case(tiny.pipeline, tiny.call | rows | {"num_inference_steps": 2}, {"fps": tiny.fps})


def cogvideox() -> Case:
    return _of_two("CogVideoXPipeline")


def hunyuan() -> Case:
    return _of_two("HunyuanVideoPipeline")


def mochi() -> Case:
    return _of_two("MochiPipeline")
