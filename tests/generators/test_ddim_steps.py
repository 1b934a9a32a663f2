"""DDPO's step against the published code's, and against diffusers'."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators import ddim_flow_step
from avreward.generators.ddim_steps import ddim_sde_step
from avreward.generators.diffusers._coordinates import coordinates_of


def drawn(shape: list[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.golden(case="ddpo_logprob")
def test_the_original_step(golden) -> None:
    tensors = golden.tensors()
    for step in golden.data["steps"]:
        key, scheduler = step["key"], step["scheduler"]
        x, output, noise = (drawn(step["shape"], step[f"{name}_seed"]) for name in ("latent", "model_output", "noise"))
        levels = [torch.tensor(step[name]) for name in ("alphas_cumprod", "alphas_cumprod_previous")]
        options = {
            "eta": step["eta"],
            "prediction": scheduler.get("prediction_type", "epsilon"),
            "clip": scheduler.get("clip_sample_range", 1.0) if scheduler["clip_sample"] else None,
            "clipped_noise": step["use_clipped_model_output"],
        }
        found = ddim_sde_step(x, output, *levels, noise=noise, **options)
        golden.close(found.sample, tensors[f"{key}.prev"], 1e-5, 1e-5)
        golden.close(found.scale, torch.tensor(step["std"]), 1e-5, 1e-5)
        rough = 1e-3 if min(step["std"]) < 1e-2 else 1e-5
        golden.close(found.log_prob, tensors[f"{key}.log_prob"], 1e-5, rough)
        change = int(step["output_change"].rsplit(" ", 1)[1])
        output = (output + 0.05 * drawn(step["shape"], change)).requires_grad_()
        again = ddim_sde_step(x, output, *levels, sample=found.sample, **options)
        golden.close(again.log_prob, tensors[f"{key}.log_prob_new"], 1e-5, rough)
        again.log_prob.sum().backward()
        golden.near(output.grad, tensors[f"{key}.grad_model_output"], golden.numbers("grad")[0])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_diffusers_takes_the_same_step(prediction: str, eta: float) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False, set_alpha_to_one=False)
    scheduler.set_timesteps(20)
    x, output, noise = (drawn([2, 3, 4], seed) for seed in range(3))
    time = int(scheduler.timesteps[7])
    step = scheduler.step(output, time, x, eta=eta, variance_noise=noise if eta else None)
    levels = scheduler.alphas_cumprod[time], scheduler.alphas_cumprod[time - 50]
    found = ddim_sde_step(x, output, *levels, eta=eta, prediction=prediction, noise=noise)
    torch.testing.assert_close(found.sample, step.prev_sample, rtol=1e-5, atol=1e-5)


def test_a_replayed_step_has_the_same_probability() -> None:
    x, output, noise = (drawn([2, 3, 4], seed) for seed in range(3))
    step = ddim_sde_step(x, output, 0.3, 0.5, noise=noise)
    replay = ddim_sde_step(x, output, 0.3, 0.5, sample=step.sample)
    assert torch.equal((replay.log_prob - step.log_prob).exp(), torch.ones(2))


def test_an_unknown_prediction_is_refused() -> None:
    x = torch.zeros(1, 2)
    with pytest.raises(ArgumentError, match="prediction: expected one of epsilon, v_prediction, sample, got 'eps'"):
        ddim_sde_step(x, x, 0.3, 0.5, prediction="eps", noise=x)


@pytest.mark.parametrize(
    ("alpha", "following", "said"),
    [
        (0.5, 0.3, "next_alpha: expected 0 < alpha <= next_alpha <= 1"),
        (0.0, 0.3, "next_alpha: expected 0 < alpha"),
        (torch.tensor([0.1, 0.2, 0.3]), 0.5, "alpha: expected a number, or one for each of the 2 rows"),
    ],
)
def test_levels_that_do_not_fit(alpha, following: float, said: str) -> None:
    x = torch.zeros(2, 2)
    with pytest.raises(ArgumentError, match=said):
        ddim_sde_step(x, x, alpha, following, noise=x)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_same_step_in_the_coordinates_of_flow_matching(prediction: str) -> None:
    """So that a loop on flows takes DDPO's steps: the same sample, and the same change of log-probability."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    coordinates, levels = coordinates_of(scheduler), (scheduler.alphas_cumprod[600], scheduler.alphas_cumprod[450])
    shares = [level.sqrt() + (1 - level).sqrt() for level in levels]
    sigmas = [float((1 - level).sqrt() / share) for level, share in zip(levels, shares, strict=True)]
    x, output, noise = (drawn([2, 3, 4], seed) for seed in range(3))
    changed = output + 0.1 * drawn([2, 3, 4], 3)
    rows = torch.full((2,), sigmas[0])
    assert coordinates.times(rows).tolist() == [600, 600]

    step = ddim_sde_step(x, output, *levels, prediction=prediction, noise=noise)
    replay = ddim_sde_step(x, changed, *levels, prediction=prediction, sample=step.sample)
    velocities = [coordinates.velocity(x / shares[0], one, rows) for one in (output, changed)]
    own = ddim_flow_step(x / shares[0], velocities[0], *sigmas, eta=1.0, noise=noise)
    again = ddim_flow_step(x / shares[0], velocities[1], *sigmas, eta=1.0, sample=own.sample)
    torch.testing.assert_close(own.sample * shares[1], step.sample, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again.log_prob - own.log_prob, replay.log_prob - step.log_prob, rtol=1e-3, atol=1e-4)
