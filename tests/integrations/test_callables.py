"""The callables for other frameworks, called as those call them."""

from __future__ import annotations

import inspect
import pickle
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toy_raters import Reading, Toy

from avreward import AvrewardError
from avreward.integrations.callables import CachedSearchVerifier, FlowFactoryReward, VerlOmniReward, frames_of
from avreward.rewards.results import MissingScore


def as_flow_factory_calls(model: Any, samples: list[dict[str, Any]]) -> torch.Tensor:
    """A batch as its reward processor hands it over: fields by the names of the parameters, where all have them."""
    fields = inspect.signature(model.__call__).parameters
    names = [name for name in samples[0] if name in fields or any(p.kind is p.VAR_KEYWORD for p in fields.values())]
    batch = {k: [s[k] for s in samples] for k in names if all(s[k] is not None for s in samples)}
    output = model(**batch)
    return torch.as_tensor(output.rewards if hasattr(output, "rewards") else output, dtype=torch.float32)


def sample(level: float, power: float, **more: Any) -> dict[str, Any]:
    wave = torch.full((2, 64), power**0.5)
    return {
        "prompt": "a",
        "video": torch.full((4, 3, 16, 16), level),
        "audio": wave,
        "audio_sample_rate": 16000,
        **more,
    }


def test_flow_factory() -> None:
    model = FlowFactoryReward(Toy()["power"] + 2 * Toy()["brightness"], fps=8)
    found = as_flow_factory_calls(
        model, [sample(0.5, 0.25, image=None, height=16), sample(0.25, 0.01, image=None, height=16)]
    )
    torch.testing.assert_close(found, torch.tensor([1.25, 0.51]))
    assert model.required_fields == ("prompt", "video", "audio", "audio_sample_rate")
    assert model.use_tensor_inputs
    assert FlowFactoryReward(Toy()["power"]).required_fields == ("prompt", "audio", "audio_sample_rate")


def test_flow_factorys_subclass_as_the_page_shows_it() -> None:
    Output = namedtuple("Output", "rewards")

    class PointwiseRewardModel:  # theirs
        required_fields: tuple[str, ...] = ("image", "prompt")
        use_tensor_inputs = False

        def __init__(self, config: Any, accelerator: Any) -> None:
            self.config = config

    class Sound(PointwiseRewardModel):
        judge = FlowFactoryReward(Toy()["power"])
        required_fields, use_tensor_inputs = judge.required_fields, judge.use_tensor_inputs

        def __call__(self, prompt: Any, audio: Any = None, audio_sample_rate: Any = None, **others: Any) -> Output:
            return Output(rewards=self.judge(prompt, audio=audio, audio_sample_rate=audio_sample_rate))

    torch.testing.assert_close(as_flow_factory_calls(Sound(None, None), [sample(0.5, 0.25)]), torch.tensor([0.25]))


def test_verl_omni_visual_manager() -> None:
    compute_score = VerlOmniReward(Toy()["power"] + Toy()["brightness"], fps=24)
    assert not inspect.iscoroutinefunction(compute_score)
    found = compute_score(
        data_source="videos",
        solution_image=torch.full((4, 3, 16, 16), 51, dtype=torch.uint8),
        ground_truth="a dog barks",
        extra_info={"audio": torch.full((1, 1, 64), 0.5), "audio_sample_rate": torch.tensor(16000), "num_turns": None},
        reward_router_address="host:1", reward_model_tokenizer=None, model_name="x", sampling_params={},
    )  # fmt: skip
    assert found == {
        "score": pytest.approx(0.45), "toy.power": pytest.approx(0.25), "toy.brightness": pytest.approx(0.2)
    }  # fmt: skip
    assert all(type(value) is float for value in found.values())


def test_verl_omni_audio_manager() -> None:
    compute_score = VerlOmniReward(Toy()["power"])
    wave = np.full(64, 0.5, dtype=np.float32)
    extra = {"audio_sample_rate": 16000, "fps": None}
    found = compute_score(data_source="sounds", solution_audio=wave, ground_truth="rain", extra_info=extra)
    assert found["score"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    "frames",
    [
        np.full((4, 16, 24, 3), 0.2, dtype=np.float32),
        np.full((4, 16, 24, 3), 51, dtype=np.uint8),
        torch.full((4, 3, 16, 24), 0.2),
        torch.full((4, 3, 16, 24), 0.2, dtype=torch.bfloat16),
        [Image.new("RGB", (24, 16), (51, 51, 51))] * 4,
    ],
)
def test_cached_search(frames: Any) -> None:
    assert frames_of(frames).shape == (4, 3, 16, 24)
    score = CachedSearchVerifier(Toy()["brightness"] + Reading("reader")["faithful"], fps=16)(frames, "a black car")
    assert type(score) is float
    assert score == pytest.approx(0.45, abs=1e-3)


def test_prompts_reach_the_rater() -> None:
    seen: list[Any] = []

    class Prompts(Reading):
        def row(self, sample: Any) -> Any:
            seen.append(sample.clip.prompt)
            return super().row(sample)

    frames, reward = torch.rand(4, 3, 16, 16), Prompts()["faithful"]
    FlowFactoryReward(reward, fps=8)(["one"], video=[frames])
    VerlOmniReward(reward, fps=8)(solution_image=frames, ground_truth="two")
    CachedSearchVerifier(reward, fps=8)(frames, "three")
    assert seen == ["one", "two", "three"]


def test_a_missing_score_is_never_a_number() -> None:
    frames = torch.rand(4, 3, 16, 16)
    for call in (
        lambda reward: FlowFactoryReward(reward, fps=8)(["a"], video=[frames]),
        lambda reward: VerlOmniReward(reward, fps=8)(solution_image=frames, ground_truth="a"),
        lambda reward: CachedSearchVerifier(reward, fps=8)(frames, "a"),
    ):
        with pytest.raises(MissingScore, match=r"toy\.power: no audio was given"):
            call(Toy()["power"])


def test_rates_must_be_known() -> None:
    with pytest.raises(AvrewardError, match=r"fps: expected the frame rate of the video, got None; pass fps="):
        VerlOmniReward(Toy()["brightness"])(solution_image=torch.rand(4, 3, 16, 16))
    with pytest.raises(AvrewardError, match=r"audio_sample_rate: expected the sample rate of the audio, got None"):
        FlowFactoryReward(Toy()["power"])(["a"], audio=[torch.zeros(1, 64)])


def test_they_can_be_pickled() -> None:
    reward = Toy()["brightness"]
    for made in (FlowFactoryReward(reward, 8), VerlOmniReward(reward, 8), CachedSearchVerifier(reward, 8)):
        assert type(pickle.loads(pickle.dumps(made))) is type(made)
