"""Key-value caches of beginnings."""

from __future__ import annotations

import torch
from lmm_checks import noise

from avreward.raters.lmm._prefix import Past, PrefixCache


def past(lengths: list[int], layers: int = 2) -> Past:
    """Rows of several lengths, padded at the end."""
    size = max(lengths)
    mask = torch.tensor([[i < length for i in range(size)] for length in lengths])
    return Past(
        tuple(
            (noise(len(lengths), 2, size, 4, seed=i), noise(len(lengths), 2, size, 4, seed=9 + i))
            for i in range(layers)
        ),
        mask,
    )


def test_a_row_without_its_padding() -> None:
    before = past([3, 5])
    row = before.row(0)
    assert row.mask.tolist() == [[True] * 3]
    for (keys, values), (all_keys, all_values) in zip(row.layers, before.layers, strict=True):
        assert torch.equal(keys, all_keys[:1, :, :3])
        assert torch.equal(values, all_values[:1, :, :3])


def test_a_row_with_gaps() -> None:
    """A row that continues a shorter one has padding in its middle."""
    gaps = Past(past([4]).layers, torch.tensor([[True, False, True, True]]))
    assert torch.equal(gaps.row(0).layers[0][0], gaps.layers[0][0][:, :, [0, 2, 3]])


def test_rows_go_on_from_the_row_they_name_and_nothing_changes_in_place() -> None:
    before = past([3, 5])
    copies = [(k.clone(), v.clone()) for k, v in before.layers]
    cache = PrefixCache(2, before, [1, 0, 0], keep=True)
    assert cache.get_seq_length() == 5
    new = noise(3, 2, 2, 4, seed=20), noise(3, 2, 2, 4, seed=21)
    for layer in range(2):
        for _ in range(2):  # a layer may run again
            keys, values = cache.update(*new, layer)
            assert torch.equal(keys, torch.cat([before.layers[layer][0][[1, 0, 0]], new[0]], dim=2))
            assert torch.equal(values, torch.cat([before.layers[layer][1][[1, 0, 0]], new[1]], dim=2))
            assert cache.get_seq_length() == 5
    kept = cache.kept(torch.ones(3, 7, dtype=torch.bool))
    assert [k.shape for k, _ in kept.layers] == [(3, 2, 7, 4)] * 2
    for (k, v), (old_k, old_v) in zip(before.layers, copies, strict=True):
        assert torch.equal(k, old_k)
        assert torch.equal(v, old_v)


def test_from_nothing() -> None:
    cache = PrefixCache(1)
    assert cache.get_seq_length() == 0
    new = noise(1, 2, 3, 4), noise(1, 2, 3, 4, seed=1)
    found = cache.update(*new, 0)
    assert all(one is other for one, other in zip(found, new, strict=True))
    assert cache.layers[0].kept is None


def test_a_cache_passes_on_what_it_neither_keeps_nor_continues() -> None:
    assert PrefixCache(2).passes_on
    assert not PrefixCache(2, keep=True).passes_on
    assert not PrefixCache(2, past([3]), [0]).passes_on
    supplied = PrefixCache(2)
    supplied.supply(1, noise(1, 2, 3, 4), noise(1, 2, 3, 4))
    assert not supplied.passes_on
