"""The losses against the original, NumPy's correlation, and what holds for all scores."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.training.losses import pearson_loss, plcc_loss


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.golden(case="agav_losses")
def test_the_original(golden) -> None:
    tensors = golden.tensors()
    relative, perfect, constant = golden.numbers("grad")
    for item in golden.data["items"]:
        name = item["name"].split()[0]
        if name == "constant_predictions":
            value = float(re.search(r"filled with ([\d.]+)", item["name"])[1])
            predicted, target = torch.full(item["shape"], value), tensors["perfect_affine.target"]
        else:
            predicted, target = tensors[f"{name}.pred"], tensors[f"{name}.target"]
        assert list(predicted.shape) == item["shape"]
        loss = plcc_loss(predicted.requires_grad_(), target)
        golden.check(loss, torch.tensor(item["loss"]), "loss")
        if f"{name}.grad" in tensors:
            expected = tensors[f"{name}.grad"]
            largest = float(expected.abs().max())
            share = constant if name == "nearly_constant_predictions" else relative
            # with constant targets the loss is constant too, and its gradient is rounding alone
            limit = perfect if name.startswith("perfect") or largest < perfect else share * largest
            (found,) = torch.autograd.grad(loss, predicted)
            torch.testing.assert_close(found, expected, rtol=0, atol=limit)


@settings(max_examples=50)
@given(clips=st.integers(2, 12), scores=st.integers(1, 4), seed=st.integers(0, 99))
def test_both_are_functions_of_the_correlation(clips: int, scores: int, seed: int) -> None:
    predicted, target = noise(clips, scores, seed=seed), noise(clips, scores, seed=seed + 100)
    jointly = np.corrcoef(predicted.flatten(), target.flatten())[0, 1]
    assert float(plcc_loss(predicted, target)) == pytest.approx((3 - 2 * jointly - jointly**2) / 8, abs=1e-6)
    each = [np.corrcoef(predicted[:, i], target[:, i])[0, 1] for i in range(scores)]
    assert float(pearson_loss(predicted, target)) == pytest.approx((1 - np.mean(each)) / 2, abs=1e-6)
    assert float(pearson_loss(predicted[:, 0], target[:, 0])) == pytest.approx((1 - each[0]) / 2, abs=1e-6)


@settings(max_examples=30)
@given(slope=st.floats(0.01, 100), shift=st.floats(-50, 50), seed=st.integers(0, 9))
def test_scale_and_shift_make_no_difference(slope: float, shift: float, seed: int) -> None:
    predicted, target = noise(6, 3, seed=seed), noise(6, 3, seed=seed + 10)
    for loss in (plcc_loss, pearson_loss):
        assert float(loss(slope * predicted + shift, target)) == pytest.approx(float(loss(predicted, target)), abs=1e-5)


@pytest.mark.parametrize("loss", [plcc_loss, pearson_loss])
@pytest.mark.parametrize("shape", [(5, 3), (2, 1), (7,)])
def test_gradient(loss, shape, check_gradient) -> None:
    check_gradient(lambda x: loss(x, noise(*shape, seed=1)), noise(*shape), rtol=1e-4)


@pytest.mark.parametrize("loss", [plcc_loss, pearson_loss])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_predictions_have_a_finite_gradient(loss, dtype) -> None:
    predicted = torch.full((4, 3), 1.5, dtype=dtype, requires_grad=True)
    loss(predicted, noise(4, 3).to(dtype)).backward()
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize("loss", [plcc_loss, pearson_loss])
def test_shapes_that_would_broadcast_are_named(loss) -> None:
    with pytest.raises(AvrewardError, match=r"\(4, 1\) and \(4,\)"):
        loss(torch.zeros(4, 1), torch.zeros(4))
