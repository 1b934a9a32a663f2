"""Tensors on a shelf: their values, their layout, and the memory that they share."""

from __future__ import annotations

import pytest
import torch

from avreward.raters.checkpoints._shelf import _BLOCK, Shelf, Shelved


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.bool])
def test_copies_are_equal_and_lie_side_by_side(dtype: torch.dtype) -> None:
    shelf, tensors = Shelf(), [torch.randn(3, i).to(dtype) for i in range(5)]
    tensors += [tensors[4].T, tensors[4][:, 1:3], tensors[3][:, None].expand(-1, 2, -1)]
    copies = [shelf.put(each) for each in tensors]
    before = [each.clone() for each in tensors]
    for tensor in tensors:
        tensor.zero_()
    for copy, expected in zip(copies, before, strict=True):
        assert torch.equal(copy, expected)
        assert copy.dtype == dtype
    assert copies[5].stride() == tensors[5].stride()
    assert len({each.untyped_storage().data_ptr() for each in copies if len(each[0])}) == 1


def test_a_change_of_one_is_no_change_of_another() -> None:
    shelf = Shelf()
    one, other = shelf.put(torch.ones(3)), shelf.put(torch.ones(3))
    leaf = torch.ones(3, requires_grad=True)
    total = (leaf * one).sum()
    other.mul_(2)
    shelf.put(torch.zeros(3))
    (found,) = torch.autograd.grad(total, leaf)
    assert torch.equal(found, torch.ones(3))


def test_large_tensors_and_other_devices_need_no_shelf() -> None:
    for tensor in (torch.empty(_BLOCK // 2 + 1, dtype=torch.uint8), torch.empty(3, device="meta")):
        assert Shelf().put(tensor).untyped_storage()._cdata == tensor.untyped_storage()._cdata


def test_a_full_block_is_left_to_its_tensors() -> None:
    shelf = Shelf()
    held = [shelf.put(torch.empty(_BLOCK // 4, dtype=torch.uint8)) for _ in range(9)]  # four a block
    storages = [each.untyped_storage().data_ptr() for each in held]
    assert [storages.index(each) for each in storages] == [0, 0, 0, 0, 4, 4, 4, 4, 8]
    assert shelf._block.untyped_storage().data_ptr() == storages[8]  # so that the others go with their tensors


def test_gradients_pass() -> None:
    at = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Shelved.apply(x, Shelf()).pow(3), at)
    assert torch.autograd.gradgradcheck(lambda x: Shelved.apply(x, Shelf()).pow(3), at)
