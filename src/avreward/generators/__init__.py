"""Generators of candidates: the protocol that search drives, noise, conditions and costs."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.generators._as_sampler import CallableSampler as CallableSampler
    from avreward.generators._as_sampler import as_sampler as as_sampler
    from avreward.generators.base import Condition as Condition
    from avreward.generators.base import Cost as Cost
    from avreward.generators.base import GeneratorStopped as GeneratorStopped
    from avreward.generators.base import Noise as Noise
    from avreward.generators.base import Sampler as Sampler
    from avreward.generators.base import SamplingRun as SamplingRun
    from avreward.generators.clip_encoder import ClipEncoder as ClipEncoder
    from avreward.generators.clip_encoder import FrameDecoder as FrameDecoder
    from avreward.generators.ddim_steps import ddim_sde_step as ddim_sde_step
    from avreward.generators.diffusers.flow import DiffusersFlow as DiffusersFlow
    from avreward.generators.diffusers.guidance import RewardGuidance as RewardGuidance
    from avreward.generators.diffusers.sampler import DiffusersSampler as DiffusersSampler
    from avreward.generators.flow_generator import FlowGenerator as FlowGenerator
    from avreward.generators.flow_generator import sample_flow as sample_flow
    from avreward.generators.flow_generator import stream_velocity as stream_velocity
    from avreward.generators.flow_steps import DpmSolver as DpmSolver
    from avreward.generators.flow_steps import StochasticStep as StochasticStep
    from avreward.generators.flow_steps import clean_latents as clean_latents
    from avreward.generators.flow_steps import dance_sde_step as dance_sde_step
    from avreward.generators.flow_steps import ddim_flow_step as ddim_flow_step
    from avreward.generators.flow_steps import euler_step as euler_step
    from avreward.generators.flow_steps import flow_sde_step as flow_sde_step
    from avreward.generators.flow_steps import noisy_latents as noisy_latents
    from avreward.generators.folder import FolderGenerator as FolderGenerator
    from avreward.generators.musicgen import MusicgenTokens as MusicgenTokens
    from avreward.generators.musicgen import TokenGenerator as TokenGenerator

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_as_sampler": ["CallableSampler", "as_sampler"],
        "base": [
            "Condition",
            "Cost",
            "GeneratorStopped",
            "Noise",
            "Sampler",
            "SamplingRun",
        ],
        "clip_encoder": ["ClipEncoder", "FrameDecoder"],
        "ddim_steps": ["ddim_sde_step"],
        "diffusers.flow": ["DiffusersFlow"],
        "diffusers.guidance": ["RewardGuidance"],
        "diffusers.sampler": ["DiffusersSampler"],
        "flow_generator": ["FlowGenerator", "sample_flow", "stream_velocity"],
        "flow_steps": [
            "DpmSolver",
            "StochasticStep",
            "clean_latents",
            "dance_sde_step",
            "ddim_flow_step",
            "euler_step",
            "flow_sde_step",
            "noisy_latents",
        ],
        "folder": ["FolderGenerator"],
        "musicgen": ["MusicgenTokens", "TokenGenerator"],
    },
)
