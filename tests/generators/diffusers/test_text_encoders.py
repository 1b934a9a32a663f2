"""Text encoders that are offloaded: the same clips, and no weights on the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_diffusers import build
from tiny_tokenizer import tiny_tokenizer
from transformers import UMT5Config, UMT5EncoderModel

from avreward.generators import Condition, DiffusersFlow, Noise, sample_flow
from avreward.generators.diffusers._text_encoders import offload_text_encoders


def with_encoder() -> tuple[Any, Condition]:
    """A tiny Wan that encodes its prompts itself."""
    tiny = build("WanPipeline")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
        encoder = UMT5EncoderModel(UMT5Config(vocab_size=400, **sizes)).eval().requires_grad_(False)
    tiny.pipeline.register_modules(text_encoder=encoder, tokenizer=tiny_tokenizer(["<pad>"]))
    call = {name: value for name, value in tiny.call.items() if name != "prompt_embeds"}
    return tiny.pipeline, Condition(arguments={**call, "prompt": "a good video", "max_sequence_length": 16})


def sampled(pipeline: Any, condition: Condition) -> torch.Tensor:
    generator = DiffusersFlow(pipeline, fps=16)
    encoded = generator.encode(condition)
    with torch.no_grad():
        return sample_flow(generator, encoded, [Noise.of(0)], generator.sigmas(2, encoded))["video"]


def places(network: torch.nn.Module) -> set[str]:
    return {parameter.device.type for parameter in network.parameters()}


def test_an_offloaded_encoder_gives_the_same_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, condition = with_encoder()
    expected = sampled(pipeline, condition)
    cpu = torch.device("cpu")
    monkeypatch.setattr(type(pipeline), "_execution_device", cpu)  # what diffusers finds if others are on it
    offload_text_encoders(pipeline, cpu)
    assert places(pipeline.text_encoder) == {"meta"}
    assert torch.equal(sampled(pipeline, condition), expected)
    assert places(pipeline.text_encoder) == {"meta"}
    hook = pipeline.text_encoder._hf_hook
    offload_text_encoders(pipeline, cpu)  # it is already
    assert pipeline.text_encoder._hf_hook is hook


def test_a_pipeline_that_would_lose_its_device_stays_as_it_is() -> None:
    pipeline, condition = with_encoder()
    expected = sampled(pipeline, condition)
    offload_text_encoders(pipeline, torch.device("cpu"))  # its device would be that of the encoder, none
    assert places(pipeline.text_encoder) == {"cpu"}
    assert torch.equal(sampled(pipeline, condition), expected)


def test_it_is_done_where_the_network_is_on_an_accelerator() -> None:
    pipeline, _ = with_encoder()
    DiffusersFlow(pipeline, fps=16)
    assert places(pipeline.text_encoder) == {"cpu"}
    pipeline.transformer.to("meta")  # stands for an accelerator
    DiffusersFlow(pipeline, fps=16)
    assert places(pipeline.text_encoder) == {"meta"}
