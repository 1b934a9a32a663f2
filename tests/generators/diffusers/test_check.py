"""Calls that cannot make a clip per candidate: refused before the first denoising step, by the argument's name."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch
from tiny_pipelines import tiny_stable_audio, tiny_wan
from toy_raters import Toy

from avreward.errors import ArgumentError
from avreward.selection.search.search import Search
from avreward.selection.search.steering import Steering

CALL: dict[str, Any] = {"height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 4, "prompt": "x"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"return_dict": False}, "return_dict: expected True, got False; leave it out"),
    ({"output_type": "latent"}, "output_type: expected pt, np or pil, got 'latent'"),
    ({"num_videos_per_prompt": 2}, "num_videos_per_prompt: expected 1, got 2; ask for more candidates"),
    ({"prompt": ["x", "y"]}, "prompt: expected one text, got 2 texts; search once for each"),
    ({"negative_prompt": ["x", "y"]}, "negative_prompt: expected one text, got 2 texts"),
    (
        {"generator": torch.Generator()},
        "generator: expected none, as each candidate has its own, .*pass seed=",
    ),
    ({"latents": torch.zeros(1, 4, 2, 4, 4)}, "latents: expected none, as each candidate has its own noise"),
    ({"prompt": None, "prompt_embeds": torch.zeros(2, 4, 8)}, "prompt_embeds: expected one row, got 2 rows"),
    ({"hight": 16}, "argument of WanPipeline: expected one of .*; did you mean 'height'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
@pytest.mark.parametrize("strategy", ["best_of_n", Steering(2, (0.5,))])
def test_calls_that_cannot_work(change: dict[str, Any], message: str, strategy: Any) -> None:
    pipe, ran = tiny_wan(), []
    pipe.transformer.register_forward_hook(lambda *_: ran.append(1))
    with pytest.raises(ArgumentError, match=message):
        Search(pipe, Toy()["brightness"], strategy, fps=8)(**CALL | change)
    assert not ran


def test_several_sounds_a_prompt_are_not_the_channels_of_one() -> None:
    call = {"prompt": "x", "audio_end_in_s": 0.1, "num_inference_steps": 2}
    with pytest.raises(ArgumentError, match="num_waveforms_per_prompt: expected 1, got 2"):
        Search(tiny_stable_audio(), Toy()["power"])(**call, num_waveforms_per_prompt=2)


def test_a_list_of_one_prompt_is_that_prompt() -> None:
    plain = Search(tiny_wan(), Toy()["brightness"], fps=8, batch_size=3)(**CALL)
    found = Search(tiny_wan(), Toy()["brightness"], fps=8, batch_size=3)(**CALL | {"prompt": ["x"]})
    assert [c.reward for c in found.candidates] == [c.reward for c in plain.candidates]
