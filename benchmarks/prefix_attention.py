"""Ways to attend to a beginning that several sequences have in common, beside each other.

    OMP_NUM_THREADS=1 python benchmarks/prefix_attention.py [--tokens 250 750 1496] [--rows 8] [--rounds 5]

The beginning of 1352 tokens is in the cache, and `rows` sequences of so many tokens continue it: first the attention
alone, then a whole layer of the language model (12 heads, 4 of keys, width 64, as in `medium_agav`).

- two blocks: what the package does (`avreward.raters.lmm._shared_attention`): the beginning without a mask and without
  a copy, what is a sequence's own with the causal kernel, merged by their log-sum-exp.
- masked: the beginning copied for each row, and PyTorch's attention under a mask.
- FlexAttention, compiled: one packed sequence, so that nothing is copied; the mask keeps the rows apart.
- DynamicCache, StaticCache: `transformers`' own caches with its usual attention (SDPA), filled with the beginning for
  each row; filling them counts, since each video needs it.

CPU time of all threads, the ways in turn, the first round not counted; beside it the largest difference to two blocks.
A way that does not run here has a row that says so.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from medium_agav import machine
from torch import Tensor
from transformers import DynamicCache, Qwen2Config, Qwen2Model, StaticCache

from avreward.raters.lmm._prefix import Past, PrefixCache
from avreward.raters.lmm._shared_attention import _causal, _to_beginning, common_beginning, merge, sharing

BEGINNING, HEADS, GROUPS, WIDTH = 1352, 12, 4, 64
Ways = dict[str, Callable[[], Tensor]]


def attention_ways(rows: int, tokens: int) -> Ways:
    """Return the ways of attention alone: each gives (rows, heads, tokens, width)."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, WIDTH, generator=generator)

    query = random(rows, HEADS, tokens)
    before = random(1, GROUPS, BEGINNING), random(1, GROUPS, BEGINNING)
    own = random(rows, GROUPS, tokens), random(rows, GROUPS, tokens)
    allowed = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(tokens, BEGINNING, dtype=torch.bool), allowed], dim=1)

    def two_blocks() -> Tensor:
        return merge(_to_beginning(query, *before, None), _causal(query, *own, None))

    def masked() -> Tensor:
        copies = (torch.cat([b.expand(rows, -1, -1, -1), o], dim=2) for b, o in zip(before, own, strict=True))
        keys, values = (copy.repeat_interleave(HEADS // GROUPS, 1) for copy in copies)
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)

    return {"two blocks": two_blocks, "masked": masked, "FlexAttention": flexible(query, before, own)}


def flexible(query: Tensor, before: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    """Return compiled FlexAttention of one packed sequence."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    rows, heads, tokens, width = query.shape

    def packed(x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(1, x.shape[1], rows * tokens, width)

    def apart(_b: Tensor, _h: Tensor, at: Tensor, key: Tensor) -> Tensor:
        place = key - BEGINNING
        return (key < BEGINNING) | ((place // tokens == at // tokens) & (place <= at))

    blocks = create_block_mask(apart, None, None, rows * tokens, BEGINNING + rows * tokens, device="cpu")
    compiled = torch.compile(flex_attention, dynamic=False)

    def run() -> Tensor:
        keys, values = (torch.cat([b, packed(o)], dim=2) for b, o in zip(before, own, strict=True))
        out = compiled(packed(query), keys, values, block_mask=blocks, enable_gqa=True)
        return out.view(heads, rows, tokens, width).transpose(0, 1)

    return run


def layer_ways(rows: int, tokens: int) -> Ways:
    """Return the ways of a layer of a language model: each gives (rows, tokens, width of the model)."""
    config = Qwen2Config(
        vocab_size=8, hidden_size=HEADS * WIDTH, intermediate_size=2688, num_hidden_layers=1,
        num_attention_heads=HEADS, num_key_value_heads=GROUPS, max_position_embeddings=8192, rope_theta=1e6,
        attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    plain, ours = Qwen2Model(config).eval(), Qwen2Model(config).eval()  # ours has its attention exchanged
    ours.load_state_dict(plain.state_dict())
    beginning = torch.randn(1, BEGINNING, config.hidden_size)
    embeds = torch.randn(rows, tokens, config.hidden_size)
    cache = PrefixCache(1, keep=True)
    plain(inputs_embeds=beginning, past_key_values=cache, use_cache=True)
    past = cache.kept(torch.ones(1, BEGINNING, dtype=torch.bool))
    [(keys, values)] = past.layers
    mask = torch.ones(rows, BEGINNING + tokens, dtype=torch.long)
    positions = torch.arange(BEGINNING, BEGINNING + tokens)[None].expand(rows, -1)

    def run(model: Qwen2Model, cache: PrefixCache | DynamicCache | StaticCache) -> Tensor:
        arguments = {"attention_mask": mask, "position_ids": positions, "use_cache": True}
        found: Tensor = model(inputs_embeds=embeds, past_key_values=cache, **arguments).last_hidden_state
        return found

    def own_way(apart: bool) -> Tensor:
        common: Past | None = common_beginning(ours, past, [0] * rows) if apart else None
        with sharing(ours, common):
            return run(ours, PrefixCache(1, past, [0] * rows, False, common is not None))

    def theirs(make: Callable[[], DynamicCache | StaticCache]) -> Tensor:
        cache = make()
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), 0)
        return run(plain, cache)

    return {
        "two blocks": partial(own_way, True),
        "masked": partial(own_way, False),
        "DynamicCache": partial(theirs, partial(DynamicCache, config=config)),
        "StaticCache": partial(theirs, partial(StaticCache, config=config, max_cache_len=BEGINNING + tokens)),
    }


def table(label: str, tokens: int, ways: Ways, rounds: int) -> Iterator[str]:
    """Measure the ways in turn; yield a row for each."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    wrong: dict[str, float] = {}
    failed: dict[str, str] = {}
    for turn in range(rounds + 1):
        expected: Tensor | None = None
        for name, way in ways.items():
            if name in failed:
                continue
            started = time.process_time()
            try:
                found = way()
            except Exception as error:  # that it does not run here is the result
                failed[name] = f"does not run here: {type(error).__name__}"
                continue
            if turn:  # the first one compiles and warms up
                times[name].append(time.process_time() - started)
            expected = found if expected is None else expected
            wrong[name] = float((found - expected).abs().max())
    fastest = statistics.median(times["two blocks"])
    for name in ways:
        if name in failed:
            yield f"| {label} | {tokens} | {name} | {failed[name]} | | |"
            continue
        least, middle, most = min(times[name]), statistics.median(times[name]), max(times[name])
        numbers = f"{least:.2f} / {middle:.2f} / {most:.2f} s | {middle / fastest:.2f} | {wrong[name]:.0e}"
        yield f"| {label} | {tokens} | {name} | {numbers} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[250, 750, 1496])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    print(f"{given.rows} sequences after {BEGINNING} tokens; {machine()}\n")
    print("| what | own tokens | way | min / median / max | of two blocks | largest difference |")
    print("|---|---:|---|---:|---:|---:|")
    with torch.no_grad():
        for tokens in given.tokens:
            for label, ways in (("attention", attention_ways), ("layer", layer_ways)):
                for row in table(label, tokens, ways(given.rows, tokens), given.rounds):
                    print(row, flush=True)


if __name__ == "__main__":
    main()
