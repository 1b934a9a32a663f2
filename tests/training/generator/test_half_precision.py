"""A network in bfloat16: its LoRA is float32, small steps count, and a run goes on with the same result."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_diffusers import build
from torch import Tensor

from avreward import Clip, term
from avreward.generators import Condition, DiffusersFlow, Noise
from avreward.training import DiffusionNft, FlowGrpo, add_lora, load_tuning, save_lora, save_tuning
from avreward.training.generator.lora import lora_state

RATE = 1e-5
LOOPS = {"nft": DiffusionNft, "flow_grpo": FlowGrpo}


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """The mean of all pixels."""
    return clip.video.mean()


def opened(dtype: torch.dtype, kind: str = "nft") -> tuple[DiffusionNft | FlowGrpo, Condition]:
    tiny = build("WanPipeline")
    generator = DiffusersFlow(tiny.pipeline.to(dtype), fps=tiny.fps)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    options = {"times": 1} if kind == "nft" else {"window": 1, "window_updates": 1}
    loop = LOOPS[kind](generator, brightness["brightness"], steps=2, learning_rate=RATE, **options)
    return loop, Condition(arguments=tiny.call)


def moved(loop: DiffusionNft | FlowGrpo, condition: Condition, updates: range) -> dict[str, Tensor]:
    """The LoRA's change in some updates."""
    before = lora_state(loop.generator.network)
    for number in updates:
        loop.update([condition], [[Noise.of(2 * number), Noise.of(2 * number + 1)]])
    return {name: value - before[name] for name, value in lora_state(loop.generator.network).items()}


@pytest.mark.parametrize("kind", LOOPS)
def test_small_steps_move_a_lora_of_bfloat16_as_one_of_float32(kind: str) -> None:
    sizes = []
    for dtype in (torch.bfloat16, torch.float32):
        loop, condition = opened(dtype, kind)
        network = loop.generator.network
        kinds = {p.requires_grad: p.dtype for name, p in network.named_parameters() if "to_q" in name}
        assert kinds == {True: torch.float32, False: dtype}
        change = torch.cat([value.flatten() for value in moved(loop, condition, range(4)).values()]).abs()
        assert float((change > 0.1 * RATE).float().mean()) > 0.95  # 0.15 in bfloat16
        sizes.append(float(change.mean()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.25)


def test_a_run_in_bfloat16_is_saved_in_float32_and_goes_on_with_the_same_result(tmp_path: Path) -> None:
    (whole, condition), (stopped, _), (again, _) = (opened(torch.bfloat16) for _ in range(3))
    moved(whole, condition, range(3))
    moved(stopped, condition, range(1))
    save_tuning(stopped, tmp_path / "run.pt")
    load_tuning(again, tmp_path / "run.pt")
    moved(again, condition, range(1, 3))
    mine, theirs = lora_state(whole.generator.network), lora_state(again.generator.network)
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    kept = load_file(save_lora(whole.generator.network, tmp_path / "lora.safetensors"))
    assert {value.dtype for value in kept.values()} == {torch.float32}
    named = {f"transformer.{name.replace('.default.', '.')}": value for name, value in mine.items()}
    assert set(kept) == set(named)
    assert all(torch.equal(value, kept[name]) for name, value in named.items())


def test_a_network_in_float64_keeps_its_type() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2)).double()
    assert {p.dtype for p in add_lora(network, rank=1)} == {torch.float64}
