"""Every pipeline class that makes video or audio: candidates are what it makes itself, or searches are refused."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch
from tiny_diffusers import BUILDERS, build
from tiny_diffusers._classes import NOT_BUILT, makers
from tiny_diffusers._parts import Tiny
from torch import Tensor
from toy_raters import Toy

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.generators.base import Condition, Cost, Noise
from avreward.generators.diffusers import _steps
from avreward.generators.diffusers._clean import SUPPORTED, predicted_clean
from avreward.generators.diffusers._output import clips_of
from avreward.generators.diffusers._support import ALONE, DECODED, NO_EXCHANGE, NO_PAUSE, REPEATED, UNABLE
from avreward.generators.diffusers.sampler import DiffusersSampler
from avreward.selection.search.pruning import Halving
from avreward.selection.search.search import Search
from avreward.selection.search.steering import Beam, Steering

QUICK = ("WanPipeline", "MochiPipeline", "CogVideoXImageToVideoPipeline", "TextToVideoSDPipeline", "LTX2Pipeline")
CLASSES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BUILDERS if name not in UNABLE
]
BUILT: dict[str, Tiny] = {}


def tiny(name: str) -> Tiny:
    if name not in BUILT:
        BUILT[name] = build(name)
    return BUILT[name]


def sampler_of(name: str) -> tuple[DiffusersSampler, Condition]:
    case = tiny(name)
    sampler = DiffusersSampler(case.pipeline, fps=case.fps, sample_rate=case.sample_rate)
    return sampler, Condition(None, case.call)


def pausable(name: str) -> bool:
    return name not in NO_PAUSE and type(tiny(name).pipeline.scheduler).__name__ in SUPPORTED


def tracks(clip: Clip) -> list[Tensor]:
    return [getattr(clip, name) for name, there in (("video", clip.has_video), ("audio", clip.has_audio)) if there]


def apart(first: Clip, second: Clip) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(tracks(first), tracks(second), strict=True))


def test_every_class_of_the_installed_diffusers_is_known() -> None:
    found = makers()
    assert found == set(BUILDERS) | set(NOT_BUILT)
    assert not set(BUILDERS) & set(NOT_BUILT)
    assert found >= {*ALONE, *DECODED, *NO_EXCHANGE, *NO_PAUSE, *REPEATED, *UNABLE}


@pytest.mark.parametrize("name", CLASSES)
def test_candidates_are_what_the_pipeline_makes_alone_and_in_a_batch(name: str) -> None:
    sampler, condition = sampler_of(name)
    case, pipe = tiny(name), sampler.pipeline
    clip = sampler.make(condition, [Noise.of(3)], Cost())[0]
    kind = {} if name == "DanceDiffusionPipeline" else {"output_type": "pt"}
    output = pipe(**case.call, generator=torch.Generator().manual_seed(3), **kind)
    [own] = clips_of(output, pipe, 1, case.call, None, fps=case.fps, sample_rate=case.sample_rate)
    assert apart(clip, own) == 0
    assert sampler.difference(3, 4, **case.call) < 1e-5 + QUANTIZED.get(name, 0.0)
    other = sampler.make(condition, [Noise.of(4)], Cost())[0]
    assert all(float((a - b).abs().max()) > 1e-4 for a, b in zip(tracks(clip), tracks(other), strict=True))


QUANTIZED = dict.fromkeys(
    ("CosmosVideoToWorldPipeline", "CosmosTextToWorldPipeline", "Cosmos2VideoToWorldPipeline"), 1.01 / 255
)


def oracle(scheduler: Any, output: Tensor, time: Any, sample: Tensor) -> Tensor | None:
    """Where the scheduler's own step leads if it is the last one; `None` for one of higher order."""
    kind, place = type(scheduler).__name__, copy.copy(scheduler)
    step = partial(type(place).step, place)  # the scheduler's own, which is not observed
    if kind.startswith(("FlowM", "Euler")):
        place.sigmas = place.sigmas.clone()
        place.sigmas[place.step_index + 1 :] = 1.0 if place.config.get("invert_sigmas") else 0.0
        return step(output, time, sample, return_dict=False)[0]
    if kind in ("DDIMScheduler", "CogVideoXDDIMScheduler"):
        return step(output, time, sample, return_dict=False)[1]
    if kind == "CogVideoXDPMScheduler":
        draw = torch.Generator().manual_seed(0)
        return step(output, None, time, None, sample, generator=draw, return_dict=False)[1]
    if place.config.get("use_flow_sigmas"):
        return sample - place.sigmas[place.step_index] * output
    return None


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The differences of all predicted clean samples from those of the oracle."""
    found: list[float] = []

    def clean(scheduler: Any, output: Tensor, time: Any, sample: Tensor, *more: Any) -> Any:
        answer = predicted_clean(scheduler, output, time, sample, *more)
        expected = oracle(scheduler, output, time, sample)
        if expected is not None:
            found.append(float((answer[0] - expected).abs().max() / expected.abs().max().clamp(min=1)))
        return answer

    monkeypatch.setattr(_steps, "predicted_clean", clean)
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_clean_samples_and_previews(name: str, checked: list[float]) -> None:
    sampler, condition = sampler_of(name)
    if not pausable(name):
        cost = Cost()
        with pytest.raises(ArgumentError, match=r"expected one (that denoises|of Flow)"):
            sampler.start(condition, [Noise.of(3)], cost)
        assert cost == Cost()
        return
    straight = sampler.make(condition, [Noise.of(3)], Cost())[0]
    run = sampler.start(condition, [Noise.of(3)], Cost())
    previews = []
    while run.step < run.total:
        run.advance()
        results = [(*seen.clean(), seen.result) for seen in run._iteration]
        previews.append(run.preview(0))
    last = max(float((clean - result).abs().max()) for clean, _, _, result in results)
    rest = max(after.sigma for _, _, after, _ in results)  # some schedules leave a little noise
    assert last <= 6 * rest + 1e-5
    [finished] = run.finish()
    assert apart(finished, straight) == 0
    assert max(checked, default=0.0) < 5e-4  # rounding: Stable Video Diffusion begins with a sigma of 700
    if rest == 0:
        pairs = zip(tracks(previews[-1]), tracks(finished), strict=True)
        assert max(float((a.clamp(b.min(), b.max()) - b).abs().max()) for a, b in pairs) < 1e-4
    shapes = [[track.shape for track in tracks(clip)] for clip in (*previews, finished)]
    assert shapes == shapes[-1:] * len(shapes)


@pytest.mark.parametrize("name", CLASSES)
def test_copies_part_and_stay_copies(name: str) -> None:
    sampler, condition = sampler_of(name)
    if not pausable(name) or name in NO_EXCHANGE:
        with pytest.raises(ArgumentError):
            Search(sampler, Toy()["overall"], Steering(2, (0.5,)))(**condition.arguments)
        return
    runs = [sampler.start(condition, [Noise.of(1)], Cost()) for _ in range(3)]
    for seed, run in enumerate(runs):
        run.advance([seed], 1.0)
    state = runs[0].take(0)
    for run in runs[1:]:
        run.put(0, state)
    for run, seed in zip(runs, (7, 7, 8), strict=True):
        while run.step < run.total:
            run.advance([seed + run.step], 1.0)
    clips = [run.finish()[0] for run in runs]
    assert apart(clips[0], clips[1]) == 0
    assert all(float((a - b).abs().max()) > 1e-4 for a, b in zip(tracks(clips[0]), tracks(clips[2]), strict=True))


@pytest.mark.parametrize("name", CLASSES)
def test_strategies_with_pauses(name: str) -> None:
    sampler, condition = sampler_of(name)
    if not pausable(name):
        return
    given = sampler.make(condition, [Noise.of(1)], Cost())[0]
    reward = Toy()["brightness" if given.has_video else "power"]
    for strategy in (Halving(2, (0.5,)), Steering(2, (0.5,), threshold=1.0), Beam(1, 2, (0.5,))):
        if name in NO_EXCHANGE and not isinstance(strategy, Halving):
            continue
        found = Search(sampler, reward, strategy, batch_size=2, keep=2)(**condition.arguments)
        assert not [c.reason for c in found.candidates if c.reason and "dropped at" not in c.reason]
        assert found.cost.rewards >= 3  # of previews and of clips


def test_what_cannot_be_made_is_refused() -> None:
    for name in UNABLE:
        with pytest.raises(ArgumentError, match=f"pipeline: expected one that makes .*, got {name}, which"):
            DiffusersSampler(tiny(name).pipeline, fps=8)
