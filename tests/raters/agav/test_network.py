"""The network of AGAV-Rater against the original at a small size, and the properties of its parts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from accelerate import init_empty_weights
from golden_weights import golden_state
from lmm_checks import widen
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media._resize import resize
from avreward.raters.agav._keys import config_from_official, official_to_ours
from avreward.raters.agav._network import AgavConfig, AgavNetwork
from avreward.raters.encoders.beats import BeatsConfig

TINY = AgavConfig(
    vision={
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 42,
        "patch_size": 14,
    },
    audio=BeatsConfig(embed=6, layers=2, width=16, ffn=24, heads=2, conv_pos=4, conv_pos_groups=2, classes=3),
    language={
        "vocab_size": 32,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_theta": 5000.0,
    },
    num_frames=4,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(config: AgavConfig = TINY, attn_implementation: str = "sdpa") -> AgavNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return AgavNetwork(config, attn_implementation).requires_grad_(False).eval()


# ---- the original


def original(case: dict, ratio: float = 1.0) -> AgavNetwork:
    """The case's network, configured and loaded as a published checkpoint would be."""
    about = case["config"]
    file = {
        **about["language"],
        **about["multimodal"],
        "vision_config": about["vision"],
        "audio_config": about["audio"],
    }
    config = config_from_official(file, {name: tuple(shape) for name, shape, _ in case["state_dict"]})
    network = AgavNetwork(replace(config, audio=replace(config.audio, gradient_ratio=ratio)))
    network.load_state_dict({official_to_ours(name): weight for name, weight in golden_state(case).items()})
    return network.requires_grad_(False).eval()


def run(network: AgavNetwork, case: dict, pixels: Tensor, fbank: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """The scores of a batch and all that comes before them, under the names of the case's tensors."""
    normalised = (fbank - 15.41663) / (2 * 6.55582)
    seen = {
        "vision_features": torch.cat([network.vision_features(clip) for clip in pixels]),
        "video_tokens": torch.stack([network.encode_video(clip) for clip in pixels]),
        "audio_features": network.audio(normalised),
        "audio_tokens": torch.stack([network.encode_audio(clip) for clip in normalised]),
    }
    sequences = []
    for row, video, audio in zip(ids, seen["video_tokens"], seen["audio_tokens"], strict=True):
        (place,) = (row == case["config"]["placeholder_id"]).nonzero().flatten().tolist()
        before, after = network.language.embed_tokens(row[:place]), network.language.embed_tokens(row[place + 1 :])
        sequences.append(torch.cat([before, video, audio, after]))
    seen["inputs_embeds"] = torch.stack(sequences)
    hook = network.language.layers[0].register_forward_hook(lambda *call: seen.update(decoder_layer0=call[2]))
    seen["last_hidden"] = network.language(inputs_embeds=seen["inputs_embeds"]).last_hidden_state
    hook.remove()
    seen["scores"] = network.regression(seen["last_hidden"][:, -1])
    return seen


def wide(network: AgavNetwork) -> AgavNetwork:
    """The network in float64, so that a gradient does not depend on the number of threads."""
    widen(network)
    network.restore_buffers("cpu")
    return network


@pytest.mark.golden(case="agav_rater")
def test_the_originals_values(golden) -> None:
    tensors = golden.tensors()
    found = run(original(golden.data), golden.data, tensors["pixels"], tensors["fbank"], tensors["input_ids"])
    for name in [name for name in found if name in tensors and name != "scores"]:  # they locate an error
        golden.check(found[name], tensors[name], "intermediates")
    golden.check(found["scores"], tensors["scores"], "scores")
    golden.check(found["scores"], torch.tensor(golden.data["expected_scores"]), "scores")


@pytest.mark.golden(case="agav_rater")
def test_the_originals_gradients(golden) -> None:
    tensors = golden.tensors()
    names = [name for name in tensors if name.startswith("grad_fbank_ratio")]
    assert names
    for name in names:
        network = wide(original(golden.data, float(name.removeprefix("grad_fbank_ratio"))))
        pixels, fbank = (tensors[key].double().requires_grad_() for key in ("pixels", "fbank"))
        scores = run(network, golden.data, pixels, fbank, tensors["input_ids"])["scores"]
        on_pixels, on_fbank = torch.autograd.grad(scores.sum(), [pixels, fbank])
        golden.check(on_pixels, tensors["grad_pixels"], "gradients")
        golden.check(on_fbank, tensors[name], "gradients")


@pytest.mark.golden(case="agav_rater")
def test_the_originals_frames(golden) -> None:
    tensors = golden.tensors()
    levels = tensors["frames_uint8"].movedim(-1, -3).float() / 255
    resized = resize(levels, tensors["pixels"].shape[-2:], "bicubic", rounding="exact")
    golden.same((resized * 255).round().byte(), tensors["resized_uint8"])
    pixels = (resized - 0.5) / 0.5
    golden.close(pixels, tensors["pixels"], atol=golden.numbers("pixels")[0])
    found = run(original(golden.data), golden.data, pixels, tensors["fbank"], tensors["input_ids"])
    golden.check(found["scores"], tensors["scores"], "scores")


# ---- the parts


@pytest.mark.parametrize("layer", [-4, -3, -2, -1, 0, 2, 3])
def test_the_layer_that_is_read_is_transformers_own(layer: int) -> None:
    network, pixels = build(replace(TINY, vision_layer=layer)), noise(2, 3, 42, 42)
    states = network.vision(pixels, output_hidden_states=True).hidden_states
    assert torch.equal(network.vision_features(pixels), states[layer])


def test_what_no_score_needs_is_not_run() -> None:
    network = build()
    for part in (network.vision.encoder.layers[-1], network.vision.post_layernorm, network.vision.head):
        part.register_forward_hook(lambda *_: pytest.fail("ran"))
    for part in (network.audio.predictor, network.lm_head):
        part.register_forward_hook(lambda *_: pytest.fail("ran"))
    assert network.encode_video(noise(4, 3, 42, 42)).shape == (2, 24)
    assert network.encode_audio(noise(40, 128)).shape == (16, 24)


def test_frames_two_at_a_time() -> None:
    network, pixels = build(), noise(5, 3, 42, 42)
    together = network.encode_pairs(pixels)
    sizes: list[int] = []
    network.vision.embeddings.register_forward_hook(lambda *call: sizes.append(len(call[2])))
    torch.testing.assert_close(network.encode_video(pixels), together, rtol=1e-5, atol=1e-6)
    assert sizes == [2, 2]  # the last is of no use


def test_implementations_of_attention_agree() -> None:
    outs = []
    for implementation in ("sdpa", "eager"):
        network = build(attn_implementation=implementation)
        assert network.vision.config._attn_implementation == implementation
        assert network.language.config._attn_implementation == implementation
        video = network.encode_video(noise(4, 3, 42, 42))
        outs.append(network.language(inputs_embeds=video[None]).last_hidden_state)
    torch.testing.assert_close(*outs, rtol=0, atol=1e-5)


def test_the_linear_projector() -> None:
    network = build(replace(TINY, audio_projector="linear"))
    assert network.audio_projector.weight.shape == (24, 16)
    assert network.encode_audio(noise(32, 128)).shape == (16, 24)


def test_gradient_reaches_clip(check_gradient) -> None:
    network = build().double()
    network.restore_buffers("cpu")
    check_gradient(network.encode_video, noise(4, 3, 42, 42), rtol=1e-4)
    check_gradient(network.encode_audio, noise(40, 128))


# ---- configuration and loading


def test_the_configuration_is_json() -> None:
    assert AgavConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY


@pytest.mark.parametrize("empty", [lambda: torch.device("meta"), init_empty_weights], ids=["meta", "accelerate"])
def test_a_network_without_memory_can_be_filled(empty) -> None:
    source = build()
    with empty():
        network = AgavNetwork(TINY)
    assert all(weight.is_meta for weight in network.parameters())
    network.load_state_dict(source.state_dict(), assign=True)
    network.restore_buffers("cpu")
    assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    assert network.state_dict().keys() == source.state_dict().keys()
    video = network.encode_video(noise(4, 3, 42, 42))
    torch.testing.assert_close(video, source.encode_video(noise(4, 3, 42, 42)))
    found, expected = (each.language(inputs_embeds=video[None]).last_hidden_state for each in (network, source))
    assert torch.equal(found, expected)


def test_the_rotary_base_is_the_configured_one() -> None:
    frequencies = build().language.rotary_emb.inv_freq
    torch.testing.assert_close(frequencies, 5000.0 ** -(torch.arange(0, 6, 2) / 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"connector": "stc_connector"},
            r"mm_projector_type\): expected one of stc_connector_v35, got 'stc_connector'",
        ),
        ({"audio_projector": "qformer"}, r"mm_projector_a_type\): expected one of mlp2x_gelu, linear, got 'qformer'"),
        ({"vision_layer": -5}, "vision_layer: expected an index from -4 to 3, got -5"),
        ({"vision_layer": 4}, "vision_layer: expected an index from -4 to 3, got 4"),
    ],
)
def test_other_kinds_are_named(change: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        replace(TINY, **change)
