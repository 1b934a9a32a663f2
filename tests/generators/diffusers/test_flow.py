"""Pipelines as the training loops see them: step by step what their own call does, and a LoRA that learns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from tiny_diffusers import build
from tiny_diffusers._parts import text
from tiny_ltx2 import prompt_embeds
from torch import Tensor

from avreward import Clip, term
from avreward.errors import ArgumentError
from avreward.generators import (
    Condition,
    Cost,
    DiffusersFlow,
    DiffusersSampler,
    FlowGenerator,
    Noise,
    clean_latents,
    sample_flow,
)
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep
from avreward.generators.diffusers.flow import AUDIO, PIPELINES
from avreward.training import DiffusionNft, Draft, FlowGrpo, Raft, add_lora

NOISE = ("CogVideoXPipeline", "CogVideoXImageToVideoPipeline", *AUDIO)  # predict noise or v
MASK = torch.ones(1, 4, dtype=torch.long)
OTHER: dict[str, Any] = {"negative_prompt_embeds": text(seed=3)}
# What turns guidance on in the call of each kind of pipeline, and the weights of the network's outputs.
GUIDED: dict[str, tuple[dict[str, Any], dict[str, list[float]]]] = {
    "WanPipeline": ({"guidance_scale": 4.0, **OTHER}, {"video": [4.0, -3.0]}),
    "LTXPipeline": (
        {"guidance_scale": 3.0, "guidance_rescale": 0.5, "negative_prompt_attention_mask": MASK, **OTHER},
        {"video": [-2.0, 3.0]},
    ),
    "LTX2Pipeline": (
        {
            **{f"negative_{name}": value for name, value in prompt_embeds(["noise"]).items()},
            "guidance_scale": 3.0,
            "stg_scale": 1.0,
            "modality_scale": 2.0,
            "guidance_rescale": 0.7,
            "audio_guidance_scale": 5.0,
            "audio_stg_scale": 0.5,
            "audio_modality_scale": 3.0,
            "audio_guidance_rescale": 0.3,
            "spatio_temporal_guidance_blocks": [1],
        },
        {"video": [-2.0, 5.0, -1.0, -1.0], "audio": [-4.0, 7.5, -0.5, -2.0]},
    ),
    "HunyuanVideoPipeline": (
        {
            "true_cfg_scale": 2.0,
            "negative_pooled_prompt_embeds": text(seed=3)[:, 0],
            "negative_prompt_attention_mask": MASK,
            **OTHER,
        },
        {"video": [2.0, -1.0]},
    ),
    "MotifVideoPipeline": ({"negative_prompt_attention_mask": MASK, **OTHER}, {"video": [4.0, -3.0]}),
    "CogVideoXPipeline": ({"guidance_scale": 6.0, **OTHER}, {"video": [-5.0, 6.0]}),
    "StableAudioPipeline": (
        {"guidance_scale": 7.0, "negative_attention_mask": MASK, **OTHER},
        {"audio": [-6.0, 7.0]},
    ),
    "AudioLDM2Pipeline": (
        {
            "guidance_scale": 3.5,
            "negative_generated_prompt_embeds": text(seed=4),
            "negative_attention_mask": MASK,
            **OTHER,
        },
        {"audio": [-2.5, 3.5]},
    ),
}


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """The mean of all pixels."""
    return clip.video.mean()


@term(needs="audio", low=0, high=1)
def loudness(clip: Clip) -> Tensor:
    """The mean square of all samples."""
    return clip.audio.square().mean()


def slow_but(fast: set[str], names: Iterable[str]) -> list[Any]:
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


REWARDS = {"video": brightness["brightness"], "audio": loudness["loudness"]}


def opened(name: str, **call: Any) -> tuple[DiffusersFlow, Condition]:
    """A pipeline whose own scheduler takes DDIM or Euler steps."""
    tiny = build(name)
    pipe = tiny.pipeline
    match name:
        case "AudioLDM2Pipeline":
            from diffusers import DDIMScheduler

            betas = {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}
            pipe.scheduler = DDIMScheduler(clip_sample=False, steps_offset=1, **betas)
        case "StableAudioPipeline":
            pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, solver_order=1)
        case "CogVideoXImageToVideoPipeline":
            from diffusers import CogVideoXDDIMScheduler

            pipe.scheduler = CogVideoXDDIMScheduler.from_config(pipe.scheduler.config)
        case "MotifVideoPipeline" if call:
            from diffusers import ClassifierFreeGuidance

            pipe.guider = ClassifierFreeGuidance(guidance_scale=4.0)
    return DiffusersFlow(pipe, fps=tiny.fps, checkpointing=False), Condition(arguments={**tiny.call, **call})


def sampled(generator: DiffusersFlow, condition: Condition, seeds: list[int], steps: int) -> dict[str, Tensor]:
    encoded = generator.encode(condition)
    with torch.no_grad():
        noises = [Noise.of(seed) for seed in seeds]
        return sample_flow(generator, encoded, noises, generator.sigmas(steps, encoded))


def check_equal_to_the_call(generator: DiffusersFlow, condition: Condition, steps: int) -> None:
    sampler = DiffusersSampler(generator.pipeline, fps=generator._sampler.fps)
    [expected] = sampler.make(condition, [Noise.of(3)], Cost(), steps)
    [clip] = generator.decode(sampled(generator, condition, [3], steps), generator.encode(condition))
    if "video" in generator.streams:
        torch.testing.assert_close(clip.video.clamp(0, 1), expected.video, rtol=1e-5, atol=1e-5)
    if "audio" in generator.streams:
        torch.testing.assert_close(clip.audio.clamp(-1, 1), expected.audio, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PIPELINES)
def test_euler_steps_give_the_clip_of_the_pipelines_own_call(name: str) -> None:
    generator, condition = opened(name)
    assert isinstance(generator, FlowGenerator)
    steps = 4 if name in NOISE else 2
    check_equal_to_the_call(generator, condition, steps)
    alone, again = sampled(generator, condition, [3], 1), sampled(generator, condition, [2, 3], 1)
    for stream in generator.streams:
        torch.testing.assert_close(again[stream][1:], alone[stream], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", slow_but({"WanPipeline", "LTX2Pipeline", "StableAudioPipeline"}, GUIDED))
def test_guidance_is_the_pipelines_own(name: str) -> None:
    call, weights = GUIDED[name]
    generator, condition = opened(name, **call)
    check_equal_to_the_call(generator, condition, 2)
    encoded = generator.encode(condition)
    generator.start(encoded, [Noise.of(0), Noise.of(1)])
    found = encoded.first[2]
    assert found.weights == weights
    assert {stream: len(x) for stream, x in found.samples.items()} == dict.fromkeys(generator.streams, 2)


def test_the_gradient_goes_through_guidance() -> None:
    generator, condition = opened("WanPipeline", **GUIDED["WanPipeline"][0])
    generator.network.double()
    encoded, sigma = generator.encode(condition), torch.tensor([0.7])
    latents = generator.start(encoded, [Noise.of(0)])["video"].requires_grad_()
    direction = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))

    def value(x: Tensor) -> Tensor:
        return (generator.velocity({"video": x}, sigma, encoded)["video"].double() * direction).sum()

    [gradient] = torch.autograd.grad(value(latents), latents)
    with torch.no_grad():
        expected = (value(latents + 0.01 * direction) - value(latents - 0.01 * direction)) / 0.02
        without = generator.velocity({"video": latents}, sigma, generator.encode(opened("WanPipeline")[1]))["video"]
        assert not torch.allclose(without, generator.velocity({"video": latents}, sigma, encoded)["video"], atol=1e-2)
    assert float((gradient * direction).sum()) == pytest.approx(float(expected), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("CogVideoXImageToVideoPipeline", "CogVideoXDPMScheduler"),
        ("StableAudioPipeline", "EDMDPMSolverMultistepScheduler"),
        ("AudioLDM2Pipeline", "DDIMScheduler"),
    ],
)
def test_each_step_of_another_solver_predicts_the_same_clean_sample(name: str, scheduler: str) -> None:
    """On the latents of the pipeline's own call, whose solver is stochastic or of second order."""
    import diffusers

    generator, condition = opened(name)
    config = {**generator.pipeline.scheduler.config, "solver_order": 2, "prediction_type": "v_prediction"}
    generator.pipeline.scheduler = getattr(diffusers, scheduler).from_config(config)
    generator = DiffusersFlow(generator.pipeline, fps=8)
    own, call = generator._sampler.prepare(condition, [Noise.of(3)], 4)
    seen: list[tuple[Tensor, float, Tensor]] = []

    def listen(step: ObservedStep) -> Tensor:
        clean, now, _ = step.clean()
        total = now.alpha + now.sigma
        seen.append((step.sample.float() / total, now.sigma / total, clean))
        return step.result

    own.scheduler.step = ObservedScheduler(own.scheduler, listen, call.generators)
    call()
    encoded, stream = generator.encode(condition), generator.streams[0]
    sigmas = generator.sigmas(4, encoded)
    assert [level for _, level, _ in seen] == pytest.approx(sigmas[:-1], rel=1e-5)
    with torch.no_grad():
        start = generator.start(encoded, [Noise.of(3)])[stream]
        torch.testing.assert_close(start, seen[0][0], rtol=1e-4, atol=1e-5)
        for latents, level, clean in seen:
            sigma = torch.tensor([level], dtype=torch.float32)
            velocity = generator.velocity({stream: latents}, sigma, encoded)[stream]
            torch.testing.assert_close(clean_latents(latents, velocity, sigma), clean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["CogVideoXPipeline", "StableAudioPipeline", "AudioLDM2Pipeline"])
def test_rows_at_different_noise_levels_do_not_see_each_other(name: str) -> None:
    generator, condition = opened(name)
    encoded, stream = generator.encode(condition), generator.streams[0]
    latents = generator.start(encoded, [Noise.of(0), Noise.of(1)])[stream]
    levels = torch.tensor([0.3, 0.8])
    with torch.no_grad():
        both = generator.velocity({stream: latents}, levels, encoded)[stream]
        for row in (0, 1):
            one = generator.velocity({stream: latents[row : row + 1]}, levels[row : row + 1], encoded)[stream]
            torch.testing.assert_close(both[row : row + 1], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", slow_but({"WanPipeline"}, ["WanPipeline", "LTX2Pipeline", "CogVideoXPipeline", "StableAudioPipeline"])
)
def test_a_lora_of_a_pipeline_learns(name: str) -> None:
    generator, condition = opened(name)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    reward = REWARDS[generator.streams[0]]
    loop = Draft(generator, reward, steps=3, learning_rate=2e-2, kl_weight=0.0)
    before = float(loop.update([condition], [Noise.of(0)]).rewards)
    for _ in range(6):
        after = float(loop.update([condition], [Noise.of(0)]).rewards)
    assert after > before


@pytest.mark.parametrize("name", slow_but({"StableAudioPipeline"}, ["CogVideoXPipeline", *AUDIO]))
def test_loops_on_scores_take_networks_that_predict_noise_or_v(name: str) -> None:
    generator, condition = opened(name)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    reward, group = REWARDS[generator.streams[0]], [[Noise.of(0), Noise.of(1)]]
    loops = [
        FlowGrpo(generator, reward, steps=3, window=1),
        FlowGrpo(generator, reward, steps=3, window=1, step="ddim"),
        DiffusionNft(generator, reward, steps=2, times=1),
        Raft(generator, reward, steps=2, times=1),
    ]
    for loop in loops:
        assert 0 < loop.update([condition], group).gradient_norm < float("inf")


@pytest.mark.parametrize("name", ["WanPipeline", "LTXPipeline", "CogVideoXPipeline", "StableAudioPipeline"])
def test_clips_are_encoded_to_the_latents_that_the_decoder_takes(name: str) -> None:
    """What the decoder makes of them before it decodes is what the autoencoder encodes."""
    generator, condition = opened(name)
    encoded, draw = generator.encode(condition), torch.Generator().manual_seed(0)
    [stream] = generator.streams
    [made] = generator.decode(generator.start(encoded, [Noise.of(0)]), encoded)
    vae = generator.pipeline.vae
    if stream == "video":
        video = torch.rand(made.video.shape, generator=draw)
        clip, given = Clip(video=video, fps=8), 2 * video.transpose(0, 1)[None] - 1
    else:
        wave = torch.rand(made.audio.shape, generator=draw) - 0.5
        clip = Clip(audio=wave, sample_rate=made.sample_rate)
        whole = generator.start(encoded, [Noise.of(0)])[stream].shape[-1] * vae.hop_length
        given = torch.nn.functional.pad(wave, (0, whole - wave.shape[-1]))[None]
    latents = generator.encode_clip(clip, encoded)[stream]
    decoder = generator._sampler.decoder(condition.arguments)
    own = decoder.video_decoder or decoder.audio_decoder
    with torch.no_grad():
        expected = vae.encode(given).latent_dist.mode()
    torch.testing.assert_close(own.prepare(latents), expected, rtol=1e-4, atol=1e-5)
    if stream == "video":
        with pytest.raises(ArgumentError, match="clip: expected one with latents of shape"):
            generator.encode_clip(Clip(video=torch.rand(1, 3, 32, 32), fps=8), encoded)


def test_spectrograms_are_not_encoded() -> None:
    for name in ("LTX2Pipeline", "AudioLDM2Pipeline"):
        generator, condition = opened(name)
        with pytest.raises(ArgumentError, match="pipeline: expected one whose autoencoder encodes clips"):
            generator.encode_clip(Clip(audio=torch.zeros(1, 100), sample_rate=1000), generator.encode(condition))


def test_what_cannot_be_trained_so_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"pipeline: expected one of WanPipeline, .* got a MochiPipeline"):
        DiffusersFlow(build("MochiPipeline").pipeline)
    from diffusers import AdaptiveProjectedGuidance, ClassifierFreeGuidance, UniPCMultistepScheduler

    wan = build("WanPipeline").pipeline
    wan.scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    with pytest.raises(ArgumentError, match="expected one with FlowMatchEulerDiscreteScheduler"):
        DiffusersFlow(wan)
    audio = build("AudioLDM2Pipeline").pipeline
    with pytest.raises(ArgumentError, match="expected one that clips nothing, got DDIMScheduler with clip_sample"):
        DiffusersFlow(audio)
    generator, condition = opened("CogVideoXPipeline", use_dynamic_cfg=True)
    with pytest.raises(ArgumentError, match="use_dynamic_cfg: expected False"):
        generator.encode(condition)
    motif = build("MotifVideoPipeline")
    motif.pipeline.guider = ClassifierFreeGuidance(guidance_scale=4.0, start=0.2)
    with pytest.raises(ArgumentError, match="expected one whose guider is ClassifierFreeGuidance in all steps"):
        DiffusersFlow(motif.pipeline, fps=16)
    generator, condition = opened("MotifVideoPipeline", **GUIDED["MotifVideoPipeline"][0])
    generator.pipeline.guider = AdaptiveProjectedGuidance(guidance_scale=4.0)
    encoded = generator.encode(condition)
    with pytest.raises(ArgumentError, match="guidance: expected a weighted sum of the network's outputs"):
        generator.start(encoded, [Noise.of(0), Noise.of(1)])
