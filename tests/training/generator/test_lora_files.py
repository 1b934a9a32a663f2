"""A LoRA's file: what diffusers' own pipeline makes of it, and what is read back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny.flow import JointGenerator
from tiny_diffusers import build
from torch import Tensor

from avreward.generators import Condition, DiffusersFlow, Noise
from avreward.training import add_lora, load_lora, save_lora
from avreward.training.generator.lora import lora_state


def trained(alpha: int = 6) -> DiffusersFlow:
    """A pipeline whose LoRA is not 0 any more, with a scale of 3."""
    tiny = build("WanPipeline")
    generator = DiffusersFlow(tiny.pipeline, fps=tiny.fps)
    add_lora(generator.network, rank=2, alpha=alpha, targets=["to_q", "to_out.0"])
    draw = torch.Generator().manual_seed(0)
    for name, parameter in generator.network.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    return generator


def test_a_pipeline_with_the_file_denoises_as_the_trained_one(tmp_path: Path) -> None:
    generator, tiny = trained(), build("WanPipeline")
    plain = DiffusersFlow(tiny.pipeline, fps=tiny.fps)

    def velocity(one: DiffusersFlow) -> Tensor:
        with torch.no_grad():
            encoded = one.encode(Condition(arguments=tiny.call))
            return one.velocity(one.start(encoded, [Noise.of(0)]), torch.full((1,), 0.5), encoded)["video"]

    before = velocity(plain)
    tiny.pipeline.load_lora_weights(save_lora(generator.network, tmp_path / "lora.safetensors"))
    torch.testing.assert_close(velocity(plain), velocity(generator))
    assert float((velocity(plain) - before).abs().max()) > 1e-3
    again = trained()
    for parameter in (p for p in again.network.parameters() if p.requires_grad):
        parameter.data.zero_()
    load_lora(again.network, tmp_path / "lora.safetensors")
    assert all(torch.equal(value, lora_state(generator.network)[n]) for n, value in lora_state(again.network).items())


@pytest.mark.parametrize("lora", [True, False])
def test_other_networks_keep_the_names_of_their_layers(tmp_path: Path, lora: bool) -> None:
    network = JointGenerator().network
    if lora:
        add_lora(network, rank=2, targets=["hidden"])
    path = save_lora(network, tmp_path / "lora.safetensors")
    expected = {"hidden.lora_A.weight", "hidden.lora_B.weight"} if lora else set(lora_state(network))
    assert set(load_file(path)) == expected
    before = lora_state(network)
    for parameter in (p for p in network.parameters() if p.requires_grad):
        parameter.data.zero_()
    load_lora(network, path)
    assert all(torch.equal(value, before[name]) for name, value in lora_state(network).items())
