"""Two blocks of attention are the attention to both, and are used where sequences continue one beginning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2Model

from avreward.raters.lmm import _shared_attention as shared
from avreward.raters.lmm._prefix import Past, PrefixCache


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 2, "num_hidden_layers": 3}
        config = Qwen2Config(**sizes, intermediate_size=96, vocab_size=50, attn_implementation="sdpa")
        return Qwen2Model(config).double().eval()


def run(model, cache, ids, before):
    at = torch.arange(before, before + ids.shape[1]).expand(len(ids), -1)
    mask = torch.ones(len(ids), before + ids.shape[1], dtype=torch.long)
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": at, "past_key_values": cache}
    return model(**given, use_cache=cache is not None).last_hidden_state


def past_of(model, ids):
    cache = PrefixCache(3, keep=True)
    run(model, cache, ids, 0)
    return cache.kept(torch.ones(ids.shape, dtype=torch.bool))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 4), st.integers(0, 999))
def test_two_blocks_are_the_whole_attention(before, own, rows, seed):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, 6, own, 8, generator=generator, dtype=torch.float64)
    old, new = (
        torch.randn(2, n, 2, length, 8, generator=generator, dtype=torch.float64)
        for n, length in ((1, before), (rows, own))
    )
    found = shared.merge(shared._to_beginning(query, *old, 0.3), shared._causal(query, *new, 0.3))
    key, value = (
        torch.cat([a.expand(rows, -1, -1, -1), b], -2).repeat_interleave(3, 1) for a, b in zip(old, new, strict=True)
    )
    seen = torch.cat([torch.ones(own, before, dtype=torch.bool), torch.ones(own, own, dtype=torch.bool).tril()], 1)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=0.3)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_layers_continue_the_beginning_without_a_copy(model):
    start, ids = torch.arange(20)[None], torch.arange(24).reshape(3, 8)
    past = past_of(model, start)
    whole = run(model, None, torch.cat([start.expand(3, -1), ids], 1), 0)[:, 20:]
    common = shared.common_beginning(model, past, [0, 0, 0])
    cache = PrefixCache(3, past, [0, 0, 0], apart=True)
    with shared.sharing(model, common):
        found = run(model, cache, ids, 20)
    torch.testing.assert_close(found, whole, rtol=1e-10, atol=1e-10)
    assert shared.attention_name(model) == "sdpa"
    torch.testing.assert_close(run(model, PrefixCache(3, past, [0, 0, 0]), ids, 20), whole, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_where_two_blocks_are_not_computed(model):
    past = past_of(model, torch.arange(10).reshape(2, 5))
    assert shared.common_beginning(model, past, [1, 1]).layers[0][0].shape[0] == 1
    assert shared.common_beginning(model, past, [0, 1]) is None
    assert shared.common_beginning(model, None, [0]) is None
    holes = Past(past.layers, past.mask.clone())
    holes.mask[0, 2] = False
    assert shared.common_beginning(model, holes, [0]) is None
    with torch.enable_grad():
        assert shared.common_beginning(model, past, [0]) is None


@torch.no_grad()
def test_a_window_that_slides_is_left_to_pytorch(model):
    past = past_of(model, torch.arange(6)[None])
    common = shared.common_beginning(model, past, [0])
    layer = model.layers[0].self_attn
    query, key = torch.randn(1, 8, 4, 8, dtype=torch.float64), torch.randn(1, 2, 4, 8, dtype=torch.float64)
    seen = torch.ones(1, 1, 4, 10, dtype=torch.bool).tril(6)
    with shared.sharing(model, common):
        plain, _ = shared.attend(layer, query, key, key, seen)
        other, _ = shared.attend(layer, query, key, key, seen, sliding_window=99)
    torch.testing.assert_close(plain, other, rtol=1e-12, atol=1e-12)
