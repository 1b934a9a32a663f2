"""Tiny diffusers pipelines with random weights that take a prompt: what they make shows nothing, and takes no time.

They stand in for published ones in recipes, tests and benchmarks. `tiny_ltx2` has a file of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from tiny_diffusers._parts import TEXT, wan_sizes, wan_vae
from tiny_diffusers.audio import stable_audio_with
from tiny_ltx2 import tiny_ltx2
from tiny_tokenizer import tiny_tokenizer


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
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = wan_vae()
        transformer = WanTransformer3DModel(**wan_sizes(qk_norm="rms_norm_across_heads"))
    for part in (vae, transformer):
        part.eval().requires_grad_(False)
    return give_text(WanPipeline(None, None, vae, FlowMatchEulerDiscreteScheduler(shift=7.0), transformer))


def tiny_stable_audio(seed: int = 0) -> Any:
    """Return a `StableAudioPipeline`: stereo at 8 kHz, up to 0.5 s.

    >>> tiny_stable_audio()("rain", audio_end_in_s=0.25, num_inference_steps=2).audios.shape
    torch.Size([1, 2, 2000])
    """
    from diffusers import AutoencoderOobleck

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderOobleck(
            encoder_hidden_size=6, downsampling_ratios=[2, 4, 8], decoder_channels=3, decoder_input_channels=3,
            audio_channels=2, channel_multiples=[1, 2, 4], sampling_rate=8000,
        )  # fmt: skip
        pipe = stable_audio_with(vae)
    for part in (vae, pipe.transformer, pipe.projection_model):
        part.eval().requires_grad_(False)
    return give_text(pipe)


def tiny_ltx2_with_text(seed: int = 0) -> Any:
    """`tiny_ltx2`, but it takes a prompt, too."""
    return give_text(tiny_ltx2(seed))
