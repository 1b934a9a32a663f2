"""Steps of flow matching against the published code's, and what they must keep."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.flow_steps import (
    DpmSolver,
    clean_latents,
    dance_sde_step,
    ddim_flow_step,
    euler_step,
    flow_sde_step,
    noisy_latents,
)


def drawn(shape: list[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.golden(case="flow_grpo_sde")
def test_the_original_step(golden) -> None:
    tensors, sigmas = golden.tensors(), golden.tensors()["sigmas"]
    for step in golden.data["steps"]:
        key, index = step["key"], torch.tensor(step["step_index"])
        x, v, noise = (drawn(step["shape"], step[f"{name}_seed"]) for name in ("latent", "velocity", "noise"))
        options = {"noise_level": step["noise_level"], "largest": float(sigmas[1])}
        found = flow_sde_step(x, v, sigmas[index], sigmas[index + 1], noise=noise, **options)
        for name, value in (
            ("prev", found.sample),
            ("mean", found.mean),
            ("std", found.diffusion),
            ("noise_scale", found.scale),
        ):
            golden.close(value, tensors[f"{key}.{name}"], 1e-5, 1e-5)
        golden.close(found.log_prob, tensors[f"{key}.log_prob"], 2e-5)
        v = (v + 0.05 * drawn(step["shape"], int(step["velocity_change"].rsplit(" ", 1)[1]))).requires_grad_()
        again = flow_sde_step(x, v, sigmas[index], sigmas[index + 1], sample=found.sample, **options)
        golden.close(again.log_prob, tensors[f"{key}.log_prob_new"], 2e-5)
        golden.close(again.mean, tensors[f"{key}.mean_new"], 1e-5, 1e-5)
        again.log_prob.sum().backward()
        golden.near(v.grad, tensors[f"{key}.grad_velocity"], golden.numbers("grad")[0])


@pytest.mark.golden(case="flow_grpo_sde")
def test_the_original_rollout(golden) -> None:
    tensors, plan = golden.tensors(), golden.data["rollout"]
    sigmas, a = tensors["sigmas"], drawn(plan["shape"], plan["a_seed"])
    x = plain = drawn(plan["shape"], plan["latent_seed"])
    log_probs = []
    first = int(plan["noise_seed_of_step_i"].partition("+")[0])
    for i in range(plan["steps"]):
        options = {"noise_level": plan["noise_level"], "largest": float(sigmas[1])}
        noise = drawn(plan["shape"], first + i)
        step = flow_sde_step(x, 0.4 * x - (1 + sigmas[i]) * a, sigmas[i], sigmas[i + 1], noise=noise, **options)
        x = step.sample
        log_probs.append(step.log_prob)
        plain = euler_step(plain, 0.4 * plain - (1 + sigmas[i]) * a, sigmas[i], sigmas[i + 1])
    golden.close(x, tensors["rollout.final"], 1e-5, 1e-5)
    golden.close(plain, tensors["rollout.final_deterministic"], 1e-5, 1e-5)
    golden.close(torch.stack(log_probs, 1), tensors["rollout.log_probs"], 2e-5)


@pytest.mark.golden(case="flow_solvers")
def test_the_original_solvers(golden) -> None:
    tensors, inputs = golden.tensors(), golden.data["inputs"]
    sigmas = tensors["sigmas"]
    a = drawn(inputs["a"]["shape"], inputs["a"]["seed"])
    stochastic = {
        "flow": (flow_sde_step, {"largest": float(sigmas[1])}),
        "dance": (dance_sde_step, {}),
        "ddim": (ddim_flow_step, {"eta": 0.7}),
    }
    for row in golden.data["rows"]:
        key, (kind, _, mode) = row["key"], row["key"].partition(".")
        x, log_probs, solver = drawn(inputs["latent"]["shape"], inputs["latent"]["seed"]), [], None
        if kind.startswith("dpm"):
            solver = DpmSolver(int(kind[-1]))
        for i in range(len(sigmas) - 1):
            v, now, following = 0.4 * x - (1 + sigmas[i]) * a, float(sigmas[i]), float(sigmas[i + 1])
            if solver is not None:
                x = solver(x, v, now, following)
            elif mode == "det":
                x = euler_step(x, v, now, following) if kind == "flow" else ddim_flow_step(x, v, now, following).mean
            else:
                step_of, options = stochastic[kind]
                step = step_of(x, v, now, following, noise=tensors[f"{key}.noise"][i], **options)
                x = step.sample
                log_probs.append(step.log_prob)
            if i == 1:
                golden.close(x, tensors[f"{key}.after_two"], 1e-5, 2e-5)
        golden.close(x, tensors[f"{key}.final"], 1e-5, 2e-5)
        if row["log_probs"]:
            found, expected = torch.stack(log_probs, 1), tensors[f"{key}.log_probs"]
            finite = expected.isfinite()
            assert torch.equal(found.isfinite(), finite)
            golden.close(found[finite], expected[finite], 1e-4)


@pytest.mark.parametrize("step_of", [flow_sde_step, dance_sde_step, ddim_flow_step])
def test_a_replayed_step_has_the_same_probability_and_a_gradient(step_of) -> None:
    x, v = drawn([3, 2, 4], 0), drawn([3, 2, 4], 1).requires_grad_()
    options = {"eta": 0.7} if step_of is ddim_flow_step else {}
    step = step_of(x, v, 0.8, torch.tensor([0.7, 0.6, 0.1]), noise=drawn([3, 2, 4], 2), **options)
    replay = step_of(x, v, 0.8, torch.tensor([0.7, 0.6, 0.1]), sample=step.sample, **options)
    assert torch.equal((replay.log_prob - step.log_prob).exp(), torch.ones(3))
    (gradient,) = torch.autograd.grad(replay.log_prob.sum(), v)
    assert not step.sample.requires_grad
    assert bool((gradient.abs().flatten(1).amax(1) > 0).all())


def test_without_noise_each_step_is_the_flow_itself() -> None:
    clean, noise = drawn([2, 5], 0).double(), drawn([2, 5], 1).double()
    x = noisy_latents(clean, noise, 0.8)
    v = noise - clean
    torch.testing.assert_close(clean_latents(x, v, 0.8), clean)
    there = noisy_latents(clean, noise, 0.3)
    torch.testing.assert_close(euler_step(x, v, 0.8, 0.3), there)
    torch.testing.assert_close(ddim_flow_step(x, v, 0.8, 0.3).mean, there)
    torch.testing.assert_close(flow_sde_step(x, v, 0.8, 0.3, noise_level=1e-9, noise=noise).sample, there)


@pytest.mark.parametrize("order", [1, 2])
def test_the_solver_is_exact_for_a_straight_flow_and_passes_gradients(order: int) -> None:
    clean, noise = drawn([2, 5], 0).double().requires_grad_(), drawn([2, 5], 1).double()
    x, solver = noise, DpmSolver(order)
    for now, following in ((1.0, 0.9), (0.9, 0.5), (0.5, 0.2), (0.2, 0.0)):
        x = solver(x, noise - clean, now, following)
    torch.testing.assert_close(x, clean)
    (gradient,) = torch.autograd.grad(x.sum(), clean)
    torch.testing.assert_close(gradient, torch.ones_like(clean))


def test_the_second_order_is_closer() -> None:
    """For dx/dσ = x + σ, whose solution is known."""

    def after(order: int, steps: int) -> float:
        x, solver = torch.ones(1, 1, dtype=torch.float64), DpmSolver(order)
        sigmas = [0.9 - 0.8 * i / steps for i in range(steps + 1)]
        for now, following in itertools.pairwise(sigmas):
            x = solver(x, x + now, now, following)
        exact = (1 + 0.9 + 1) * math.exp(0.1 - 0.9) - 0.1 - 1
        return abs(float(x) - exact)

    assert after(2, 32) < 0.2 * after(1, 32)


def test_what_cannot_be_stepped_is_refused() -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(ArgumentError, match="next_sigma: expected a smaller noise level than sigma"):
        flow_sde_step(x, x, 0.5, 0.5, noise=x)
    with pytest.raises(ArgumentError, match="noise: expected exactly one of noise and sample, got neither"):
        flow_sde_step(x, x, 0.5, 0.4)
    with pytest.raises(ArgumentError, match="got both"):
        dance_sde_step(x, x, 0.5, 0.4, noise=x, sample=x)
    with pytest.raises(ArgumentError, match="sigma: expected a number, or one for each of the 2 rows"):
        euler_step(x, x, torch.ones(3), 0.4)
    with pytest.raises(ArgumentError, match="order"):
        DpmSolver(3)
