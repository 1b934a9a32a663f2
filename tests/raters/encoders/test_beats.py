"""BEATs against the original at a small size, WavLM's positions, and what holds for every input."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from golden_weights import golden_state
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from avreward.errors import ArgumentError
from avreward.raters.encoders._gated_attention import by_position
from avreward.raters.encoders.beats import Beats, BeatsConfig, held_name

TINY = BeatsConfig(
    embed=6,
    layers=3,
    width=16,
    ffn=24,
    heads=2,
    conv_pos=4,
    conv_pos_groups=2,
    buckets=16,
    max_distance=20,
    classes=3,
)


def beats(config: BeatsConfig = TINY) -> Beats:
    """An encoder with the same weights each time, none of them zero."""
    network = Beats(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            scale = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1
            weight.copy_(scale * torch.randn(weight.shape, generator=generator) + (weight.ndim == 1))
    return network.requires_grad_(False)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the original

OFFICIAL = {
    "embed": "embed_dim",
    "layers": "encoder_layers",
    "width": "encoder_embed_dim",
    "ffn": "encoder_ffn_embed_dim",
    "heads": "encoder_attention_heads",
    "conv_pos": "conv_pos",
    "conv_pos_groups": "conv_pos_groups",
    "buckets": "num_buckets",
    "max_distance": "max_distance",
    "classes": "predictor_class",
}


@pytest.mark.golden(case="agav_beats")
def test_the_original(golden) -> None:
    tensors = golden.tensors()
    config = BeatsConfig(**{ours: golden.data["config"][official] for ours, official in OFFICIAL.items()})
    network = Beats(config)
    network.load_state_dict({held_name(name): weight for name, weight in golden_state(golden.data).items()})
    seen = {}
    parts = {"patch_ln": network.layer_norm, "patch_proj": network.post_extract_proj}
    parts |= {"pos_conv": network.encoder.pos_conv, "encoder_input": network.encoder.layer_norm}
    parts |= {f"layer{i}": layer for i, layer in enumerate(network.encoder.layers)}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))

    out = network(normalised(tensors["fbank"]))
    for name in parts.keys() & tensors.keys():  # they locate an error
        golden.check(seen[name], tensors[name], "forward")
    if "rel_pos_bias_item0_row0_and_mid" in tensors:
        bias = by_position(network.encoder.layers[0].self_attn.by_distance(out.shape[1]))
        golden.check(bias[:, [0, out.shape[1] // 2]], tensors["rel_pos_bias_item0_row0_and_mid"], "forward")
    golden.check(out, tensors["features"], "forward")

    gradients = {name: value for name, value in tensors.items() if name.startswith("grad_fbank_ratio")}
    assert gradients
    for name, expected in gradients.items():
        scaled = Beats(replace(config, gradient_ratio=float(name.removeprefix("grad_fbank_ratio"))))
        scaled.load_state_dict(network.state_dict())
        scaled.double()  # in float32 a gradient depends on the number of threads
        fbank = tensors["fbank"].double().requires_grad_()
        (found,) = torch.autograd.grad((scaled(normalised(fbank)) * tensors["grad_weight"]).sum(), fbank)
        golden.check(found, expected, "grad")


def normalised(fbank: Tensor) -> Tensor:
    return (fbank - 15.41663) / (2 * 6.55582)


@pytest.mark.parametrize(("buckets", "most"), [(320, 800), (32, 128), (16, 20)])
def test_positions_are_wavlms(buckets: int, most: int) -> None:
    from transformers.models.wavlm.modeling_wavlm import WavLMAttention

    theirs = WavLMAttention(16, 2, num_buckets=buckets, max_distance=most)
    ours = beats(replace(TINY, buckets=buckets, max_distance=most)).encoder.layers[0].self_attn
    theirs.rel_attn_embed.weight = ours.relative_attention_bias.weight
    assert torch.equal(by_position(ours.by_distance(1496)), theirs.compute_bias(1496, 1496))


# ---- checkpoints


def repeated(network: Beats, layers: list[int]) -> dict[str, Tensor]:
    """The state of `network` with the shared table under `layers`."""
    state = network.state_dict()
    table = state.pop("encoder.layers.0.self_attn.relative_attention_bias.weight")
    return state | {f"encoder.layers.{i}.self_attn.relative_attention_bias.weight": table for i in layers}


@pytest.mark.parametrize("layers", [[0, 1, 2], [0], [1, 2], [2]])
def test_the_shared_table_may_stand_under_any_layer(layers: list[int]) -> None:
    source, network = beats(), Beats(TINY).requires_grad_(False)
    network.load_state_dict({held_name(name): weight for name, weight in repeated(source, layers).items()})
    assert torch.equal(network(noise(1, 32, 128)), source(noise(1, 32, 128)))


def test_safetensors_take_it_once() -> None:
    state = load(save(beats().state_dict()))
    assert [name for name in state if "relative" in name] == [
        "encoder.layers.0.self_attn.relative_attention_bias.weight"
    ]
    Beats(TINY).load_state_dict(state)


# ---- properties


@settings(max_examples=20)
@given(windows=st.integers(16, 90), batch=st.integers(2, 4), alone=st.integers(0, 3), seed=st.integers(0, 9))
def test_neighbours_in_a_batch_make_no_difference(windows: int, batch: int, alone: int, seed: int) -> None:
    network, fbank = beats(), noise(batch, windows, 128, seed=seed)
    alone %= batch
    together = network(fbank)
    assert together.shape == (batch, windows // 16 * 8, TINY.width)
    torch.testing.assert_close(together[alone], network(fbank[alone : alone + 1])[0], rtol=0, atol=1e-5)


def test_windows_after_the_last_patch_are_left_out() -> None:
    network, fbank = beats(), noise(1, 47, 128)
    assert torch.equal(network(fbank), network(fbank[:, :32]))


def test_time_varies_slowest() -> None:
    network, fbank, patches = beats(), noise(1, 48, 128), []
    network.post_extract_proj.register_forward_hook(lambda *call: patches.append(call[2]))
    network(fbank)
    for time, band in product(range(3), range(8)):
        changed = fbank.clone()
        changed[:, 16 * time : 16 * time + 16, 16 * band : 16 * band + 16] += 1
        network(changed)
        moved = (patches[-1] != patches[0]).any(-1)[0]
        assert moved.nonzero().flatten().tolist() == [8 * time + band]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_small_weights_are_normalised_with_a_floor(dtype: torch.dtype) -> None:
    """Where the squares of a tap add up to 1e-6, the floor itself, its gain is 1/√2; half precision holds none."""
    network = beats().encoder.pos_conv[0]
    size = network.weight_v.shape[0] * network.weight_v.shape[1]
    network.weight_v.fill_((1e-6 / size) ** 0.5)
    network.weight_g.fill_(1)
    network.bias.zero_()
    impulse = torch.zeros(1, 9, TINY.width)
    impulse[0, 4, 0] = 1
    found = network.to(dtype)(impulse.to(dtype)).float()[0, :, 0]
    expected = torch.zeros(9)
    expected[3:7] = (2 * size) ** -0.5
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close(dtype: torch.dtype) -> None:
    network, fbank = beats(), noise(2, 64, 128)
    with torch.no_grad():
        network.encoder.layers[0].self_attn.relative_attention_bias.weight.mul_(30)
    whole = network(fbank)
    half = network.to(dtype)(fbank.to(dtype))
    assert half.dtype == dtype
    assert float((half.float() - whole).abs().max()) < 60 * torch.finfo(dtype).eps


# ---- gradients


def test_gradient(check_gradient) -> None:
    check_gradient(beats().double(), noise(2, 35, 128))


def test_gradient_of_the_shared_table(check_gradient) -> None:
    network = beats().double()
    name = "encoder.layers.0.self_attn.relative_attention_bias.weight"
    fbank = noise(1, 48, 128).double()
    check_gradient(
        lambda table: torch.func.functional_call(network, {name: table}, (fbank,)), network.get_parameter(name)
    )


@settings(max_examples=10)
@given(ratio=st.floats(0.1, 2), layers=st.integers(1, 4), training=st.booleans())
def test_the_ratio_counts_once_a_layer(ratio: float, layers: int, training: bool) -> None:
    true, scaled = (beats(replace(TINY, layers=layers, gradient_ratio=value)).double() for value in (1.0, ratio))
    true.train(training), scaled.train(training)
    fbank = noise(1, 33, 128).double().requires_grad_()
    expected, found = (torch.autograd.grad(network(fbank).pow(3).sum(), fbank)[0] for network in (true, scaled))
    torch.testing.assert_close(found, expected * ratio**layers, rtol=1e-9, atol=0)
    scaled.gradient_ratio = 1.0
    (found,) = torch.autograd.grad(scaled(fbank).pow(3).sum(), fbank)
    assert torch.equal(found, expected)


def test_layers_can_be_checkpointed() -> None:
    gradients = []
    for on in (False, True):
        network, runs, fbank = beats().train(), [], noise(1, 40, 128).requires_grad_()
        layers = [part for part in network.modules() if isinstance(part, GradientCheckpointingLayer)]
        assert len(layers) == TINY.layers
        for layer in layers:
            layer.fc1.register_forward_hook(lambda *_, runs=runs: runs.append(1))
            layer.gradient_checkpointing = on
            layer._gradient_checkpointing_func = lambda call, *args: checkpoint(call, *args, use_reentrant=False)
        network(fbank).sum().backward()
        assert len(runs) == TINY.layers * (1 + on)
        gradients.append(fbank.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("shape", [(1, 15, 128), (1, 32, 64), (32, 128)])
def test_a_filter_bank_without_patches_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ArgumentError, match=r"fbank: expected a tensor \(b, windows, 128\) with 16 .*, got a Tensor of shape"
    ):
        beats()(torch.zeros(shape))
