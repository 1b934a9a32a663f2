"""Diffusion-DPO's loss against the published code's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.training.generator.preference_loss import diffusion_dpo_loss, logit_normal_times


def drawn(shape: list[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.golden(case="diffusion_dpo_loss")
def test_the_original(golden) -> None:
    tensors = golden.tensors()
    for row in [*golden.data["rows"], *golden.data["flow_rows"]]:
        single = [row["pairs"], *row["shape"][1:]]
        if "target_seed" in row:
            target = drawn(single, row["target_seed"]).repeat(2, *[1] * (len(single) - 1))
        else:
            noise = drawn(single, row["noise_seed"]).repeat(2, *[1] * (len(single) - 1))
            target = noise - drawn(row["shape"], row["clean_seed"])
        prediction, reference = (
            target + row["amplitude"] * drawn(row["shape"], row[f"{name}_seed"]) for name in ("prediction", "reference")
        )
        prediction.requires_grad_()
        found = diffusion_dpo_loss(prediction, reference, target, beta=row["beta"])
        golden.close(found.logits, tensors[f"{row['key']}.inside_term"], 1e-5, 2e-4)
        golden.close(found.loss, row["loss"], 1e-5, 2e-4)
        golden.close(found.accuracy, row["implicit_acc"], 1e-6)
        if "raw_model_loss" in row:
            golden.close(found.error, row["raw_model_loss"], 1e-5, 2e-4)
            golden.close(found.reference_error, row["raw_ref_loss"], 1e-5, 2e-4)
        found.loss.backward()
        golden.near(prediction.grad, tensors[f"{row['key']}.grad_prediction"], golden.numbers("grad")[0])


def test_it_begins_at_log_2_and_falls_towards_the_preferred_sample() -> None:
    reference, target = drawn([4, 3, 5], 0), drawn([4, 3, 5], 1)
    assert float(diffusion_dpo_loss(reference, reference, target).loss) == pytest.approx(math.log(2), abs=1e-6)
    better = reference.clone()
    better[:2] += 0.1 * (target - reference)[:2]
    found = diffusion_dpo_loss(better, reference, target, beta=100)
    assert float(found.loss) < math.log(2)
    assert float(found.accuracy) == 1


def test_shapes_that_make_no_pairs_are_refused() -> None:
    with pytest.raises(ArgumentError, match="prediction: expected a shape like that of reference and target"):
        diffusion_dpo_loss(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2))


def test_times_are_normal_in_their_logits() -> None:
    times = logit_normal_times(20000, mean=0.5, deviation=2.0, generator=torch.Generator().manual_seed(0))
    logits = torch.logit(times.double())
    assert float(logits.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(logits.std()) == pytest.approx(2.0, abs=0.05)
