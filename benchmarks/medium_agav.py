"""An AGAV-Rater of 145 million random weights with the published token counts, for benchmarks on a CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from tiny_agav_rater import SPECIAL, random_network
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, shape_wrapper

from avreward import Clip
from avreward.raters import AgavRater, Sample
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav._network import AgavConfig
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
from avreward.raters.encoders.beats import BeatsConfig

PICTURE_TOKENS, FRAMES, SIDE = 1352, 16, 384


def medium_rater(checkpointing: Checkpointing = False, frames: int = FRAMES) -> AgavRater:
    """Return the published architecture: 384-pixel frames, 8·13·13 picture tokens, 8 sound tokens a 160 ms."""
    tokenizer = tiny_tokenizer(SPECIAL)
    config = AgavConfig(
        vision={
            "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 5, "num_attention_heads": 4,
            "image_size": SIDE, "patch_size": 14,
        },
        audio=BeatsConfig(layers=4, width=384, ffn=1536, heads=6, conv_pos_groups=16),
        language={
            "vocab_size": 32768, "hidden_size": 768, "intermediate_size": 2688, "num_hidden_layers": 8,
            "num_attention_heads": 12, "num_key_value_heads": 4, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
        },
        num_frames=frames,
    )  # fmt: skip
    return AgavRater(AgavBackbone(random_network(config), tokenizer), checkpointing=checkpointing)


def dubs(count: int, sound_tokens: int, requires_grad: bool = False) -> list[Sample]:
    """`count` dubs of one video, prepared up to the network's input; `sound_tokens` each."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_(requires_grad)

    video = Clip(video=torch.rand(1, 3, 2, 2, generator=generator), fps=1.0)
    pixels = random(FRAMES, 3, SIDE, SIDE).detach().clamp(-1, 1).requires_grad_(requires_grad)
    samples = []
    for _ in range(count):
        clip = video.with_audio(torch.rand(8, generator=generator), 8)  # stands for its key alone
        samples.append(Sample(clip, {"video": pixels, "audio": random(sound_tokens * 2, 128)}, {}))
    return samples


def flops(work: Callable[[], Any]) -> int:
    """Floating-point operations of `work`; of attention only the pairs that a causal mask leaves."""
    with _Flops() as counter:
        work()
    return counter.total


class _Flops(TorchDispatchMode):
    """Counts; FlopCounterMode can't, where a backward pass holds another one."""

    def __init__(self) -> None:
        super().__init__()
        attention = {
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward_flops,
        }
        self.formulas = {**flop_registry, **{name: shape_wrapper(each) for name, each in attention.items()}}
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = self.formulas.get(func._overloadpacket)
        self.total += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


def _attention_flops(
    query: Any, key: Any, value: Any, dropout: float = 0.0, is_causal: bool = False, *, attn_mask: Any = None, **_: Any
) -> int:
    batch, heads, queries, width = query
    keys = key[-2]
    causal = is_causal or (attn_mask is not None and attn_mask[-2] == queries and attn_mask[1] == 1)
    pairs = queries * keys - (queries * queries // 2 if causal else 0)
    return int(4 * batch * heads * pairs * width)


def _backward_flops(_: Any, query: Any, key: Any, value: Any, out: Any, total: Any, *more: Any, **named: Any) -> int:
    """Five products for the two of the forward pass: the weights once more, and the gradients of all four factors."""
    return _attention_flops(query, key, value, *more, **named) * 5 // 2


def machine() -> str:
    """Return what the numbers were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cores} cores, {torch.get_num_threads()} threads of torch {torch.__version__}{gpu}, {sys.platform}"
