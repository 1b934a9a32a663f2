"""Tiny diffusers pipelines with random weights that take a prompt: what they make shows nothing, and takes no time.

They stand in for published ones in recipes, tests and benchmarks. `tiny_ltx2` has a file of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from tiny_ltx2 import tiny_ltx2
from tiny_tokenizer import tiny_tokenizer

TEXT = 8  # width of the text features


def give_text(pipe: Any) -> Any:
    """Give a pipeline a tokenizer and a text encoder, whose three hidden states are `TEXT` wide."""
    from transformers import T5Config, T5EncoderModel

    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 16
    sizes = {"d_model": TEXT, "d_kv": 4, "d_ff": 8, "num_layers": 2, "num_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = T5EncoderModel(T5Config(vocab_size=len(tokenizer), **sizes)).eval().requires_grad_(False)
        for weights in encoder.parameters():
            weights.copy_(torch.randn_like(weights) / weights.shape[-1] ** 0.5)
    pipe.register_modules(tokenizer=tokenizer, text_encoder=encoder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tiny_wan(seed: int = 0) -> Any:
    """Return a `WanPipeline`: 2 frames and 4 x 4 pixels to a latent.

    >>> tiny_wan()("rain", height=16, width=16, num_frames=5, num_inference_steps=2, output_type="pt").frames.shape
    torch.Size([1, 5, 3, 16, 16])
    """
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKLWan(
            base_dim=3, z_dim=4, dim_mult=[1, 1, 2], num_res_blocks=1, temperal_downsample=[False, True],
            latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[2.0, 1.5, 1.0, 2.5], scale_factor_temporal=2,
            scale_factor_spatial=4,
        )  # fmt: skip
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
            text_dim=TEXT, freq_dim=8, ffn_dim=16, num_layers=1, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        )  # fmt: skip
    for part in (vae, transformer):
        part.eval().requires_grad_(False)
    return give_text(WanPipeline(None, None, vae, FlowMatchEulerDiscreteScheduler(shift=7.0), transformer))


def tiny_stable_audio(seed: int = 0) -> Any:
    """Return a `StableAudioPipeline`: stereo at 8 kHz, up to 0.5 s.

    >>> tiny_stable_audio()("rain", audio_end_in_s=0.25, num_inference_steps=2).audios.shape
    torch.Size([1, 2, 2000])
    """
    from diffusers import AutoencoderOobleck, EDMDPMSolverMultistepScheduler, StableAudioDiTModel, StableAudioPipeline
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderOobleck(
            encoder_hidden_size=6, downsampling_ratios=[2, 4, 8], decoder_channels=3, decoder_input_channels=3,
            audio_channels=2, channel_multiples=[1, 2, 4], sampling_rate=8000,
        )  # fmt: skip
        transformer = StableAudioDiTModel(
            sample_size=64, in_channels=3, num_layers=1, attention_head_dim=8, num_attention_heads=2,
            num_key_value_attention_heads=2, out_channels=3, cross_attention_dim=TEXT, time_proj_dim=8,
            global_states_input_dim=2 * TEXT, cross_attention_input_dim=TEXT,
        )  # fmt: skip
        projection = StableAudioProjectionModel(TEXT, TEXT, 0, 32)
    for part in (vae, transformer, projection):
        part.eval().requires_grad_(False)
    scheduler = EDMDPMSolverMultistepScheduler(solver_order=2, prediction_type="v_prediction", sigma_data=1.0)
    return give_text(StableAudioPipeline(vae, None, projection, None, transformer, scheduler))


def tiny_ltx2_with_text(seed: int = 0) -> Any:
    """`tiny_ltx2`, but it takes a prompt, too."""
    return give_text(tiny_ltx2(seed))
