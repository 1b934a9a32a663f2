"""Pipelines that make audio alone: Stable Audio, AudioLDM, MusicLDM, Dance Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tiny_diffusers._parts import TEXT, Tiny, image_vae, seeded, text, uniform

STEPS = {"num_inference_steps": 4}


def stable_audio_with(vae: Any) -> Any:
    """Return a `StableAudioPipeline` of an autoencoder with three channels of latents."""
    from diffusers import EDMDPMSolverMultistepScheduler, StableAudioDiTModel, StableAudioPipeline
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel

    transformer = StableAudioDiTModel(
        sample_size=64, in_channels=3, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        num_key_value_attention_heads=2, out_channels=3, cross_attention_dim=TEXT, time_proj_dim=8,
        global_states_input_dim=2 * TEXT, cross_attention_input_dim=TEXT,
    )  # fmt: skip
    projection = StableAudioProjectionModel(TEXT, TEXT, 0, 32)
    scheduler = EDMDPMSolverMultistepScheduler(solver_order=2, prediction_type="v_prediction", sigma_data=1.0)
    return StableAudioPipeline(vae, None, projection, None, transformer, scheduler)


def oobleck() -> Any:
    """Return Stable Audio's autoencoder: stereo at 1 kHz, 2 samples to a latent."""
    from diffusers import AutoencoderOobleck

    return AutoencoderOobleck(
        encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
        audio_channels=2, channel_multiples=[2, 4], sampling_rate=1000,
    )  # fmt: skip


@seeded
def stable_audio() -> Tiny:
    """Return a tiny `StableAudioPipeline`."""
    pipe = stable_audio_with(oobleck())
    mask = torch.ones(1, 4, dtype=torch.long)
    call = {"prompt_embeds": text(), "attention_mask": mask, "audio_end_in_s": 0.05, "guidance_scale": 1.0, **STEPS}
    call |= {"negative_prompt_embeds": 0 * text(), "negative_attention_mask": mask}
    return Tiny(pipe, call)


def _stable_audio3(name: str, **more: Any) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers
        from diffusers.pipelines.stable_audio_3 import StableAudio3DurationEmbedder

        vae = diffusers.AutoencoderSAME(
            patch_size=4, encoder_channels=8, encoder_c_mults=(2,), encoder_strides=(2,),
            encoder_transformer_depths=(1,), latent_dim=4, dim_heads=8, ff_mult=1, sampling_rate=1000,
            use_differential_attention=False,
        )  # fmt: skip
        transformer = diffusers.StableAudio3DiTModel(
            io_channels=4, embed_dim=16, depth=1, num_heads=2, cond_token_dim=TEXT, global_cond_dim=TEXT,
            local_add_cond_dim=5, timestep_features_dim=8, ff_mult=1.0, num_memory_tokens=2,
        )  # fmt: skip
        embedder = StableAudio3DurationEmbedder(output_dim=TEXT, fourier_dim=8)
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
        pipe = getattr(diffusers, name)(vae, None, None, embedder, transformer, scheduler)
        call = {"prompt_embeds": text(), "encoder_attention_mask": torch.ones(1, 4, dtype=torch.long)}
        return Tiny(pipe, {**call, "duration": 0.1, **STEPS, **more})

    return made


def vocoder(bins: int = 8) -> Any:
    """Return a vocoder: 4 samples to a frame of the spectrogram."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    config = SpeechT5HifiGanConfig(
        model_in_dim=bins, sampling_rate=1000, upsample_initial_channel=16, upsample_rates=[2, 2],
        upsample_kernel_sizes=[4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
        normalize_before=False, initializer_range=0.2,
    )  # fmt: skip
    return SpeechT5HifiGan(config)


@seeded
def audioldm2() -> Tiny:
    """Return a tiny `AudioLDM2Pipeline`."""
    from diffusers import AudioLDM2Pipeline, AudioLDM2UNet2DConditionModel, DDIMScheduler
    from transformers import T5Config, T5EncoderModel

    unet = AudioLDM2UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=(TEXT, TEXT), attention_head_dim=4, norm_num_groups=4,
    )  # fmt: skip
    t5 = T5EncoderModel(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    vae = image_vae(in_channels=1, out_channels=1)
    pipe = AudioLDM2Pipeline(vae, None, t5, None, t5, None, None, None, unet, DDIMScheduler(), vocoder())
    call = {"prompt_embeds": text(), "generated_prompt_embeds": text(), "attention_mask": torch.ones(1, 4)}
    return Tiny(pipe, {**call, "audio_length_in_s": 0.062, "guidance_scale": 1.0, **STEPS})


def _ldm(name: str) -> Callable[[], Tiny]:
    @seeded
    def made() -> Tiny:
        import diffusers

        from tiny_diffusers.unets import unet

        network = unet(
            class_embed_type="simple_projection", projection_class_embeddings_input_dim=TEXT,
            class_embeddings_concat=True, cross_attention_dim=(8, 16),
        )  # fmt: skip
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        encoder = ClapTextModelWithProjection(ClapTextConfig(vocab_size=8, projection_dim=8, **sizes))
        parts = {
            "vae": image_vae(in_channels=1, out_channels=1), "text_encoder": encoder, "tokenizer": None,
            "unet": network, "scheduler": diffusers.DDIMScheduler(clip_sample=False), "vocoder": vocoder(),
        }  # fmt: skip
        if name == "MusicLDMPipeline":
            parts["feature_extractor"] = None
        pipe = getattr(diffusers, name)(**parts)
        call = {"prompt_embeds": text()[:, 0], "audio_length_in_s": 0.064, "guidance_scale": 1.0}
        return Tiny(pipe, {**call, **STEPS})

    return made


@seeded
def dance() -> Tiny:
    """Return a tiny `DanceDiffusionPipeline`."""
    from diffusers import DanceDiffusionPipeline, IPNDMScheduler, UNet1DModel

    network = UNet1DModel(
        sample_size=64, sample_rate=1000, in_channels=2, out_channels=2, extra_in_channels=64,
        down_block_types=("DownBlock1DNoSkip", "DownBlock1D", "AttnDownBlock1D"),
        up_block_types=("AttnUpBlock1D", "UpBlock1D", "UpBlock1DNoSkip"), block_out_channels=(32, 32, 64),
    )  # fmt: skip
    return Tiny(DanceDiffusionPipeline(network, IPNDMScheduler()), {"audio_length_in_s": 0.064, **STEPS}, None, 1000)


BUILDERS: Mapping[str, Callable[[], Tiny]] = {
    "StableAudioPipeline": stable_audio,
    "StableAudio3Pipeline": _stable_audio3("StableAudio3Pipeline", guidance_scale=1.0),
    "StableAudio3AudioToAudioPipeline": _stable_audio3(
        "StableAudio3AudioToAudioPipeline", audio=uniform(1, 2, 100) - 0.5
    ),
    "StableAudio3InpaintPipeline": _stable_audio3(
        "StableAudio3InpaintPipeline", audio=uniform(1, 2, 100) - 0.5, mask_start_seconds=0.02, mask_end_seconds=0.05
    ),
    "AudioLDM2Pipeline": audioldm2,
    "AudioLDMPipeline": _ldm("AudioLDMPipeline"),
    "MusicLDMPipeline": _ldm("MusicLDMPipeline"),
    "DanceDiffusionPipeline": dance,
}
