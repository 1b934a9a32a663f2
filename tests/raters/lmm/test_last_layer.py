"""The last layer for the tokens that are read gives what the whole layer gives, and is skipped for the others."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from lmm_checks import noise, plainly
from torch import Tensor, nn
from toy_backbone import ToyBackbone
from transformers import (
    LlamaConfig,
    LlamaModel,
    Qwen2_5_VLTextConfig,
    Qwen2_5OmniTextConfig,
    Qwen2Config,
    Qwen2Model,
    Qwen2VLTextConfig,
    Qwen3Config,
    Qwen3Model,
    Qwen3OmniMoeTextConfig,
    Qwen3VLTextConfig,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerTextModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLTextModel
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeThinkerTextModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from avreward.raters.checkpoints._activation_checkpointing import checkpointed
from avreward.raters.lmm import _last_layer as last_layer
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._last_layer import reading
from avreward.raters.lmm._prefix import PrefixCache
from avreward.raters.lmm._shared_attention import common_beginning, sharing
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Text, Tokens

SIZES = {
    "vocab_size": 20, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip
AXES = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "decoder_sparse_step": 1}
FAMILIES = {
    "llama": (LlamaModel, LlamaConfig, {}),
    "qwen2": (Qwen2Model, Qwen2Config, {}),
    "qwen2, window": (
        Qwen2Model, Qwen2Config, {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen2_vl": (Qwen2VLTextModel, Qwen2VLTextConfig, AXES),
    "qwen2_5_vl": (Qwen2_5_VLTextModel, Qwen2_5_VLTextConfig, AXES),
    "qwen2_5_omni": (Qwen2_5OmniThinkerTextModel, Qwen2_5OmniTextConfig, AXES),
    "qwen3": (Qwen3Model, Qwen3Config, {}),
    "qwen3_vl": (Qwen3VLTextModel, Qwen3VLTextConfig, AXES),
    "qwen3_omni": (Qwen3OmniMoeThinkerTextModel, Qwen3OmniMoeTextConfig, {**AXES, **MOE}),
}  # fmt: skip
READS = [[9], [2, 5, 8]]  # of two rows; the second has padding after its ninth token


def made(family: str = "qwen2", attention: str = "sdpa") -> nn.Module:
    kind, sizes, more = FAMILIES[family]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(sizes(**SIZES, **more, attn_implementation=attention)).requires_grad_(False).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias") or "norm" in name:  # ones and zeros show little
            weight.add_(noise(*weight.shape, seed=len(name)) - 0.5)
    return model


def hidden(model: nn.Module, embeds: Tensor, mask: Tensor, cache: PrefixCache | None = None) -> Tensor:
    at = (mask.cumsum(1) - 1)[:, -embeds.shape[1] :]
    given = {"inputs_embeds": embeds, "attention_mask": mask.long(), "past_key_values": cache}
    return model(**given, position_ids=at, use_cache=cache is not None).last_hidden_state


def inputs(requires_grad: bool = False) -> tuple[Tensor, Tensor]:
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 9:] = False
    return (noise(2, 10, 32) - 0.5).requires_grad_(requires_grad), mask


def picked(found: Tensor, narrow: bool) -> Tensor:
    own = [[0], [0, 1, 2]] if narrow else READS
    return torch.cat([row[at] for row, at in zip(found, own, strict=True)])


@pytest.mark.parametrize("checkpointing", [False, True, "selective"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_values_and_gradients_are_those_of_the_whole_layer(family: str, attention: str, checkpointing) -> None:
    model = made(family, attention)
    embeds, mask = inputs(requires_grad=True)
    whole = picked(hidden(model, embeds, mask), narrow=False)
    (wanted,) = torch.autograd.grad(whole.square().sum(), embeds)
    cache = PrefixCache(3)
    with checkpointed(model, checkpointing), reading(model, cache, READS, {}) as last:
        found = hidden(model, embeds, mask, cache)
    assert last.narrowed
    assert found.shape == (2, 3, 32)
    torch.testing.assert_close(picked(found, narrow=True), whole, rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(picked(found, narrow=True).square().sum(), embeds)
    torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_beginning_is_continued(family: str, apart: bool) -> None:
    """The beginning's last layer is asked for one token; its keys and values are complete."""
    model = made(family)
    embeds, mask = inputs()
    embeds[1, :4] = embeds[0, :4]
    with torch.no_grad():
        whole = picked(hidden(model, embeds, mask), narrow=False)[[0, 2, 3]]
        cache = PrefixCache(3, keep=True)
        with reading(model, cache, [[0]], {}) as last:
            hidden(model, embeds[:1, :4], mask[:1, :4], cache)
        assert last.narrowed
        past = cache.kept(mask[:1, :4])
        common = common_beginning(model, past, [0, 0]) if apart else None
        cache = PrefixCache(3, past, [0, 0], apart=apart)
        with sharing(model, common), reading(model, cache, [[5], [1, 4]], {}) as last:
            found = hidden(model, embeds[:, 4:], mask, cache)
    assert last.narrowed
    torch.testing.assert_close(torch.cat([found[0, :1], found[1]]), whole, rtol=1e-4, atol=1e-5)


def odd(model: nn.Module) -> None:
    model.layers[-1].other_norm = nn.Identity()


def odd_attention(model: nn.Module) -> None:
    model.layers[-1].self_attn.v_norm = nn.Identity()


def flash(model: nn.Module) -> None:
    model.config._attn_implementation = "flash_attention_2"


def takes_the_cache_away(model: nn.Module) -> None:
    model.layers[-1].train().gradient_checkpointing = True


@pytest.mark.parametrize("change", [odd, odd_attention, flash, takes_the_cache_away])
def test_other_layers_are_left_alone(change) -> None:
    model = made()
    assert last_layer._known(model, deep=0) is model.layers[-1]
    change(model)
    assert last_layer._known(model, deep=0) is None


def test_features_after_the_last_layer_need_all_of_it() -> None:
    model = made("qwen3_vl")
    assert last_layer._known(model, deep=2) is model.layers[-1]
    assert last_layer._known(model, deep=3) is None


def test_another_call_at_the_same_time_is_left_alone() -> None:
    model, (embeds, mask) = made(), inputs()
    with torch.no_grad(), reading(model, PrefixCache(3), READS, {}) as last:
        assert hidden(model, embeds, mask, PrefixCache(3)).shape == embeds.shape
        assert hidden(model, embeds, mask).shape == embeds.shape
        assert not last.narrowed
    with torch.no_grad(), reading(model, PrefixCache(3), READS, {}):
        assert len(model.layers[-1]._forward_pre_hooks) == 1


def test_all_tokens_are_read() -> None:
    model, (embeds, mask) = made(), inputs()
    cache, every = PrefixCache(3), [list(range(10)), [3]]
    with torch.no_grad(), reading(model, cache, every, {}) as last:
        torch.testing.assert_close(hidden(model, embeds, mask, cache), hidden(model, embeds, mask))
    assert not last.narrowed


# ---- as sequences are read


def widths(backbone: ToyBackbone) -> SimpleNamespace:
    """Tokens that the feed-forward parts of the first and of the last layer get, call by call."""
    seen = SimpleNamespace(first=[], last=[])
    layers = backbone.language.layers
    for calls, layer in ((seen.first, layers[0]), (seen.last, layers[-1])):
        layer.mlp.register_forward_pre_hook(lambda _, args, calls=calls: calls.append(args[0].shape[:2].numel()))
    return seen


def sequences(track: Tokens, *endings: Text) -> list[Rendered]:
    return [Rendered((Text((1, 2)), track, end), ((1, 2), "track", (end.ids, i))) for i, end in enumerate(endings)]


@pytest.mark.parametrize("graph", [False, True])
def test_only_what_is_read_is_computed(graph: bool) -> None:
    backbone = ToyBackbone()
    track = Tokens((noise(70, 32) - 0.5).requires_grad_(graph))
    asked = sequences(track, Text((3, 4, 5)), Text((6, 7, 8, 9), (1, 3)))
    with torch.set_grad_enabled(graph):
        expected = [plainly(backbone, one) for one in asked]
        seen = widths(backbone)
        found = read(backbone, asked)
        assert seen.first == [72, 2 * 4]
        assert seen.last == [1, 2 * 2]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        if graph:
            gradients = [torch.autograd.grad(sum(h.sum() for h in way), track.values)[0] for way in (found, expected)]
            torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_beginning_is_read_again_where_something_else_is_asked_of_it() -> None:
    backbone, prefixes = ToyBackbone(), OrderedDict()
    video = Tokens(noise(70, 32) - 0.5)

    def dub(number: int, *reads: int) -> Rendered:
        parts = (Text((1, 2), reads), video, Tokens(noise(5, 32, seed=number)), Text((3, 4)))
        return Rendered(parts, ((1, 2), (("video", 0), 0), (("audio", number), 0), (3, 4)))

    seen = widths(backbone)
    for asked, tokens in ((dub(1), [72, 7]), (dub(2), [7]), (dub(3, 1), [72, 7]), (dub(4, 1), [7])):
        seen.first.clear()
        found = read(backbone, [asked], prefixes)
        assert seen.first == tokens
        torch.testing.assert_close(found[0], plainly(backbone, asked), rtol=1e-4, atol=1e-5)
