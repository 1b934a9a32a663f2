"""Diffusers pipelines as generators: tiny random builds of five families, led from outside."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch
from tiny.pipelines import audioldm2, ltx, ltx2, stable_audio, wan
from tiny_ltx2 import PLAIN
from tiny_pipelines import tiny_ltx2_with_text, tiny_stable_audio, tiny_wan
from torch import Tensor
from toy_raters import Toy, picture

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators.base import Condition, Cost, Noise
from avreward.generators.diffusers._output import clips_of, frame_rate, sample_rate
from avreward.generators.diffusers._steps import ObservedScheduler, ObservedStep
from avreward.generators.diffusers.sampler import DiffusersSampler
from avreward.selection.search.pruning import Drafts, Halving
from avreward.selection.search.search import BestOfN, Search
from avreward.selection.search.steering import Beam, Steering

FAMILIES = {make.__name__: make for make in (wan, ltx, ltx2, stable_audio, audioldm2)}
PICTURE, SOUND = {"wan", "ltx", "ltx2"}, {"ltx2", "stable_audio", "audioldm2"}
CALL = {"height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 4}


def family(name: str, steps: int = 4) -> tuple[DiffusersSampler, Condition]:
    case = FAMILIES[name]()
    call = {key: value[:1] if isinstance(value, Tensor) else value for key, value in case.call.items()}
    sampler = DiffusersSampler(case.pipeline, fps=8 if name == "wan" else None)
    return sampler, Condition(None, call | {"num_inference_steps": steps})


def tracks(clip: Clip) -> list[Tensor]:
    return [getattr(clip, name) for name, there in (("video", clip.has_video), ("audio", clip.has_audio)) if there]


def apart(first: Clip, second: Clip) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(tracks(first), tracks(second), strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_alone_makes_its_candidate_again(name: str) -> None:
    sampler, condition = family(name)
    assert sampler.difference(3, 4, 5, **condition.arguments) < 5e-6
    mix, cost = Noise.of(3).near(4, 0.5), Cost()
    together = sampler.make(condition, [Noise.of(3), mix, Noise.of(4)], cost)
    alone = sampler.make(condition, [mix], cost)
    assert apart(together[1], alone[0]) < 5e-6
    assert min(apart(together[1], together[0]), apart(together[1], together[2])) > 0.01
    assert (cost.steps, cost.decodes) == (16, 4)
    assert together[0].has_video == (name in PICTURE)
    assert together[0].has_audio == (name in SOUND)


@pytest.mark.parametrize("name", FAMILIES)
def test_candidates_are_what_the_pipeline_makes(name: str) -> None:
    sampler, condition = family(name)
    clip = sampler.make(condition, [Noise.of(6)], Cost())[0]
    generator = torch.Generator().manual_seed(6)
    output = sampler.pipeline(**condition.arguments, output_type="pt", generator=generator)
    for track, names in ((clip.video if clip.has_video else None, ("frames",)),
                         (clip.audio if clip.has_audio else None, ("audio", "audios"))):  # fmt: skip
        if track is not None:
            [made] = [value for key in names if (value := getattr(output, key, None)) is not None]
            torch.testing.assert_close(track, made[0].reshape(track.shape), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_that_stops_on_the_way_comes_to_the_same(name: str) -> None:
    sampler, condition = family(name)
    noises, cost = [Noise.of(1), Noise.of(2)], Cost()
    straight = sampler.make(condition, noises, Cost())
    run = sampler.start(condition, noises, cost)
    with pytest.raises(AvrewardError, match="preview: expected at least one step taken, got none"):
        run.preview(0)
    for _ in range(3):
        run.advance()
    early = [run.preview(row) for row in (0, 1)]
    run.advance()
    late = [run.preview(row) for row in (0, 1)]
    finished = run.finish()
    assert [apart(a, b) for a, b in zip(straight, finished, strict=True)] == [0.0, 0.0]
    assert (run.step, run.total, cost.steps, cost.decodes) == (4, 4, 8, 6)
    # The last step ends in the predicted clean sample, but for schedulers of higher order and the clamp.
    for first, second, last in zip(early, late, finished, strict=True):
        assert [track.shape for track in tracks(first)] == [track.shape for track in tracks(last)]
        pairs = zip(tracks(second), tracks(last), strict=True)
        assert max(float((a.clamp(b.min(), b.max()) - b).abs().max()) for a, b in pairs) < 0.02
    assert max(apart(a, b) for a, b in zip(early, finished, strict=True)) > 1e-4
    with pytest.raises(AvrewardError, match="got one that has ended; start another one"):
        run.finish()
    run.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_copies_part(name: str) -> None:
    sampler, condition = family(name)
    runs = [sampler.start(condition, [Noise.of(seed)], Cost()) for seed in (1, 2, 3)]
    seeds = iter(range(100))
    for run in runs:
        run.advance([next(seeds)], 1.0)
    state = runs[0].take(0)
    runs[1].put(0, state)
    runs[2].put(0, state)
    runs[0].advance([7], 1.0)
    runs[1].advance([7], 1.0)  # the same noise: a copy of the whole state stays a copy
    runs[2].advance([8], 1.0)
    clips = [run.finish()[0] for run in runs]
    assert apart(clips[0], clips[1]) < 5e-6
    assert apart(clips[0], clips[2]) > 1e-3
    if name == "ltx2":  # picture and sound both
        assert min(float((a - b).abs().max()) for a, b in zip(tracks(clips[0]), tracks(clips[2]), strict=True)) > 1e-3


def test_what_was_started_can_be_given_up() -> None:
    sampler, condition = family("ltx2")
    for steps in (0, 2):
        run = sampler.start(condition, [Noise.of(1)], Cost())
        for _ in range(steps):
            run.advance()
        run.close()
        run.close()
        assert not run._thread.is_alive()
    with pytest.raises(ArgumentError, match="seeds: expected one per row"):
        sampler.start(condition, [Noise.of(1)], Cost()).advance(spread=1.0)


def test_the_pipeline_itself_is_left_alone() -> None:
    pipe = tiny_wan()
    before, step = dict(vars(pipe)), pipe.scheduler.step
    state = copy.deepcopy({k: v for k, v in vars(pipe.scheduler).items() if not isinstance(v, Tensor)})
    Search(DiffusersSampler(pipe, fps=8), Toy()["brightness"], Steering(2, (0.4,)))(prompt="x", **CALL)
    assert dict(vars(pipe)) == before
    assert pipe.scheduler.step == step
    assert {k: v for k, v in vars(pipe.scheduler).items() if not isinstance(v, Tensor)} == state


@pytest.mark.parametrize("guidance", [1.0, 5.0])
@pytest.mark.parametrize("build", [tiny_wan, tiny_stable_audio, tiny_ltx2_with_text])
def test_prompts_are_encoded_once(build: Any, guidance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, encoded = build(), []
    forward = pipe.text_encoder.forward
    monkeypatch.setattr(pipe.text_encoder, "forward", lambda *a, **k: encoded.append(1) or forward(*a, **k))
    call: dict[str, Any] = {"prompt": "rain", "negative_prompt": "wind", "num_inference_steps": 2}
    if build is tiny_stable_audio:
        call |= {"audio_end_in_s": 0.1}
    else:
        call |= {"height": 32, "width": 32, "num_frames": 5}
    call |= PLAIN if build is tiny_ltx2_with_text else {}
    call |= {"guidance_scale": guidance}
    sampler, cost = DiffusersSampler(pipe, fps=8), Cost()
    made = [
        sampler.make(Condition(None, call), [Noise.of(s) for s in seeds], cost) for seeds in ((1,), (2, 3, 4), (5,))
    ]
    assert len(encoded) == (2 if guidance > 1 else 1)
    assert {clip.prompt for clips in made for clip in clips} == {"rain"}
    plain = pipe(**call, output_type="pt", generator=torch.Generator().manual_seed(3))
    again = clips_of(plain, pipe, 1, call, None, fps=8, sample_rate=None)
    assert apart(made[1][1], again[0]) < 5e-6
    sampler.make(Condition(None, call | {"prompt": "snow"}), [Noise.of(1)], cost)
    assert len(encoded) == 3 * (2 if guidance > 1 else 1)  # besides: the pipeline's own call, and another prompt


def test_best_of_n_on_a_pipeline_as_it_is() -> None:
    found = BestOfN(tiny_ltx2_with_text(), Toy()["overall"], n=4, batch_size=3)(
        prompt="rain", height=32, width=32, num_frames=9, num_inference_steps=2, **PLAIN
    )
    assert found.best.fps == pytest.approx(24)  # the default of the pipeline's own call
    assert found.best.sample_rate == 16000
    assert found.cost == Cost(8, 4, 4, found.cost.seconds)
    assert apart(found.clip(found.ranked[-1]), found.clip(found.ranked[-1])) == 0


def test_sound_is_added_to_the_condition() -> None:
    video, toy = picture(0.5, prompt="a door"), Toy(per_clip=False)
    found = BestOfN(tiny_stable_audio(), toy["overall"], n=4, batch_size=2)(
        video, prompt="a door slams", audio_end_in_s=0.1, num_inference_steps=2
    )
    assert found.best.keys["video"] == video.keys["video"]
    assert found.best.prompt == "a door slams"
    assert [track for track, _ in toy.loads].count("video") == 1


@pytest.mark.parametrize("strategy", [Steering(3, (0.3,), threshold=1.0), Beam(1, 3, (0.3,)), Halving(3), Drafts(3)])
@pytest.mark.parametrize("name", FAMILIES)
def test_strategies_on_every_family(name: str, strategy: Any) -> None:
    sampler, condition = family(name, steps=5)
    reward = Toy()["power" if name in SOUND else "brightness"]
    found = Search(sampler, reward, strategy, batch_size=2, keep=3)(**condition.arguments)
    assert not [c.reason for c in found.candidates if c.reason and "dropped at" not in c.reason]
    assert found.ranked[0].reward is not None
    rewards = [c.reward for c in found.ranked]
    assert len(set(rewards)) == len(rewards)


def test_a_pipeline_that_fails_on_one_seed() -> None:
    pipe = tiny_wan()
    forward = pipe.transformer.forward
    bad = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(2))

    def failing(*arguments: Any, **named: Any) -> Any:
        if any(torch.equal(row, bad[0]) for row in named["hidden_states"]):
            raise RuntimeError("seed 2 again")
        return forward(*arguments, **named)

    pipe.transformer.forward = failing
    for strategy in ("best_of_n", Halving(4), Steering(4), Drafts(4)):
        search = Search(DiffusersSampler(pipe, fps=8), Toy()["brightness"], strategy, batch_size=1)
        found = search(prompt="x", **CALL)
        assert [c.reason for c in found.candidates if c.reason and "dropped at" not in c.reason] == [
            "the generator failed: RuntimeError: seed 2 again"
        ]
    found = BestOfN(DiffusersSampler(pipe, fps=8), Toy()["brightness"], n=4, batch_size=4)(prompt="x", **CALL)
    assert sorted(c.seed for c in found.ranked) == [0, 1, 3]


def test_a_pipeline_that_keeps_its_latents_to_itself() -> None:
    sampler = DiffusersSampler(tiny_wan(), fps=8)
    runs = [sampler.start(Condition(None, CALL | {"prompt": "x"}), [Noise.of(s)], Cost()) for s in (1, 2)]
    for run in runs:
        run.advance([1], 1.0)
    runs[1]._now[0] = runs[1]._now[0].clone()  # the pipeline holds another tensor than the one that is set
    runs[1].put(0, runs[0].take(0))
    with pytest.raises(AvrewardError, match="got a pipeline that keeps its own"):
        runs[1].advance([2], 1.0)
    for run in runs:
        run.close()


def test_noise_of_a_stochastic_scheduler_follows_the_seed() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    pipe = tiny_wan()
    pipe.scheduler = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    assert DiffusersSampler(pipe, fps=8).difference(1, 2, prompt="x", **CALL) < 5e-6


def test_the_step_looks_like_the_schedulers_and_survives_a_deep_copy() -> None:
    from diffusers import DDIMScheduler

    scheduler, seen = DDIMScheduler(), []

    def listen(step: ObservedStep) -> Tensor:
        seen.append(step.track)
        return step.result

    signature = inspect.signature(scheduler.step)
    scheduler.step = ObservedScheduler(scheduler, listen, None)
    assert inspect.signature(scheduler.step) == signature
    other = copy.deepcopy(scheduler)
    for own in (scheduler, other):
        own.set_timesteps(2)
    x = torch.randn(1, 4)
    other.step(x, other.timesteps[0], x)
    scheduler.step(x, scheduler.timesteps[0], x)
    assert seen == [1, 0]
    assert other.step.scheduler is other


class Output:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def read(output: Output, rows: int = 1, clip: Clip | None = None) -> list[Clip]:
    return clips_of(output, object(), rows, {}, clip, fps=8.0, sample_rate=8000)


def test_outputs_by_their_type() -> None:
    from PIL import Image

    videos = torch.rand(2, 5, 3, 8, 6)
    assert torch.equal(read(Output(frames=videos), 2)[1].video, videos[1])
    assert torch.equal(read(Output(frames=videos.permute(0, 1, 3, 4, 2).numpy()), 2)[1].video, videos[1])
    assert torch.equal(read(Output(video=videos[0], sound=torch.zeros(2, 80)), 1)[0].video, videos[0])  # Cosmos 3
    pictures = [[Image.new("RGB", (6, 8), (255, 0, 51)) for _ in range(5)] for _ in range(2)]
    video = read(Output(frames=pictures), 2)[1].video
    assert video.shape == (5, 3, 8, 6)
    assert video[0, :, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert read(Output(images=pictures[0][:1]))[0].video.shape == (1, 3, 8, 6)
    assert read(Output(images=torch.rand(2, 3, 8, 6)), 2)[1].video.shape == (1, 3, 8, 6)
    assert read(Output(images=torch.rand(1, 3, 8, 6)))[0].video.shape == (1, 3, 8, 6)
    waves = torch.rand(2, 2, 80) - 0.5
    assert torch.equal(read(Output(audios=waves), 2)[1].audio, waves[1])
    assert read(Output(audios=waves[:, 0]), 2)[1].channels == 1
    assert read(Output(audio=waves[:1, 0]))[0].channels == 1
    assert read(Output(sound=waves[0]))[0].channels == 2
    both = read(Output(frames=videos, audio=waves[:, 0].numpy()), 2)[0]
    assert both.has_video
    assert both.has_audio
    with pytest.raises(
        AvrewardError, match=r"object: expected an output with one of frames, video, .*, got a Output without them"
    ):
        read(Output(latents=videos))
    with pytest.raises(AvrewardError, match="pipeline: expected 3 candidates, got 2; use batch_size=1"):
        read(Output(frames=videos), 3)


def test_a_row_does_not_keep_the_batch_in_memory() -> None:
    clips = read(Output(frames=torch.rand(4, 5, 3, 8, 6)), 4)
    assert clips[0].video.untyped_storage().nbytes() == 5 * 3 * 8 * 6 * 4


def test_rates_that_nobody_tells() -> None:
    with pytest.raises(
        ArgumentError, match="fps: expected a frame rate, got none, and WanPipeline does not report one; pass fps"
    ):
        DiffusersSampler(tiny_wan()).make(Condition(None, {"prompt": "x"}), [Noise.of(0)], Cost())
    with pytest.raises(ArgumentError, match="sample_rate: expected a sample rate, got none, and object does not"):
        sample_rate(object(), None)
    pipe = tiny_ltx2_with_text()
    assert frame_rate(pipe, {}, None) == 24
    assert frame_rate(pipe, {"frame_rate": 8.0}, None) == 8
    assert frame_rate(pipe, {"frame_rate": 8.0}, 16) == 16
    assert sample_rate(pipe, None) == 16000
    assert sample_rate(tiny_stable_audio(), None) == 8000


def test_a_preview_of_ones_own_and_of_few_frames() -> None:
    asked = []

    def preview(latents: list[Tensor]) -> list[Clip]:
        asked.append([tuple(track.shape) for track in latents])
        return [picture(0.25) for _ in latents[0]]

    call = Condition(None, CALL | {"prompt": "x"})
    run = DiffusersSampler(tiny_wan(), fps=8, preview=preview).start(call, [Noise.of(0), Noise.of(1)], Cost())
    run.advance()
    assert [float(run.preview(row).video.mean()) for row in (0, 1)] == [0.25, 0.25]
    assert asked == [[(1, 4, 2, 4, 4)]] * 2
    run.close()
    run = DiffusersSampler(tiny_wan(), fps=8, preview_frames=2).start(call, [Noise.of(0)], Cost())
    run.advance()
    assert len(run.preview(0).video) == 2
    run.close()


def test_a_pipeline_that_reports_no_frame_rate_is_given_one() -> None:
    call = CALL | {"prompt": "rain"}
    for search in (
        BestOfN(tiny_wan(), Toy()["brightness"], 1, fps=8),
        Search(tiny_wan(), Toy()["brightness"], Drafts(2), fps=8),
    ):
        assert search(**call).best.fps == 8
    with pytest.raises(AvrewardError, match="WanPipeline does not report one; pass fps=16"):
        BestOfN(tiny_wan(), Toy()["brightness"], 1)(**call)
    with pytest.raises(
        ArgumentError, match=r"fps: expected nothing for a generator that is not .*, got 8; set the rate"
    ):
        BestOfN(DiffusersSampler(tiny_wan(), fps=8), Toy()["brightness"], 1, fps=8)
    with pytest.raises(ArgumentError, match="sample_rate: expected nothing"):
        BestOfN(lambda condition, seed: picture(0.5), Toy()["brightness"], 1, sample_rate=8000)


@pytest.mark.parametrize("strategy", [Steering(4, (0.3, 0.6), threshold=1.0), Beam(1, 4, (0.3, 0.6))])
@pytest.mark.parametrize("edit", ["rounded", "edited"])
def test_latents_that_a_pipeline_rounds_or_a_callback_edits(strategy: Any, edit: str) -> None:
    """A pipeline in bfloat16 casts them after each step (CogVideoX); a callback may change them."""

    def after(pipe: Any, step: int, time: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
        latents = given["latents"]
        return {"latents": latents.bfloat16().float() if edit == "rounded" else 0.95 * latents + 0.01}

    call = CALL | {"prompt": "x", "num_inference_steps": 6, "callback_on_step_end": after}
    for batch in (1, 2):
        search = Search(DiffusersSampler(tiny_wan(), fps=8), Toy()["brightness"], strategy, batch_size=batch, keep=4)
        found = search(**call)
        assert [c.reason for c in found.candidates] == [None] * 4


@pytest.mark.parametrize("strategy", ["best_of_n", Halving(2, (0.5,)), Steering(2, (0.5,))])
def test_the_settings_of_the_callers_thread_hold(strategy: Any) -> None:
    pipe, seen = tiny_wan(), []

    def look(*_: Any) -> None:
        flags = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_inference_mode_enabled()
        seen.append((*flags, torch.get_default_device().type))

    pipe.transformer.register_forward_pre_hook(look)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        Search(pipe, Toy()["brightness"], strategy, fps=8)(prompt="x", **CALL)
    assert set(seen) == {(True, torch.bfloat16, True, "cpu")}
    seen.clear()
    Search(pipe, Toy()["brightness"], strategy, fps=8)(prompt="x", **CALL)
    assert {(cast, inference) for cast, _, inference, _ in seen} == {(False, False)}


def test_default_device_and_dtype_hold_in_a_runs_thread() -> None:
    from avreward.generators.diffusers._settings import ThreadSettings

    with torch.device("meta"), torch.no_grad():
        settings = ThreadSettings()
    with settings:
        assert torch.zeros(1).device.type == "meta"
        assert not torch.is_grad_enabled()
    assert torch.zeros(1).device.type == "cpu"
    assert torch.is_grad_enabled()


def test_the_name_follows_weights_and_adapters() -> None:
    from peft import LoraConfig

    pipe = tiny_wan()
    sampler = DiffusersSampler(pipe, fps=8)
    names = [sampler.name]
    assert sampler.name == names[0]
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "one")
    names.append(sampler.name)
    pipe.transformer.set_adapters(["one"], [0.5])
    names.append(sampler.name)
    pipe.transformer.disable_adapters()
    names.append(sampler.name)
    pipe.transformer.delete_adapters("one")
    assert sampler.name == names[0]
    next(pipe.transformer.parameters()).data.flatten()[0].add_(1)
    names.append(sampler.name)
    assert len(set(names)) == 5


def test_several_outputs_are_never_one_clip() -> None:
    waves, pictures = torch.rand(2, 80) - 0.5, torch.rand(2, 3, 8, 6)
    for output in (Output(audios=waves), Output(audio=waves.numpy()), Output(images=pictures)):
        with pytest.raises(AvrewardError, match="pipeline: expected 1 candidates, got 2; make the call return one"):
            read(output)
    assert read(Output(sound=waves))[0].channels == 2
