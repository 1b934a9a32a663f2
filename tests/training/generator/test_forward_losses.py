"""DiffusionNFT's and AWM's losses against the published code's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.training.generator.forward_losses import awm_loss, nft_loss, time_weighted


def drawn(shape: list[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.golden(case="diffusion_nft_loss")
def test_the_original_of_nft(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["rows"]:
        key, shape, seeds = row["key"], row["shape"], row["seeds"]
        clean, noise = drawn(shape, seeds["clean"]), drawn(shape, seeds["noise"])
        prediction, old, reference = (
            noise - clean + 0.4 * drawn(shape, seeds[name]) for name in ("prediction", "old", "reference")
        )
        advantages = 3 * drawn([row["batch"]], seeds["advantages"])
        times = torch.linspace(0.15, 0.95, row["batch"])
        prediction.requires_grad_()
        found = nft_loss(
            prediction, old, clean, noise, times, advantages, reference=reference, beta=row["beta"],
            kl_weight=row["kl_weight"], largest_advantage=row["adv_clip_max"], side=row["adv_mode"],
        )  # fmt: skip
        for name, value in (("policy_loss", found.policy), ("kl", found.kl), ("loss", found.loss)):
            golden.close(value, row[name], 1e-5, 1e-5)
        for name, part in (("positive", "positive"), ("negative", "negative"), ("r", "share")):
            golden.close(found.parts[part], tensors[f"{key}.{name}"], 1e-5, 1e-5)
        found.loss.backward()
        golden.near(prediction.grad, tensors[f"{key}.grad_prediction"], golden.numbers("grad")[0])


@pytest.mark.golden(case="awm_loss")
def test_the_original_of_awm(golden) -> None:
    tensors, inputs = golden.tensors(), golden.data["inputs"]
    shape, times_per_sample = inputs["shape"], inputs["timesteps_per_sample"]
    clean = drawn([inputs["batch"], *shape[1:]], 2800).repeat(times_per_sample, 1, 1, 1)
    noise, times = drawn(shape, inputs["noise_seed"]), torch.linspace(0.1, 0.97, shape[0])
    advantages = 3 * drawn([inputs["batch"]], 2802)
    for row in golden.data["rows"]:
        key = row["key"]
        prediction = noise - clean + 0.5 * drawn(shape, row["prediction_seed"])
        old = prediction + 0.03 * drawn(shape, row["old_seed"])
        reference = prediction + 0.1 * drawn(shape, row["reference_seed"])
        prediction = prediction.requires_grad_()
        found = awm_loss(
            prediction, clean, noise, times, advantages, old_velocity=old,
            reference=reference if row["beta"] else None,
            weighting={"Uniform": "uniform", "t**2": "t²"}.get(row["weighting"], row["weighting"]),
            power=row["power"] or 0.25, clip_range=row["clip_range"], largest_advantage=row["adv_clip_max"],
            scaled_to=row["advantage_max"], kl_weight=row["beta"], elbo=row["kl_weight"] == "ELBO",
            times_per_sample=times_per_sample, per_sample=row["loss_type"] == "sum_first",
        )  # fmt: skip
        golden.close(found.policy, row["policy_loss"], 1e-6, 1e-5)
        golden.close(found.loss, row["loss"], 1e-6, 1e-5)
        if row["kl"] is not None:
            golden.close(found.kl, row["kl"], 1e-6, 1e-5)
        golden.close(found.parts["log_prob"], tensors[f"{key}.log_prob"], 1e-6, 1e-5)
        golden.close(found.parts["old_log_prob"], tensors[f"{key}.log_prob_old"], 1e-6, 1e-5)
        found.loss.backward()
        golden.near(prediction.grad, tensors[f"{key}.grad_prediction"], golden.numbers("grad")[0])


@pytest.mark.parametrize("loss", ["nft", "awm"])
def test_a_step_follows_the_good_sample_and_leaves_the_bad_one(loss: str) -> None:
    clean, noise = drawn([2, 6], 0), drawn([2, 6], 1)
    start = noise - clean + 0.5 * drawn([2, 6], 2)
    velocity = start.clone().requires_grad_()
    times, advantages = torch.tensor([0.5, 0.5]), torch.tensor([2.0, -2.0])
    if loss == "nft":
        found = nft_loss(velocity, start, clean, noise, times, advantages)
    else:
        found = awm_loss(velocity, clean, noise, times, advantages)
    (gradient,) = torch.autograd.grad(found.loss, velocity)
    change = ((start - 0.01 * gradient - (noise - clean)) ** 2).sum(1) - ((start - (noise - clean)) ** 2).sum(1)
    assert change[0] < 0 < change[1]


def test_unknown_settings_are_refused() -> None:
    x, t = torch.zeros(2, 3), torch.full((2,), 0.5)
    with pytest.raises(ArgumentError, match="side: expected one of all, binary"):
        nft_loss(x, x, x, x, t, torch.zeros(2), side="both")
    with pytest.raises(ArgumentError, match="weighting: expected one of uniform"):
        time_weighted(torch.zeros(2), t, "u")
    with pytest.raises(ArgumentError, match="advantages: expected one for each of 1 samples"):
        awm_loss(x, x, x, t, torch.zeros(2), times_per_sample=2)
