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
from avreward.training.losses import pearson_loss, plcc_loss, rank_loss, scaled_rank_loss


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
            golden.close(found, expected, atol=limit)


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
    with pytest.raises(AvrewardError, match=r"\(4, 1\), got \(4,\)"):
        loss(torch.zeros(4, 1), torch.zeros(4))


# ---- AIGVEval, T2VQA, FAST-VQA


@pytest.mark.golden(case="vqa_losses")
def test_the_original_losses_of_video_raters(golden) -> None:
    """Values and gradients; as its training loop calls it, the original's rank term is 0."""
    tensors = golden.tensors()
    losses = {
        "plcc": plcc_loss,
        "rank_paper": rank_loss,
        "rank_upstream_column": scaled_rank_loss,
        "total_upstream_1d": plcc_loss,
        "total_paper": lambda s, y: plcc_loss(s, y) + 0.3 * rank_loss(s, y),
        "l1": torch.nn.functional.l1_loss,
    }
    (value_atol, value_rtol), (grad_atol, grad_rtol) = golden.numbers("values"), golden.numbers("grads")[:2]
    for row in golden.data["rows"]:
        name = row["name"]
        for key, loss in losses.items():
            scores = tensors[f"{name}.pred"].clone().requires_grad_()
            found = loss(scores, tensors[f"{name}.label"])
            golden.close(found, tensors[f"{name}.{key}"], value_atol, value_rtol)
            (gradient,) = torch.autograd.grad(found, scores)
            expected = tensors[f"{name}.{key}_grad"]
            if expected.abs().max() > 1e4:  # equal predictions: the size is that of eps
                assert gradient.isfinite().all()
                continue
            golden.close(gradient, expected, grad_atol, grad_rtol)


@settings(max_examples=30)
@given(count=st.integers(2, 9), seed=st.integers(0, 99))
def test_rank_losses_are_0_on_the_targets_and_positive_on_the_reverse(count: int, seed: int) -> None:
    target = noise(count, seed=seed)
    for loss in (rank_loss, scaled_rank_loss):
        assert float(loss(target, target)) == 0
        assert float(loss(-target, target)) > 0


@pytest.mark.parametrize("loss", [rank_loss, scaled_rank_loss])
def test_rank_losses_have_gradients(loss, check_gradient) -> None:
    check_gradient(lambda x: loss(x, noise(7, seed=1)), noise(7), rtol=1e-4)


def test_rank_losses_need_vectors_of_two() -> None:
    with pytest.raises(AvrewardError, match="expected a vector"):
        rank_loss(torch.zeros(4, 1), torch.zeros(4, 1))
    with pytest.raises(AvrewardError, match="at least two scores, got 1"):
        scaled_rank_loss(torch.zeros(1), torch.zeros(1))
