"""The clean sample of a step: against a network that knows it, and against what the schedulers say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("diffusers")

import diffusers
import torch
from tiny_pipelines import tiny_wan
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Cost, Noise
from avreward.generators.diffusers._clean import SUPPORTED, predicted_clean
from avreward.generators.diffusers.sampler import DiffusersSampler

V, SAMPLE = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
FREE = {"clip_sample": False}
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
COG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "trailing"}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("FlowMatchEuler", {"shift": 3.0}),
    ("FlowMatchEuler", {"invert_sigmas": True}),
    ("FlowMatchLCM", {"shift": 3.0}),
    ("FlowMapEuler", {"shift": 5.0}),
    ("LTXEulerAncestralRF", {}),
    ("Euler", {}),
    ("Euler", V | {"use_karras_sigmas": True}),
    ("Euler", SAMPLE),
    ("EulerAncestral", {}),
    ("EulerAncestral", V),
    ("LMS", {}),
    ("EDMEuler", {}),
    ("EDMEuler", V | {"sigma_data": 1.0}),
    ("DDIM", FREE),
    ("DDIM", {"clip_sample": True, "clip_sample_range": 0.5}),
    ("DDIM", FREE | V | {"timestep_spacing": "trailing"}),
    ("DDIM", FREE | SAMPLE),
    ("DDIM", {"thresholding": True, "clip_sample": False}),
    ("DDIMParallel", FREE),
    ("DDPM", FREE),
    ("DDPM", {"clip_sample": True}),
    ("DDPM", FREE | V),
    ("DDPMParallel", FREE),
    ("LCM", {}),
    ("LCM", V),
    ("CogVideoXDDIM", COG | {"clip_sample": True}),
    ("CogVideoXDDIM", COG | V | {"rescale_betas_zero_snr": True, "snr_shift_scale": 1.0}),
    ("CogVideoXDPM", COG | V | {"clip_sample": True}),
    ("DPMSolverMultistep", {}),
    ("DPMSolverMultistep", V),
    ("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}),
    ("DPMSolverMultistep", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("DPMSolverMultistep", FLOW),
    ("DPMSolverSinglestep", {}),
    ("EDMDPMSolverMultistep", {}),
    ("UniPCMultistep", {}),
    ("UniPCMultistep", FLOW),
    ("UniPCMultistep", {"predict_x0": False}),
    ("DEISMultistep", {}),
]


def made(name: str, settings: dict[str, Any]) -> Any:
    suffix = "DiscreteScheduler" if name in ("FlowMatchEuler", "FlowMapEuler", "Euler", "EulerAncestral", "LMS") else ""
    scheduler = getattr(diffusers, f"{name}{suffix or 'Scheduler'}")(**settings)
    scheduler.set_timesteps(6)
    return scheduler


def test_every_supported_scheduler_is_a_case() -> None:
    others = {"CosineDPMSolverMultistepScheduler"}  # the same step as that of EDM; needs torchsde
    assert {type(made(*case)).__name__ for case in CASES} == set(SUPPORTED) - others


def output_of(scheduler: Any, clean: Tensor, noise: Tensor, now: Any) -> Tensor:
    """What a network that knows the clean sample says at a level."""
    kind, config = type(scheduler).__name__, scheduler.config
    sample = now.alpha * clean + now.sigma * noise
    if kind in ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"):
        data = config.sigma_data
        out = now.sigma * data / (now.sigma**2 + data**2) ** 0.5
        out = -out if config.prediction_type == "v_prediction" else out
        return (clean - data**2 / (now.sigma**2 + data**2) * sample) / out
    if "Flow" in kind or "RF" in kind or config.get("use_flow_sigmas"):
        return clean - noise if config.get("invert_sigmas") else noise - clean
    if kind.startswith(("Euler", "LMS")):  # their samples are those of the others over alpha
        alpha = 1 / (now.sigma**2 + 1) ** 0.5
        velocity = alpha * noise - now.sigma * alpha * clean
    else:
        velocity = now.alpha * noise - now.sigma * clean
    return {"epsilon": noise, "v_prediction": velocity, "sample": clean}[config.prediction_type]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_network_that_knows_the_clean_sample(name: str, settings: dict[str, Any]) -> None:
    scheduler = made(name, settings)
    clean, noise = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).clamp(-0.9, 0.9)
    clean = clean.clamp(-0.45, 0.45)  # inside all ranges to which schedulers clip
    probe = torch.zeros(3, 4, 5)
    previous = None
    for time in scheduler.timesteps:
        place = copy.copy(scheduler)
        if hasattr(place, "_init_step_index") and place.step_index is None:
            place._init_step_index(time)
        _, now, after = predicted_clean(place, probe, time, probe)
        assert 0 <= after.sigma < now.sigma
        # Each step begins where the last one ended, up to timesteps that are rounded to integers.
        assert previous is None or previous == pytest.approx(now, abs=2e-3)
        previous = after
        sample = now.alpha * clean + now.sigma * noise
        output = output_of(scheduler, clean, noise, now)
        found, _, _ = predicted_clean(place, output, time, sample)
        if name == "LCM":
            skip, out = scheduler.get_scalings_for_boundary_condition_discrete(int(time))
            torch.testing.assert_close(found, out * clean + skip * sample, atol=2e-3, rtol=0)
        else:
            torch.testing.assert_close(found, clean, atol=4e-3, rtol=0)
        more = {"old_pred_original_sample": None, "timestep_back": None} if name == "CogVideoXDPM" else {}
        draw = {} if name in NO_DRAWS else {"generator": torch.Generator().manual_seed(1)}
        scale = getattr(scheduler, "scale_model_input", None)
        if scale is not None:
            scale(sample, time)
        stepped = scheduler.step(output, timestep=time, sample=sample, return_dict=False, **more, **draw)
        if len(stepped) > 1:  # it says what it predicts
            torch.testing.assert_close(found.float(), stepped[1].float(), atol=4e-3, rtol=0)
        if name in FIRST_ORDER:
            torch.testing.assert_close(stepped[0].float(), after.alpha * clean + after.sigma * noise, atol=4e-3, rtol=0)
    if after.sigma == 0 and name not in ("DEISMultistep", "DPMSolverSinglestep") and settings.get("predict_x0", True):
        torch.testing.assert_close(stepped[0].float(), found.float(), atol=4e-3, rtol=0)


NO_DRAWS = ("FlowMapEuler", "LMS", "UniPCMultistep", "DEISMultistep", "CogVideoXDDIM")
FIRST_ORDER = ("FlowMatchEuler", "FlowMapEuler", "Euler", "EDMEuler", "DDIM", "DDIMParallel", "CogVideoXDDIM")


def test_clipped_samples_are_clipped_where_the_scheduler_clips() -> None:
    for name, clips in (("DDIM", True), ("DDPM", True), ("CogVideoXDDIM", False), ("CogVideoXDPM", False)):
        scheduler = made(name, {"clip_sample": True, "prediction_type": "sample"})
        output = torch.full((1, 3, 4, 4), 5.0)
        found, _, _ = predicted_clean(scheduler, output, scheduler.timesteps[0], torch.zeros(1, 3, 4, 4))
        assert float(found.max()) == (1.0 if clips else 5.0)


def test_tokens_of_different_noise() -> None:
    scheduler = made("FlowMatchEuler", {})
    clean, noise = torch.randn(2, 1, 4, 3)
    times = torch.tensor([[1000.0, 500.0, 250.0, 100.0]])
    shares = (times / 1000)[..., None]
    scheduler._init_step_index(scheduler.timesteps[0])
    sample = (1 - shares) * clean + shares * noise
    found, _, _ = predicted_clean(scheduler, clean - noise, scheduler.timesteps[0], sample, times)
    torch.testing.assert_close(found, clean, atol=1e-5, rtol=0)


def test_an_unknown_scheduler_is_refused_before_the_first_step() -> None:
    pipe = tiny_wan()
    pipe.scheduler = diffusers.PNDMScheduler()
    sampler = DiffusersSampler(pipe, fps=8)
    with pytest.raises(ArgumentError, match=r"scheduler: expected one of FlowMatch.*, got PNDMScheduler; set"):
        sampler.start(Condition(None, {"prompt": "x"}), [Noise.of(0)], Cost())
