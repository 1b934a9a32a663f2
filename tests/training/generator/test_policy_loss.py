"""The clipped loss of policy gradients against the published code's."""

from __future__ import annotations

import math

import pytest
import torch

from avreward.errors import ArgumentError
from avreward.training.generator.policy_loss import clipped_policy_loss, routed_policy_loss, step_kl


@pytest.mark.golden(case="flow_grpo_sde")
def test_flow_grpos_original(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["loss_rows"]:
        log_prob = tensors["loss_in.log_prob"].clone().requires_grad_()
        mean = tensors["loss_in.mean"].clone().requires_grad_()
        policy = clipped_policy_loss(
            log_prob, tensors["loss_in.log_prob_old"], tensors["loss_in.advantages"],
            clip_range=row["clip_range"], largest_advantage=row["adv_clip_max"],
        )  # fmt: skip
        kl = step_kl(mean, tensors["loss_in.mean_ref"], tensors["loss_in.std"])
        loss = policy.loss + row["beta"] * kl
        found = {"policy_loss": policy.loss, "loss": loss, "approx_kl": policy.approx_kl, "clipfrac": policy.clipped}
        if row["kl_loss"] is not None:
            found["kl_loss"] = kl
        for name, value in found.items():
            golden.close(value, row[name], 1e-5, 1e-5)
        loss.backward()
        golden.near(log_prob.grad, tensors[f"{row['key']}.grad_log_prob"], golden.numbers("grad")[0])
        if row["beta"]:
            golden.near(mean.grad, tensors[f"{row['key']}.grad_mean"], golden.numbers("grad")[0])


@pytest.mark.golden(case="ddpo_logprob")
def test_ddpos_original(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["loss_rows"]:
        log_prob = tensors["loss_in.log_prob"].clone().requires_grad_()
        policy = clipped_policy_loss(
            log_prob, tensors["loss_in.log_prob_old"], tensors["loss_in.advantages"],
            clip_range=row["clip_range"], largest_advantage=row["adv_clip_max"],
        )  # fmt: skip
        for name, value in {"loss": policy.loss, "approx_kl": policy.approx_kl, "clipfrac": policy.clipped}.items():
            golden.close(value, row[name], 1e-5, 1e-5)
        policy.loss.backward()
        golden.near(log_prob.grad, tensors[f"{row['key']}.grad_log_prob"], golden.numbers("grad")[0])


def test_a_stream_moves_by_its_own_advantages_alone() -> None:
    new = {name: torch.zeros(3, requires_grad=True) for name in ("video", "audio")}
    old = {name: torch.zeros(3) for name in new}
    losses = routed_policy_loss(new, old, {"audio": torch.tensor([1.0, 0.0, -1.0])}, weights={"audio": 2.0})
    assert set(losses) == {"audio"}
    losses["audio"].loss.backward()
    assert new["video"].grad is None
    torch.testing.assert_close(new["audio"].grad, torch.tensor([-2 / 3, 0.0, 2 / 3]))
    with pytest.raises(ArgumentError, match=r"streams that the generator makes \(video, audio\), got 'text'"):
        routed_policy_loss(new, old, {"text": torch.zeros(3)})


def test_advantages_that_are_no_numbers_are_refused() -> None:
    zeros = torch.zeros(2)
    with pytest.raises(ArgumentError, match="advantages: expected finite numbers, got nan; leave out sample 0"):
        clipped_policy_loss(zeros, zeros, torch.tensor([math.nan, 0.0]))
    with pytest.raises(ArgumentError, match="advantages: expected one for each of 2 samples"):
        clipped_policy_loss(zeros, zeros, torch.zeros(3))
